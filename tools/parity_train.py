#!/usr/bin/env python3
"""Learning is real: finback's training loss beside a plain PyTorch + transformers loop, step by step.

Same initial weights (made here), same rows in the same order (finback logs them with --log-rows), same AdamW, clipping and schedule;
MTP, balance loss and bias update off on both sides. Two comparisons:
  all       every expert takes part in every token: a smooth computation, so the losses must agree within 1e-3 at every step.
  replay    the config as it is. Which experts a token goes to is a discrete choice: two scores that differ in their last bit swap, and a
            hundred steps later two correct programs (PyTorch on one and on two threads, say) are 0.1 nats apart. So transformers takes the
            experts that finback chose (the log has them) and computes their weights and everything else itself: within 1e-3 in the mean
            over the steps and 1e-2 at every step, and it would have chosen at most 1 % of the experts otherwise.
  own       each side chooses: shows the drift, fails never (not run unless asked for).
A loss that falls by less than --fall nats fails too: a model that learns nothing would agree.

  python tools/parity_train.py --finback build/finback --tokens data/austen/tokens
Needs torch, transformers, safetensors (development only).
"""
import argparse, json, os, subprocess, sys, tempfile

import torch


CASES = {"all": {"every step": 1e-3}, "replay": {"every step": 1e-2, "mean": 1e-3, "rerouted": 1e-2}, "own": {}}


def load_config(path, vocab, seq_len, every_expert):
    config = json.load(open(os.path.join(path, "config.json")))
    config.update(vocab_size=vocab, num_nextn_predict_layers=0, max_position_embeddings=max(seq_len, config["max_position_embeddings"]))
    if every_expert:
        config.update(num_experts_per_tok=config["n_routed_experts"], topk_group=config["n_group"])
    return config


def make_model(config, seed):
    import transformers
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(seed)
    shape = transformers.DeepseekV3Config.from_dict(dict(config))
    shape._attn_implementation = "eager"
    return transformers.DeepseekV3ForCausalLM(shape).float().train()


def block_mask(starts, length):
    """Additive causal mask [1, 1, S, S] in which a document sees itself only."""
    document = torch.zeros(length, dtype=torch.long)
    for start in starts:
        document[start:] += 1
    allowed = (document[:, None] == document[None, :]) & torch.ones(length, length).tril().bool()
    return torch.zeros(length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)[None]


class Replay:
    """Stands in for one gate's forward: the experts given, their weights from the gate's own scores (V3 eq. 13-16)."""
    def __init__(self, gate, layer):
        self.gate, self.layer, self.original, self.rows = gate, str(layer), gate.forward, None
        self.chosen = self.rerouted = 0  # experts replayed, and those of them that the gate would not have chosen
        gate.forward = self.forward

    def forward(self, hidden):
        logits, _, own = self.original(hidden)
        ids = torch.cat([torch.tensor(row["experts"][self.layer]) for row in self.rows]).view(-1, self.gate.top_k)
        self.chosen += ids.numel()
        self.rerouted += int((~(ids[:, :, None] == own[:, None, :]).any(-1)).sum())
        weights = logits.sigmoid().gather(1, ids)
        if self.gate.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return logits, weights * self.gate.routed_scaling_factor, ids


def torch_losses(model, gates, rows_by_step, o):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": o.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step, rows in enumerate(rows_by_step, 1):
        ids, targets, positions = (torch.tensor([r[k] for r in rows]) for k in ("tokens", "targets", "positions"))
        for gate in gates:
            gate.rows = rows
        mask = torch.stack([block_mask(r["starts"], ids.shape[1]) for r in rows])
        logits = model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = o.lr * min(1.0, step / o.warmup)
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0 or step == 1:
            print(f"torch step {step}: {losses[-1]:.6f}", flush=True)
    return losses


def finback_losses(folder, o):
    rows = os.path.join(folder, "rows.jsonl")
    keys = {"run.dir": folder, "run.name": "run", "model.config": os.path.join(folder, "init"), "model.vocab_size": o.vocab,
            "train.init": os.path.join(folder, "init"), "train.steps": o.steps, "train.batch_tokens": o.batch_tokens,
            "train.micro_batch_tokens": o.micro_batch_tokens,
            "train.mtp_lambda": 0, "train.mtp_lambda_late": 0, "train.balance_alpha": 0, "train.bias_update_speed": 0, "train.grad_clip": 1.0,
            "train.mla_algebra": o.mla_algebra, "optimizer.lr": o.lr, "optimizer.weight_decay": o.weight_decay, "schedule.kind": "constant",
            "schedule.warmup_steps": o.warmup, "data.seq_len": o.seq_len, "eval.every": 0, "eval.sample_tokens": 0, "checkpoint.every": 0}
    recipe = os.path.join(folder, "recipe.toml")
    with open(recipe, "w") as f:
        f.write(f'[[data.corpora]]\npath = "{os.path.abspath(o.tokens)}"\n')
    subprocess.run([o.finback, "train", recipe, f"--log-rows={rows}"] + [f"--{k}={v}" for k, v in keys.items()], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in open(os.path.join(folder, "run", "metrics.jsonl"))]
    by_step = {}
    for line in open(rows):
        row = json.loads(line)
        by_step.setdefault(row["step"], []).append(row)
    return [line["main_loss"] for line in lines if line["kind"] == "step"], [by_step[s] for s in sorted(by_step)]


def compare(case, o):
    """Runs both sides; returns what was wrong, and both curves."""
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(load_config(o.config, o.vocab, o.seq_len, case == "all"), o.seed)
        model.save_pretrained(os.path.join(folder, "init"))
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + o.perturb * torch.randn_like(p))
        ours, rows = finback_losses(folder, o)
        gates = [Replay(layer.mlp.gate, n) for n, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "gate")] if case == "replay" else []
        theirs = torch_losses(model, gates, rows, o)
    gaps = [abs(a - b) for a, b in zip(ours, theirs)]
    seen = {"every step": max(gaps), "mean": sum(gaps) / len(gaps)}
    if case == "replay":
        seen["rerouted"] = sum(g.rerouted for g in gates) / sum(g.chosen for g in gates)
    fall = theirs[0] - min(sum(theirs[-5:]) / 5, theirs[-1])
    print(f"{case}: {len(gaps)} steps at lr {o.lr}: loss {theirs[0]:.4f} -> {theirs[-1]:.4f} (fell {fall:.2f} nats); largest difference "
          f"{seen['every step']:.2e} at step {gaps.index(max(gaps)) + 1}, mean {seen['mean']:.2e}"
          + (f", {100 * seen['rerouted']:.3f} % of the experts would have been others" if "rerouted" in seen else ""))
    wrong = [f"{what} {seen[what]:.2e}, expected at most {bar}" for what, bar in CASES[case].items() if not seen[what] <= bar]
    wrong += [] if fall >= o.fall else [f"fell {fall:.2f} nats, expected at least {o.fall}"]
    wrong += [] if len(ours) == len(theirs) == o.steps else [f"{len(ours)} and {len(theirs)} steps, expected {o.steps}"]
    return wrong, {"finback": ours, "torch": theirs}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--finback", default="build/finback")
    p.add_argument("--tokens", default="data/austen/tokens", help="folder of token shards")
    p.add_argument("--config", default="configs/models/tiny")
    p.add_argument("--steps", type=int, default=100)
    p.add_argument("--batch-tokens", type=int, default=2048)
    p.add_argument("--micro-batch-tokens", type=int, default=0)
    p.add_argument("--seq-len", type=int, default=256)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--warmup", type=int, default=10)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--mla-algebra", default="expanded")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--perturb", type=float, default=0.0, help="changes transformers' initial weights by this share: 6e-8 is their last bit")
    p.add_argument("--cases", default="all,replay", help="of " + ", ".join(CASES))
    p.add_argument("--fall", type=float, default=2.0)
    p.add_argument("--out", default="", help="JSON with both curves of each case")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    o.vocab = json.load(open(os.path.join(o.tokens, "tokenizer_info.json")))["vocab_size"]
    curves, failed = {}, 0
    for case in o.cases.split(","):
        wrong, curves[case] = compare(case, o)
        failed += bool(wrong)
        print(f"{case}: " + ("FAILED: " + "; ".join(wrong) if wrong else "ok"), flush=True)
    if o.out:
        json.dump(curves, open(o.out, "w"))
    print(f"{len(curves) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
