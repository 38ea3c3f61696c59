#!/usr/bin/env python3
"""f32 matrix products of `build/finback bench gemm` beside torch.mm, in turns, at the shapes that the models multiply.

    bench/peers/mm.py [--threads 1] [--rounds 3] [--finback build/finback] [--out bench/results/mm.jsonl]

Each round runs ours, then the peer in a process of its own, so both meet the same neighbours. A product's time is the shortest call of its round
(a neighbour can only lengthen it), the figure is the median over rounds. The peer multiplies into memory that it was given, in the faster of its
two layouts of B. forward: C = A B, our B packed before as training packs a weight once a step; wgrad: C += A^T B, nothing packed before.
One JSON line a product: GFLOP/s of both sides, ratio, shares of the measured FMA peak, processor, commit."""
import argparse
import json
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import turns

FORMS = {"packed": "forward", "wgrad": "wgrad"}


def shortest(call, seconds=0.2):
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def peer(a):
    import torch
    torch.set_num_threads(a.thread_count)
    times = []
    for form, m, n, k in json.load(sys.stdin):
        left, b, c = torch.randn(m, k), torch.randn(k, n), torch.zeros(m, n)
        if form == "wgrad":
            columns = torch.randn(k, m).t()
            times.append(shortest(lambda: torch.addmm(c, columns, b, out=c)))
        else:
            transposed = torch.randn(n, k).t()
            times.append(min(shortest(lambda: torch.mm(left, b, out=c)), shortest(lambda: torch.mm(left, transposed, out=c))))
    print(json.dumps({"times": times, "peer": f"torch {torch.__version__}"}))


def products(rows):
    """(name, form, m, n, k, seconds) of the bench's rows: `gemm packed low rank 2048x384x128`."""
    for row in rows:
        match = re.fullmatch(r"gemm (packed|wgrad) (.*) (\d+)x(\d+)x(\d+)", row["name"])
        if match:
            form, what = FORMS[match[1]], match[2]
            yield (what, form, int(match[3]), int(match[4]), int(match[5]), row["seconds_min"])


def compare(a, threads):
    ours, theirs, peaks, name = {}, {}, [], ""
    for _ in range(a.rounds):
        result = turns.run([a.finback, "bench", "gemm", "--json", "--threads", str(threads)])
        peaks.append(result["fma_peak_gflops"])
        rows = list(products(result["rows"]))
        answer = turns.run([sys.executable, os.path.abspath(__file__), "--peer", "--thread-count", str(threads)],
                           json.dumps([[form, m, n, k] for _, form, m, n, k, _ in rows]))
        name = answer["peer"]
        for (what, form, m, n, k, seconds), peer_seconds in zip(rows, answer["times"]):
            ours.setdefault((what, form, m, n, k), []).append(seconds)
            theirs.setdefault((what, form, m, n, k), []).append(peer_seconds)
    for key, times in ours.items():
        what, form, m, n, k = key
        flops, peak = 2e-9 * m * n * k, max(peaks)
        mine, other = flops / statistics.median(times), flops / statistics.median(theirs[key])
        yield {"figure": "mm", "product": what, "form": form, "m": m, "n": n, "k": k, "threads": threads, "gflops": round(mine, 1),
               "peer_gflops": round(other, 1), "ratio": round(mine / other, 3), "share_of_peak": round(mine / peak, 3),
               "peer_share_of_peak": round(other / peak, 3), "fma_peak_gflops": round(peak, 1),
               "peer": name, "kernels": result["kernels"], "processor": result["processor"]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    turns.add_flags(ap, threads="1", rounds=3)
    ap.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    ap.add_argument("--thread-count", type=int, default=1, help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.peer:
        return peer(a)
    for threads in turns.thread_counts(a):
        for figure in compare(a, threads):
            turns.emit(a, figure)


if __name__ == "__main__":
    main()
