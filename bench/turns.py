"""What the benchmarks here share: a program's JSON answer, and one JSON line a figure, on the terminal and behind --out."""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def model_config(name):
    return os.path.join(ROOT, "configs", "models", name, "config.json")


def run(command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def add_flags(parser, threads, rounds):
    parser.add_argument("--threads", default=threads, help="numbers of threads, e.g. 1,2")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--finback", default=os.path.join(ROOT, "build", "finback"))
    parser.add_argument("--out", help="append the JSON lines to this file")


def thread_counts(a):
    return [int(t) for t in a.threads.split(",")]


def emit(a, figure):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    line = json.dumps({**figure, "rounds": a.rounds, "commit": commit})
    print(line, flush=True)
    if a.out:
        with open(a.out, "a", encoding="utf-8") as f:
            f.write(line + "\n")
