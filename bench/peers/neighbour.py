#!/usr/bin/env python3
"""A training step on two threads while another program keeps one core busy, beside PyTorch in the same place.

    bench/peers/neighbour.py [--config tiny] [--rounds 3] [--out bench/results/neighbour.jsonl]

A program that waits for its slowest thread by spinning, or cuts work into as many pieces as threads, stands still beside a neighbour. The ratio is
tokens/s of two threads beside it over tokens/s of one thread with the machine to itself: 1 is what the other core alone gives.
The neighbour is a loop in a process bound to one core; the runs are free to move. One JSON line: medians over rounds, in turns."""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import turns

ON_ONE_CORE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"


@contextlib.contextmanager
def neighbour():
    loop = subprocess.Popen([sys.executable, "-c", ON_ONE_CORE])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--config", default="tiny", help="a folder of configs/models")
    ap.add_argument("--steps", type=int, default=6)
    turns.add_flags(ap, threads="2", rounds=3)
    a = ap.parse_args()

    def ours(threads):
        return turns.run([a.finback, "bench", "step", "--config", turns.model_config(a.config), "--no-mtp", "--json", "--steps", str(a.steps), "--threads",
                          str(threads)])

    def peer(threads):
        return turns.run(["env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1", sys.executable, os.path.join(HERE, "train_step.py"), "--peer-step", "--malloc", "huge",
                          "--config", a.config, "--thread-count", str(threads), "--steps", str(a.steps)])

    for threads in turns.thread_counts(a):
        rates = {"ours_alone": [], "ours_beside": [], "peer_alone": [], "peer_beside": []}
        for _ in range(a.rounds):
            for name, program in (("ours", ours), ("peer", peer)):
                answer = program(1)
                rates[name + "_alone"].append(answer["tokens_per_s_median"])
                with neighbour():
                    rates[name + "_beside"].append(program(threads)["tokens_per_s_median"])
                if name == "ours": machine = {"kernels": answer["kernels"], "processor": answer["processor"]}
                else: machine["peer"] = answer["peer"]
        rate = {name: statistics.median(values) for name, values in rates.items()}
        turns.emit(a, {"figure": "neighbour", "config": a.config, "threads": threads, **{f"{name}_tokens_per_s": round(value, 1) for name, value in rate.items()},
                       "ratio": round(rate["ours_beside"] / rate["ours_alone"], 3), "peer_ratio": round(rate["peer_beside"] / rate["peer_alone"], 3), **machine})


if __name__ == "__main__":
    main()
