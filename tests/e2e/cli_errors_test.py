"""Mistakes from outside: exit codes 1 and 2, exactly one line on stderr, nothing on stdout, no trace of the inside."""
import json
import os
import shutil

import small_run
from small_run import finback, train_words

VERBS = ["corpus", "tokenizer", "tokenize", "train", "generate", "inspect", "doctor", "parity", "convert", "plan", "bill", "bench", "chat", "plot", "version", "completion"]


class CliErrorsTest(small_run.ProgramTest):
    def folder(self, name):
        path = os.path.join(small_run.work_folder(), "errors-" + name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def write(self, folder, name, text):
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def test_every_verb_explains_itself_with_an_example(self):
        self.assertIn("example", self.good("--help").stdout)
        for verb in VERBS:
            for flag in ("--help", "-h"):
                with self.subTest(verb=verb):
                    done = self.good(verb, flag)
                    self.assertIn(f"usage: finback {verb}", done.stdout)
                    self.assertRegex(done.stdout, r"example\n +finback " + verb)
                    for everywhere in ("--threads", "--kernels", "--quiet", "--help-all"):
                        self.assertIn("\n  " + everywhere, done.stdout)
                    self.assertEqual(done.stderr, "")

    def test_no_verb_prints_help_and_fails(self):
        done = finback()
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage", done.stdout)

    def test_unknown_verbs_and_flags_exit_2(self):
        self.bad(2, "trian", says="did you mean train")
        self.bad(2, "--threads", "2", "train", says="unknown verb")
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.bad(2, verb, "--no-such-flag", says="no-such-flag")
        self.bad(2, "generate", "x", "--temprature", "1", says="--temperature")
        self.bad(2, "generate", "x", "-t", "1", says="-t")
        self.bad(2, "generate", says="usage".capitalize())
        self.bad(2, "inspect", "a", "b", says='"b"')
        self.bad(2, "generate", "x", "--max-tokens", says="--max-tokens")
        self.bad(2, "inspect", "x", "--threads", says="--threads")
        self.bad(2, "train", "x", "--resume", "--overwrite")
        self.bad(2, "train", "x", "--resume", "--log-rows", "y", says="--log-rows")

    def test_bad_values_exit_1_and_name_the_flag(self):
        self.bad(1, "inspect", "x", "--threads=0", says="--threads")
        self.bad(1, "inspect", "x", "--threads=2x", says="2x")
        self.bad(1, "inspect", "x", "--kernels=fast", says="fast")
        self.bad(1, "inspect", "configs/models/v3", "--seq-len=-1", says="--seq-len")
        self.bad(1, "generate", "x", "--temperature", "warm", says="warm")
        self.bad(1, "generate", "x", "--prompt", "a", "--ids", "1", says="--ids")
        self.bad(1, "generate", "x", "--chat", "--ids", "1", says="--chat")
        self.bad(1, "generate", "x", "--prompt", "a", "--system", "b", says="--system")
        self.bad(1, "train", "x.toml", "--failpoint=write", says="--failpoint")

    def test_flags_of_every_verb_are_flags_only_where_a_flag_may_stand(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.bad(1, verb, "--threads=0", says="--threads")
                self.bad(1, verb, "--kernels", "fast", says="fast")
        self.bad(1, "bench", "--threads=0", "step", says="--threads")
        self.bad(1, "bench", "--threads", 1, "step", "--config", "no/such", says="no/such")
        for word in ("--poison", "--threads", "--threads=0", "--kernels=fast", "--failpoint=x"):
            with self.subTest(word=word):
                self.bad(1, "generate", "no/such", "--prompt", word, says="no/such")
                self.bad(1, "generate", "no/such", f"--prompt={word}", says="no/such")
                self.bad(1, "inspect", "--", word, says=word)

    def test_missing_files_are_named(self):
        for words in (["corpus", "build", "no/such.toml", "--out", "x"], ["tokenizer", "train", "no/such", "--vocab-size", 300, "--out", "x"], ["tokenizer", "encode", "no/such"],
                      ["tokenize", "no/such", "--tokenizer", "no/such", "--out", "x"], ["train", "no/such.toml"], ["generate", "no/such", "--prompt", "x"],
                      ["inspect", "no/such"], ["parity", "no/such", "--ids", "no/such", "--out", "x"],
                      ["convert", "no/such", "--dtype", "bf16", "--out", "x"], ["bill", "no/such"], ["bench", "step", "--config", "no/such"]):
            with self.subTest(words=words):
                self.bad(1, *words, says="no/such")
        self.assertFalse(os.path.exists(os.path.join(small_run.ROOT, "x")), "a refused command left something behind")

    def test_recipes_are_checked_before_anything_is_written(self):
        cases = (("--train.stpes=3", "train.steps", 1), ("--train.steps=many", "train.steps", 1), ("--train.steps=0", "steps", 1),
                 ("--train.batch_tokens=100", "multiple", 1), ("--optimizer.lr=-1", "optimizer.lr", 1), ("--schedule.kind=magic", "magic", 1),
                 ("--nonsense.key=1", "nonsense", 1), ("--model.num_attention_heads=0", "num_attention_heads", 1),
                 ("--model.num_experts_per_tok=9", "num_experts_per_tok", 1), ("--run.device=tpu", "tpu", 1), ("--run.name=a/b", "run.name", 1),
                 ("--train.precision=fp4", "fp4", 1), ("--eval.every=-1", "eval.every", 1), ("--eval.sample_prompt=", "sample_prompt", 1), ("--eval.sample_tokens=256", "max_position_embeddings", 1),
                 ("--bill.device=abacus", "abacus", 1), ("--rate=-1", "bill.rate", 1), ("--data.seq_len=1", "seq_len", 1))
        for flag, says, code in cases:
            with self.subTest(flag=flag):
                words = train_words("never", flag) if "run.name" not in flag else ["train", small_run.recipe(), flag]
                self.bad(code, *words, says=says.split(".")[-1])
                self.assertFalse(os.path.exists(small_run.run_folder("never")), flag)
        folder = self.folder("recipe")
        self.bad(1, "train", self.write(folder, "a.toml", "[train]\nsteps = = 3\n"), says="a.toml:2")
        self.bad(1, "train", self.write(folder, "b.toml", "[trian]\nsteps = 3\n"), says='"train"')
        self.bad(1, "train", self.write(folder, "c.toml", "[train]\nsteps = 3\n"), says="corpora")
        self.bad(1, "train", self.write(folder, "d.toml", "[[["), says="d.toml")
        self.bad(1, "train", self.write(folder, "e.toml", bytes(range(256))), says="e.toml")

    def test_hostile_configs_are_one_line(self):
        folder = self.folder("config")
        with open(os.path.join(small_run.ROOT, "configs/models/v3/config.json"), encoding="utf-8") as f:
            good = json.load(f)
        def changed(**keys):
            return json.dumps({**good, **keys})
        for text, says in (("", "JSON"), ("{", "JSON"), ("[]", "object"), ("{}", ""), ("[" * 100000, "nested"), (changed(hidden_size="big"), "hidden_size"),
                           (changed(hidden_size=-1), "hidden_size"), (changed(hidden_size=2**62), "hidden_size"),
                           (changed(num_experts_per_tok=1000), "num_experts_per_tok"), (changed(model_type="llama"), "llama"),
                           (changed(vocab_size=0), "vocab_size"), (changed(qk_rope_head_dim=3), "qk_rope_head_dim"),
                           (changed(scoring_func="tanh"), "tanh")):
            with self.subTest(config=text[:40], says=says):
                self.bad(1, "inspect", self.write(folder, "config.json", text), says=says)
        # What can be counted is counted, and what cannot be run is said.
        magic = self.write(folder, "config.json", changed(rope_scaling={"type": "magic"}))
        self.assertIn("magic", "".join([(done := self.good("inspect", magic)).stdout, done.stderr]))
        self.bad(1, "generate", folder, "--ids", "1", says="magic")

    def test_damaged_models_are_one_line(self):
        model = self.folder("model")
        small_run.must(finback(*train_words("damage", "--train.steps=1", "--checkpoint.every=0", "--overwrite")))
        source = os.path.join(small_run.run_folder("damage"), "latest")
        weights = sorted(name for name in os.listdir(source) if name.startswith("model") and name.endswith(".safetensors"))[0]
        for name in os.listdir(source):
            shutil.copy(os.path.join(source, name), model)
        generate = ["generate", model, "--prompt", "Ba", "--max-tokens", 2]
        self.good(*generate)
        with open(os.path.join(model, weights), "rb") as f:
            whole = f.read()
        for damaged in (b"", whole[:7], whole[:100], whole[:-1], b"\xff" * 8 + whole[8:], (2**40).to_bytes(8, "little") + whole[8:],
                        whole.replace(b"embed_tokens", b"embed_tokenz", 1), whole.replace(b'"F32"', b'"F33"', 1), whole + b"x"):
            self.write(model, weights, damaged)
            self.bad(1, *generate, says=model)
        self.write(model, weights, whole)
        with open(os.path.join(model, "generation_config.json"), "rb") as f:
            generation = f.read()
        for damaged in ("[]", '{"temperature": "warm"}', '{"do_sample": 3}', '{"eos_token_id": [1, "x"]}'):
            self.write(model, "generation_config.json", damaged)
            self.bad(1, *generate, says="generation_config.json")
        self.write(model, "generation_config.json", generation)
        for ids in ("-1", "2147483648", "1.5", "4294967297"):
            self.bad(1, "generate", model, f"--ids={ids}", says="--ids")
        with open(os.path.join(model, "tokenizer.json"), "rb") as f:
            tokenizer = f.read()
        for damaged in (b"", b"{}", tokenizer[:-20], tokenizer.replace(b'"BPE"', b'"Unigram"', 1)):
            self.write(model, "tokenizer.json", damaged)
            self.bad(1, *generate, says="tokenizer.json")

    def test_a_full_standard_output_is_a_mistake_from_outside(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            import subprocess
            done = subprocess.run([small_run.FINBACK, "inspect", "configs/models/v3/config.json"], cwd=small_run.ROOT, stdout=full, stderr=subprocess.PIPE,
                                  encoding="utf-8")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_json_is_one_document_and_nothing_else(self):
        json.loads(self.good("inspect", "configs/models/v3/config.json", "--json").stdout)
