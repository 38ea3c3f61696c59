#!/usr/bin/env python3
"""Finback's bf16, FP8 and int8 beside its own f32, in turns: a training step in bf16 and FP8, decoding from 8- and 16-bit weights.

    bench/precisions.py step [--configs nano,tiny,small] [--threads 1,2] [--rounds 3] [--out bench/results/precisions.jsonl]
    bench/precisions.py decode [--configs wide] ...

step: tokens/s, ratio to f32, bytes kept for the backward pass (without MTP, 8 rows of 256). decode: batch 1 behind a prompt of 16; the share is stored bytes a
second over what reading the same weights alone takes, which is the limit of a decoder. One JSON line a figure: medians over rounds."""
import argparse
import statistics

import turns

PRECISIONS = {"step": ("f32", "bf16", "fp8"), "decode": ("f32", "bf16", "fp8", "int8")}


def once(a, config, threads, precision):
    if a.what == "step":
        return turns.run([a.finback, "bench", "step", "--config", turns.model_config(config), "--no-mtp", "--json", "--steps", str(a.steps), "--threads",
                          str(threads), "--precision", precision])
    return turns.run([a.finback, "bench", "decode", "--config", turns.model_config(config), "--json", "--prompt", "16", "--new", "48", "--threads",
                      str(threads), "--weights", precision])


def figures(a, config, threads):
    results = {p: [] for p in PRECISIONS[a.what]}
    for _ in range(a.rounds):
        for precision, answers in results.items():
            answers.append(once(a, config, threads, precision))
    rate_key = "tokens_per_s_median" if a.what == "step" else "decode_tokens_per_s"
    median = lambda precision, key: statistics.median(r[key] for r in results[precision])
    for precision, answers in results.items():
        line = {"figure": f"{a.what}_precision", "config": config, "threads": threads, "precision": precision,
                "tokens_per_s": round(median(precision, rate_key), 2), "ratio_to_f32": round(median(precision, rate_key) / median("f32", rate_key), 3)}
        if a.what == "step":
            line.update(backward_bytes=answers[0]["backward_bytes"],
                        backward_bytes_to_f32=round(answers[0]["backward_bytes"] / results["f32"][0]["backward_bytes"], 3))
        else:
            read = line["tokens_per_s"] * answers[0]["bytes_per_token"] * 1e-9
            line.update(read_gb_per_s=round(read, 2), weights_read_gb_per_s=round(median(precision, "weights_read_gb_per_s"), 1),
                        share_of_read=round(median(precision, "share_of_read"), 3))
        yield {**line, "kernels": answers[0]["kernels"], "processor": answers[0]["processor"]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=list(PRECISIONS))
    ap.add_argument("--configs", help="folders of configs/models")
    ap.add_argument("--steps", type=int, default=6)
    turns.add_flags(ap, threads="1,2", rounds=3)
    a = ap.parse_args()
    for config in (a.configs or {"step": "nano,tiny,small", "decode": "wide"}[a.what]).split(","):
        for threads in turns.thread_counts(a):
            for figure in figures(a, config, threads):
                turns.emit(a, figure)


if __name__ == "__main__":
    main()
