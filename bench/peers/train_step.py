#!/usr/bin/env python3
"""Training step of `build/finback bench step` beside PyTorch + transformers, in turns, on random ids, without MTP.

    bench/peers/train_step.py [--config tiny] [--threads 1,2] [--rounds 3] [--compile] [--out bench/results/train_step.jsonl]

The peer is DeepseekV3ForCausalLM in f32: forward, causal-LM cross-entropy, backward, clip_grad_norm_ 1.0, fused AdamW. Its modes: experts
grouped_mm or eager, attention sdpa or eager, glibc malloc as it is, told to keep freed pages (mallopt), or that on huge pages as ours
(GLIBC_TUNABLES), and with --compile torch.compile.
Each round tries every mode and ours once, so both sides meet the same neighbours; the best mode is the one with the best median.
One JSON line a thread count: tokens/s of both sides (median over rounds), ratio, peak memory, measured FMA peak, processor, commit."""
import argparse
import ctypes
import json
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import turns


def peer_step(a):
    if a.malloc != "default":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)              # M_MMAP_MAX: no mapping of its own for a big block
        libc.mallopt(-1, 2**31 - 1)      # M_TRIM_THRESHOLD: never give pages back
    import torch
    import transformers
    torch.set_num_threads(a.thread_count)
    with open(a.config_file, encoding="utf-8") as f:
        config = json.load(f)
    config["num_nextn_predict_layers"] = 0
    cfg = transformers.DeepseekV3Config.from_dict(config)
    cfg._attn_implementation, cfg._experts_implementation, cfg.use_cache = a.attention, a.experts, False
    torch.manual_seed(0)
    model = transformers.DeepseekV3ForCausalLM(cfg).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model, dynamic=False) if a.compile else model
    rows = a.batch_tokens // a.seq_len
    generator = torch.Generator().manual_seed(1)
    seconds = []
    for step in range(a.steps + 2):
        ids = torch.randint(0, cfg.vocab_size, (rows, a.seq_len), generator=generator)
        start = time.perf_counter()
        loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        if step >= 2:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"tokens_per_s_median": rows * a.seq_len / statistics.median(seconds),
                      "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "peer": f"transformers {transformers.__version__}, torch {torch.__version__}"}))


def compare(a, threads):
    modes = [(e, t, m, False) for e, t in (("grouped_mm", "sdpa"), ("grouped_mm", "eager"), ("eager", "sdpa")) for m in ("huge", "keep", "default")]
    if a.quick:
        modes = [("grouped_mm", "sdpa", "huge", False)]
    if a.compile:
        modes.append(("grouped_mm", "sdpa", "huge", True))
    shape = ["--batch-tokens", str(a.batch_tokens), "--seq-len", str(a.seq_len)]
    ours, peers = [], {mode: [] for mode in modes}
    for _ in range(a.rounds):
        ours.append(turns.run([a.finback, "bench", "step", "--config", a.config_file, "--precision", "f32", "--no-mtp", "--json",
                               "--steps", str(a.steps), "--threads", str(threads)] + shape))
        for experts, attention, malloc, compiled in modes:
            pages = ["env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"] if malloc == "huge" else []
            command = pages + [sys.executable, os.path.abspath(__file__), "--peer-step", "--config", a.config, "--experts", experts, "--attention", attention,
                       "--malloc", malloc, "--thread-count", str(threads), "--steps", str(a.steps)] + shape + (["--compile"] if compiled else [])
            peers[(experts, attention, malloc, compiled)].append(turns.run(command))
    rate = lambda results: statistics.median(r["tokens_per_s_median"] for r in results)
    best = max(modes, key=lambda mode: rate(peers[mode]))
    return {"figure": "train_step", "config": a.config, "threads": threads, "batch_tokens": a.batch_tokens, "seq_len": a.seq_len, "precision": "f32",
            "tokens_per_s": round(rate(ours), 1), "peer_tokens_per_s": round(rate(peers[best]), 1), "ratio": round(rate(ours) / rate(peers[best]), 3),
            "fma_peak_gflops": round(max(r["fma_peak_gflops"] for r in ours), 1),
            "share_of_peak": round(statistics.median(r["share_of_peak"] for r in ours), 3),
            "peak_memory_bytes": max(r["peak_memory_bytes"] for r in ours), "peer_peak_memory_bytes": min(r["peak_memory_bytes"] for r in peers[best]),
            "peer": peers[best][0]["peer"], "peer_mode": {"experts": best[0], "attention": best[1], "malloc": best[2], "compile": best[3]},
            "kernels": ours[0]["kernels"], "processor": ours[0]["processor"]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--config", default="tiny", help="a folder of configs/models")
    ap.add_argument("--batch-tokens", type=int, default=2048)
    ap.add_argument("--seq-len", type=int, default=256)
    ap.add_argument("--steps", type=int, default=6)
    turns.add_flags(ap, threads="1,2", rounds=3)
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--quick", action="store_true", help="only the peer's usual best mode")
    ap.add_argument("--peer-step", action="store_true", help=argparse.SUPPRESS)
    ap.add_argument("--experts", default="grouped_mm", help=argparse.SUPPRESS)
    ap.add_argument("--attention", default="sdpa", help=argparse.SUPPRESS)
    ap.add_argument("--malloc", default="keep", help=argparse.SUPPRESS)
    ap.add_argument("--thread-count", type=int, default=1, help=argparse.SUPPRESS)
    a = ap.parse_args()
    a.config_file = turns.model_config(a.config)
    if a.peer_step:
        return peer_step(a)
    for threads in turns.thread_counts(a):
        turns.emit(a, compare(a, threads))


if __name__ == "__main__":
    main()
