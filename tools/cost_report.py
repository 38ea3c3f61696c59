"""The page of the cost model: docs/cost-model.md's measured part and two plots, written by tools/fit_cost --write. Drawing only: nothing is fitted here."""
import os

import numpy as np

COLOURS = {"A100": "#4477aa", "H100": "#228833", "H800": "#aa3377", "B200": "#ee6677", "GB200": "#ccbb44"}
BEGIN, END = "<!-- fit: begin (tools/fit_cost --write) -->\n", "<!-- fit: end -->\n"


def scatter(path, title, x, y, colours, names, width=560):
    """Predicted over published, both logarithmic, with lines at equality and 20 % to each side."""
    low, high = np.log10(min(x.min(), y.min())) - 0.1, np.log10(max(x.max(), y.max())) + 0.1
    at = lambda v: 50 + (np.log10(v) - low) / (high - low) * (width - 70)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{width}" fill="white"/><text x="50" y="18">{title}</text>']
    for factor, dash in ((1, ""), (1.2, "4 4"), (1 / 1.2, "4 4")):
        a, b = 10**low, 10**high
        parts.append(f'<line x1="{at(a):.1f}" y1="{width - at(a * factor):.1f}" x2="{at(b):.1f}" y2="{width - at(b * factor):.1f}" stroke="#999" '
                     f'stroke-dasharray="{dash}"/>')
    for px, py, colour in zip(x, y, colours):
        parts.append(f'<circle cx="{at(px):.1f}" cy="{width - at(py):.1f}" r="3" fill="{colour}" fill-opacity="0.7"/>')
    for i, (name, colour) in enumerate(names.items()):
        parts.append(f'<circle cx="{width - 90}" cy="{width - 110 + 16 * i}" r="4" fill="{colour}"/><text x="{width - 80}" y="{width - 106 + 16 * i}">{name}</text>')
    parts.append(f'<text x="{width / 2}" y="{width - 12}">published</text><text x="14" y="{width / 2}" transform="rotate(-90 14 {width / 2})">predicted</text></svg>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts) + "\n")


def colour(row):
    return COLOURS.get(row["gpu_type"].split("-")[0], "#777777")


def write(root, lines, fit, values, priors, chosen, ratio, left, runs):
    run_rows, _, actual, run_chosen, ours, baseline = runs
    docs = os.path.join(root, "docs")
    system = left["system"]
    rows = [r for i, r in enumerate(fit.rows) if chosen[i]]
    scatter(os.path.join(docs, "cost-steps.svg"), "tokens/s an accelerator, each system left out of the fit", fit.actual[chosen],
            fit.actual[chosen] * np.exp(system[chosen]), [colour(r) for r in rows], COLOURS)
    scatter(os.path.join(docs, "cost-campaigns.svg"), "accelerator-hours of campaigns, each left out", actual[run_chosen],
            actual[run_chosen] * np.exp(ours[run_chosen]), [colour(r) for i, r in enumerate(run_rows) if run_chosen[i]], COLOURS)
    out = ["```", *lines, "```", "", "![steps](cost-steps.svg) ![campaigns](cost-campaigns.svg)", "", "| parameter | fitted | prior | sigma of the prior's logarithm |",
           "|---|---:|---:|---:|"]
    out += [f"| `{n}` | {values[n]:.3g} | {priors[n][0]:g} | {priors[n][1]:g} |" for n in fit.names]
    out += ["", "Rows furthest off in the fit (predicted over published rate):", "", "| framework | version | model | part | precision | ratio |", "|---|---|---|---|---|---:|"]
    order = [i for i in np.argsort(-np.abs(np.where(chosen, ratio, 0)))[:12]]
    out += [f"| {r['framework']} | {r['version']} | {r['model']} | {r['gpu_type']} | {r['precision']} | {np.exp(ratio[i]):.2f} |" for i, r in ((i, fit.rows[i]) for i in order)]
    distrusted = [r for r in fit.rows if r["use"] != "1"]
    out += ["", "Rows not fitted to: " + "; ".join(f"{r['framework']} {r['version']} {r['model']} on {r['gpu_type']}" for r in distrusted) + "."]
    out += ["", "Campaigns (predicted over published hours, each left out; the same by one MFU a class): " +
            ", ".join(f"{run_rows[i]['run_id']} {np.exp(ours[i]):.2f} ({np.exp(baseline[i]):.2f})" for i in np.flatnonzero(run_chosen)) + "."]
    path = os.path.join(docs, "cost-model.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    head, tail = text[:text.index(BEGIN) + len(BEGIN)], text[text.index(END):]
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + "\n".join(out) + "\n" + tail)
