#!/usr/bin/env python3
"""Training steps of dense and MLA + MoE models with PyTorch on one CUDA GPU, held against `finback plan` on rows that its fit never saw.

    bench/peers/gpu_step.py --out rows.csv          on a machine with a CUDA GPU and torch (about 4 minutes)
    bench/peers/gpu_step.py --score rows.csv        anywhere: the planner's prediction beside each row

bf16 weights and gradients with f32 master weights and fused AdamW, torch.compile, SDPA, torch._grouped_mm for the experts; random tokens. A row has the columns
of configs/cost/throughput.csv with the shape written out. It also prints what the part reaches alone: matrix products, attention, copy."""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# name: layers, d_model, heads, kv heads (0: MLA), dense FFN, routed experts, top k, shared experts, expert FFN, sequences, their length
MODELS = {
    "dense 0.4B": (24, 1024, 16, 16, 2816, 0, 0, 0, 0, 8, 2048),
    "dense 1.2B": (16, 2048, 16, 8, 8192, 0, 0, 0, 0, 4, 4096),
    "dense 1.2B 16K": (16, 2048, 16, 8, 8192, 0, 0, 0, 0, 1, 16384),
    "dense 2.8B": (28, 3072, 24, 8, 8192, 0, 0, 0, 0, 1, 4096),
    "MLA MoE 2.6B": (12, 2048, 16, 0, 8192, 32, 4, 1, 1024, 2, 4096),
    "MLA MoE 0.8B": (12, 1024, 8, 0, 4096, 32, 4, 1, 640, 4, 4096),
}
TINY = {"dense": (2, 128, 2, 1, 128, 0, 0, 0, 0, 2, 32), "MLA MoE": (2, 64, 2, 0, 128, 4, 2, 1, 32, 2, 32)}
VOCAB, KV_RANK, NOPE, ROPE, VALUE = 32768, 512, 128, 64, 128


def build(torch, shape, device):
    """The decoder as an nn.Module: tokens -> mean next-token loss."""
    from torch import nn
    from torch.nn import functional as F
    layers, d, heads, kv_heads, d_ffn, experts, top_k, shared, d_expert, _, seq_len = shape
    angle = torch.outer(torch.arange(seq_len), 10000.0 ** -(torch.arange(0, ROPE, 2) / ROPE)).repeat(1, 2)
    cos, sin = (t.to(device, torch.bfloat16) for t in (angle.cos(), angle.sin()))

    def rotated(x):  # the last ROPE values of a head
        keep, turn = x.split([x.shape[-1] - ROPE, ROPE], -1)
        left, right = turn.chunk(2, -1)
        return torch.cat([keep, turn * cos + torch.cat([-right, left], -1) * sin], -1)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = NOPE + ROPE if kv_heads == 0 else d // heads
            self.q = nn.Linear(d, heads * self.head, bias=False)
            if kv_heads == 0:
                self.down, self.norm = nn.Linear(d, KV_RANK + ROPE, bias=False), nn.RMSNorm(KV_RANK)
                self.up = nn.Linear(KV_RANK, heads * (NOPE + VALUE), bias=False)
            else:
                self.kv = nn.Linear(d, 2 * kv_heads * self.head, bias=False)
            self.o = nn.Linear(heads * (VALUE if kv_heads == 0 else self.head), d, bias=False)

        def forward(self, x):
            b, t, _ = x.shape
            q = self.q(x).view(b, t, heads, self.head).transpose(1, 2)
            if kv_heads == 0:
                latent, k_rope = self.down(x).split([KV_RANK, ROPE], -1)
                k, v = self.up(self.norm(latent)).view(b, t, heads, NOPE + VALUE).transpose(1, 2).split([NOPE, VALUE], -1)
                k = torch.cat([k, k_rope.unsqueeze(1).expand(b, heads, t, ROPE)], -1)
                v = F.pad(v, (0, self.head - VALUE))  # the kernel wants one head size
            else:
                k, v = self.kv(x).view(b, t, 2, kv_heads, self.head).permute(2, 0, 3, 1, 4)
            out = F.scaled_dot_product_attention(rotated(q), rotated(k), v, is_causal=True, enable_gqa=0 < kv_heads < heads)
            if kv_heads == 0: out = out[..., :VALUE]
            return self.o(out.transpose(1, 2).reshape(b, t, -1))

    class Gated(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.gate_up, self.down = nn.Linear(d, 2 * width, bias=False), nn.Linear(width, d, bias=False)

        def forward(self, x):
            gate, up = self.gate_up(x).chunk(2, -1)
            return self.down(F.silu(gate) * up)

    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.router, self.shared = nn.Linear(d, experts, bias=False), Gated(shared * d_expert)
            self.gate_up = nn.Parameter(torch.randn(experts, d, 2 * d_expert) * 0.02)
            self.down = nn.Parameter(torch.randn(experts, d_expert, d) * 0.02)

        def forward(self, x):
            rows = x.reshape(-1, d)
            scores = self.router(rows).float().sigmoid()
            # The choice is forced to be even, as in published benchmarks; finding the best top_k is not timed.
            chosen = torch.arange(len(rows) * top_k, device=rows.device).view(-1, top_k) % experts
            weight = scores.gather(1, chosen)
            order = chosen.flatten().argsort(stable=True)
            ends = (chosen.flatten()[:, None] == torch.arange(experts, device=rows.device)).sum(0).cumsum(0).to(torch.int32)
            token = order // top_k
            gate, up = torch._grouped_mm(rows[token], self.gate_up, offs=ends).chunk(2, -1)
            out = torch._grouped_mm(F.silu(gate) * up, self.down, offs=ends) * weight.flatten()[order, None].to(x.dtype)
            return (self.shared(rows) + torch.zeros_like(rows).index_add(0, token, out)).view_as(x)

    class Block(nn.Module):
        def __init__(self, sparse):
            super().__init__()
            self.norms = nn.ModuleList([nn.RMSNorm(d), nn.RMSNorm(d)])
            self.attention, self.ffn = Attention(), Experts() if sparse else Gated(d_ffn)

        def forward(self, x):
            x = x + self.attention(self.norms[0](x))
            return x + self.ffn(self.norms[1](x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head, self.norm = nn.Embedding(VOCAB, d), nn.Linear(d, VOCAB, bias=False), nn.RMSNorm(d)
            self.blocks = nn.ModuleList(Block(experts > 0 and i > 0) for i in range(layers))

        def forward(self, tokens):
            x = self.embedding(tokens[:, :-1])
            for block in self.blocks: x = block(x)
            return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), tokens[:, 1:].flatten())

    return Model().to(device, torch.bfloat16)


def timed(torch, device, work, rounds, warm=3):
    """Median seconds of work()."""
    seconds = []
    for i in range(warm + rounds):
        if device == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record(); work(); end.record(); end.synchronize()
            seconds.append(begin.elapsed_time(end) / 1e3)
        else:
            begun = time.perf_counter()
            work(); seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[warm:])


def step_row(torch, name, shape, device, rounds):
    layers, d, heads, kv_heads, d_ffn, experts, top_k, shared, d_expert, seqs, seq_len = shape
    model = build(torch, shape, device)
    if device == "cuda":
        for block in model.blocks: block.compile(dynamic=False)
    weights = list(model.parameters())
    master = [w.detach().float() for w in weights]
    for m in master: m.grad = torch.zeros_like(m)
    optimizer = torch.optim.AdamW(master, lr=1e-4, fused=True)
    tokens = torch.randint(VOCAB, (seqs, seq_len + 1), device=device)
    losses = []

    def step():
        loss = model(tokens)
        loss.backward()
        torch._foreach_copy_([m.grad for m in master], [w.grad for w in weights])
        torch.nn.utils.clip_grad_norm_(master, 1.0, foreach=True)
        optimizer.step()
        with torch.no_grad(): torch._foreach_copy_(weights, master)
        for w in weights: w.grad = None
        losses.append(loss.detach())

    seconds = timed(torch, device, step, rounds)
    assert losses[-1] < losses[0], f"{name}: the loss did not fall: {losses[0]:.3f} -> {losses[-1]:.3f}"
    mla = f"MLA kv{KV_RANK} rope{ROPE} nope{NOPE} v{VALUE}"
    return {"framework": "PyTorch " + torch.__version__, "version": "", "date": "2026-03", "model": name, "gpu_type": torch.cuda.get_device_name().removeprefix("NVIDIA ").split()[0] if device == "cuda" else "H100", "gpus": 1, "precision": "BF16",
            "gbs_seqs": seqs, "mbs_seqs": seqs, "seq_len": seq_len, "recompute": "none", "n_layers": layers, "d_model": d, "n_heads": heads,
            "n_kv_heads_or_MLA": kv_heads or mla, "vocab": VOCAB, "d_ffn_dense": d_ffn, "moe_routed": experts or "", "moe_top_k": top_k or "",
            "moe_shared": shared or "", "moe_d_ffn": d_expert or "", "params_total_B": round(sum(w.numel() for w in weights) / 1e9, 4),
            "tokens_per_s_per_gpu": round(seqs * seq_len / seconds, 1), "step_time_s": round(seconds, 5),
            "memory_GiB": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device == "cuda" else ""}


def alone(torch):
    """What the part reaches by itself, a line each."""
    half = lambda *s: torch.randn(*s, device="cuda", dtype=torch.bfloat16)
    for m, n, k in ((8192, 8192, 8192), (16384, 2048, 2048), (16384, 16384, 2048), (16384, 2048, 8192), (4096, 3072, 3072), (4096, 16384, 3072)):
        a, b = half(m, k), half(n, k).t()
        print(f"bf16 [{m}, {k}] x [{k}, {n}]: {2 * m * n * k / timed(torch, 'cuda', lambda: a @ b, 20) / 1e12:.0f} TFLOP/s")
        try:
            a8, b8, one = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn), torch.ones((), device="cuda")
            s = timed(torch, "cuda", lambda: torch._scaled_mm(a8, b8, one, one, out_dtype=torch.bfloat16, use_fast_accum=False), 20)
            print(f"fp8  [{m}, {k}] x [{k}, {n}]: {2 * m * n * k / s / 1e12:.0f} TFLOP/s")
        except RuntimeError as e:
            print(f"fp8 not run: {str(e).splitlines()[0]}")
    for heads, t, head in ((16, 4096, 128), (16, 16384, 128), (16, 4096, 192)):
        q, k, v = (half(2, heads, t, head).requires_grad_() for _ in range(3))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        grad = torch.ones_like(out)
        flops = 2 * heads * 2 * t * t * head  # forward, causal half of 4
        forward = timed(torch, "cuda", lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True), 10)
        backward = timed(torch, "cuda", lambda: out.backward(grad, retain_graph=True), 10)
        print(f"attention {heads} heads of {head}, {t} tokens: {flops / forward / 1e12:.0f} TFLOP/s forward, {2.5 * flops / backward / 1e12:.0f} backward")
    source, target = half(2**31), half(2**31)
    print(f"copy: {4 * 2**32 / 2 / timed(torch, 'cuda', lambda: target.copy_(source), 10) / 1e12:.2f} TB/s, read + written")


def measure(a):
    import torch
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not a.tiny: sys.exit("gpu_step: expected a CUDA GPU. Hint: --tiny runs two small models on the CPU to see that the script works")
    if device == "cuda":
        print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
        if not a.tiny: alone(torch)
    rows = []
    for name, shape in (TINY if a.tiny else MODELS).items():
        if a.only and a.only not in name: continue
        torch.manual_seed(1)
        try:
            rows.append(step_row(torch, name, shape, device, a.rounds))
        except RuntimeError as e:  # one that does not run must not lose the others
            print(f"{name}: not measured: {str(e).splitlines()[0]}", flush=True)
            continue
        finally:
            if device == "cuda": torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats(); torch._dynamo.reset()
        print(f"{name}: {rows[-1]['tokens_per_s_per_gpu']:.0f} tokens/s on {device}, {rows[-1]['memory_GiB'] or '-'} GiB", flush=True)
        with open(a.out, "w", encoding="utf-8", newline="") as f:
            table = csv.DictWriter(f, fieldnames=list(rows[0]))
            table.writeheader()
            table.writerows(rows)


def score(a):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "predictions.csv")
        subprocess.run([a.finback, "plan", "--rows", a.score, "--out", out], check=True)
        with open(out, encoding="utf-8", newline="") as f: predicted = list(csv.DictReader(f))
    with open(a.score, encoding="utf-8", newline="") as f: measured = list(csv.DictReader(f))
    print(f"{'model':<18} {'measured':>9} {'planned':>9} {'low':>9} {'high':>9}   error   tokens/s; memory GiB measured, planned")
    errors = []
    for m, p in zip(measured, predicted):
        if not p["tokens_per_s_per_gpu"]: sys.exit(f"gpu_step: no prediction for {m['model']}: {p['reason']}")
        there, plan = float(m["tokens_per_s_per_gpu"]), float(p["tokens_per_s_per_gpu"])
        errors.append(abs(there / plan - 1))  # of the time
        print(f"{m['model']:<18} {there:>9.0f} {plan:>9.0f} {float(p['tokens_per_s_low']):>9.0f} {float(p['tokens_per_s_high']):>9.0f}  {100 * (there / plan - 1):+5.1f} %"
              f"   {float(m['memory_GiB'] or 'nan'):6.1f} {float(p['memory_GiB']):6.1f}")
    print(f"{len(errors)} rows: median error of the time {100 * statistics.median(errors):.1f} %, largest {100 * max(errors):.1f} %")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", default="rows.csv")
    ap.add_argument("--score", metavar="ROWS.csv")
    ap.add_argument("--only", help="models with this in their name")
    ap.add_argument("--rounds", type=int, default=10)
    ap.add_argument("--tiny", action="store_true", help="two small models, on the CPU too")
    ap.add_argument("--finback", default=os.path.join(ROOT, "build", "finback"))
    a = ap.parse_args()
    if a.score: score(a)
    else: measure(a)


if __name__ == "__main__":
    main()
