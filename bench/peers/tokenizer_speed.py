#!/usr/bin/env python3
"""Tokenizer of `build/finback` beside Hugging Face `tokenizers`, in turns, on text given here: training, encoding, decoding.

    bench/peers/tokenizer_speed.py [data/austen, files or corpus folders] [--vocab-size 8192] [--threads 1,2] [--rounds 3]

Text is cut into documents of about 4 kB at line ends, the same for both sides; both train DeepSeek-V3's form on it, then encode and decode
with the tokenizer that Finback trained. Rates are MB/s of UTF-8 text, MB = 10^6 bytes; mb_per_cpu_s divides by the CPU seconds
of all threads, which busy neighbours change least. Each round runs both sides once for each thread count, so both meet the
same neighbours; figures are medians over rounds (of the peer's fastest call: encode_batch_fast, which keeps no offsets; it cannot split one
text over threads). Prints ONE JSON line a figure; --out appends the lines to a file. Runs with the Python that has `tokenizers`."""
import argparse, gzip, json, os, pathlib, shlex, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REPEATS = 3


def texts(path):
    path = pathlib.Path(path)
    if path.is_dir():
        files = [path / "train.jsonl.zst"] if (path / "train.jsonl.zst").exists() else sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".md", ".jsonl"))
        for file in files: yield from texts(file)
    elif path.suffix == ".zst":
        raw = subprocess.run(["zstd", "-dc", "--long=31", str(path)], stdout=subprocess.PIPE, check=True).stdout
        for line in raw.decode().split("\n"):
            if line: yield json.loads(line)["text"]
    elif path.suffix == ".jsonl":
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line: yield json.loads(line)["text"]
    else:
        yield (gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()).decode("utf-8", "replace")


def documents(paths, size=4096):
    for path in paths:
        for text in texts(path):
            at = 0
            while at < len(text):
                end = text.find("\n", min(at + size, len(text)))
                end = len(text) if end < 0 else end + 1
                yield text[at:end]
                at = end


def spread(docs, mb):
    """Documents evenly over the corpus, about so many MB of them."""
    return docs[::max(1, int(sum(len(d.encode()) for d in docs) / 1e6 / mb))]


def median_rates(mb, call):
    wall, cpu = [], []
    for i in range(REPEATS + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        call()
        if i: wall.append(mb / (time.perf_counter() - start)), cpu.append(mb / (time.process_time() - cpu_start))
    return {"mb_s": statistics.median(wall), "mb_per_cpu_s": statistics.median(cpu)}


def peer_train(docs, form, vocab_size):
    """Seconds for as many merges as Finback made."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tok = Tokenizer.from_file(form)
    tok.model = models.BPE()
    special = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    start = time.perf_counter()
    tok.train_from_iterator(docs, trainer, length=len(docs))
    return {"seconds": time.perf_counter() - start}


def peer_bench(docs, file):
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(file)
    mb = sum(len(d.encode()) for d in docs) / 1e6
    whole = "".join(docs)
    ids = [e.ids for e in tok.encode_batch_fast(docs, add_special_tokens=False)]
    return {"tokens": sum(map(len, ids)),
            "encode": median_rates(mb, lambda: tok.encode_batch_fast(docs, add_special_tokens=False)),
            "encode_one_text": median_rates(mb, lambda: tok.encode_batch_fast([whole], add_special_tokens=False)),
            "decode": median_rates(mb, lambda: tok.decode_batch(ids, skip_special_tokens=False))}


def run(argv, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true" if threads > 1 else "false")
    return json.loads(subprocess.run(argv, env=env, check=True, stdout=subprocess.PIPE).stdout)


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"): return line.split(":", 1)[1].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", default=[str(ROOT / "data/austen")], help="default: data/austen, which ./quickstart builds")
    parser.add_argument("--finback", default=str(ROOT / "build/finback") + " tokenizer")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encode-mb", type=float, default=5, help="text that is encoded and decoded")
    parser.add_argument("--out")
    parser.add_argument("--peer", choices=["train", "bench"], help=argparse.SUPPRESS)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    args = parser.parse_args()
    docs = list(documents(args.inputs))
    if args.peer == "train": return print(json.dumps(peer_train(docs, args.form, args.vocab_size)))
    if args.peer == "bench": return print(json.dumps(peer_bench(docs, args.form)))

    import tokenizers
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    finback, peer = shlex.split(args.finback), [sys.executable, __file__]
    with tempfile.TemporaryDirectory() as folder:
        def write(name, some):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as out:
                for d in some: out.write(json.dumps({"text": d}, ensure_ascii=False) + "\n")
            return f"{folder}/{name}"
        all_docs, some_docs = write("train.jsonl", docs), write("encode.jsonl", spread(docs, args.encode_mb))
        mb = sum(len(d.encode()) for d in docs) / 1e6
        for threads in map(int, args.threads.split(",")):
            ours, theirs = [], []
            for _ in range(args.rounds):
                flags = [f"--threads={threads}"]
                trained = run(finback + ["train", all_docs, f"--vocab-size={args.vocab_size}", f"--out={folder}/tok", "--json"] + flags, threads)
                file = f"{folder}/tok/tokenizer.json"
                peer_trained = run(peer + [all_docs, "--peer=train", "--form", file, f"--vocab-size={259 + trained['merges']}"], threads)
                mine = run(finback + ["bench", f"{folder}/tok", some_docs] + flags, threads)
                other = run(peer + [some_docs, "--peer=bench", "--form", file], threads)
                if mine["tokens"] != other["tokens"] or not mine["round_trip"]: sys.exit(f"the ids differ: {mine} {other}")
                ours.append(dict(mine, train={"mb_s": mb / trained["seconds"]}))
                theirs.append(dict(other, train={"mb_s": mb / peer_trained["seconds"]}))
            for figure in ("train", "encode", "encode_one_text", "decode"):
                def median(side, unit): return round(statistics.median(r[figure][unit] for r in side), 2)
                rates = {"mb_s": median(ours, "mb_s"), "peer_mb_s": median(theirs, "mb_s")}
                if "mb_per_cpu_s" in ours[0][figure]: rates.update(mb_per_cpu_s=median(ours, "mb_per_cpu_s"), peer_mb_per_cpu_s=median(theirs, "mb_per_cpu_s"))
                line = json.dumps({"figure": "tokenizer_speed", "what": figure.replace("_", " "), "threads": threads, **rates, "ratio": round(rates["mb_s"] / rates["peer_mb_s"], 2),
                                   "mb": round(mb if figure == "train" else ours[0]["mb"], 1), "vocab_size": args.vocab_size, "rounds": args.rounds,
                                   "peer": f"tokenizers {tokenizers.__version__}", "processor": processor(), "cores": os.cpu_count(), "commit": commit})
                print(line, flush=True)
                if args.out:
                    with open(args.out, "a") as out: out.write(line + "\n")


if __name__ == "__main__":
    main()
