"""Weight files as other software and interrupted downloads leave them, and `convert`: what is read, what is said, what is refused."""
import json
import os
import shutil
import struct
import subprocess

import small_run
from small_run import finback, run_folder, train_words

SPECIFICATION = ":".join(("https", "//git-lfs.github.com/spec/v1"))  # a name, not an address: nothing is fetched
POINTER = f"version {SPECIFICATION}\noid sha256:" + "0" * 64 + "\nsize 123456\n"


def read_tensors(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    return {n: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for n, t in header.items() if n != "__metadata__"}


def write_tensors(path, tensors):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def as_bf16(data):
    """The upper halves of f32 numbers: what truncation to bf16 leaves."""
    return b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4))


def all_tensors(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors") and not name.startswith("trainer"):
            found.update(read_tensors(os.path.join(folder, name)))
    return found


class CasesWeightsTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.run_name = "weights-cases"
        cls.run_path = run_folder(cls.run_name)
        small_run.must(finback(*train_words(cls.run_name, "--train.steps=2", "--eval.every=0", "--eval.sample_tokens=0")))
        cls.latest = os.path.join(cls.run_path, "latest")
        cls.plain = os.path.join(small_run.work_folder(), "weights-plain")
        small_run.must(finback("convert", cls.latest, "--weights", "f32", "--out", cls.plain))

    def copy(self, name):
        folder = os.path.join(small_run.work_folder(), "weights-" + name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.plain, folder)
        return folder

    def path(self, name):
        path = os.path.join(small_run.work_folder(), "weights-" + name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def change(self, folder, change):
        """Rewrites model.safetensors: change(name, tensor) returns what stands for it, {name: tensor}."""
        path = os.path.join(folder, "model.safetensors")
        write_tensors(path, {n: t for name, tensor in read_tensors(path).items() for n, t in change(name, tensor).items()})

    def edit_config(self, folder, **keys):
        path = os.path.join(folder, "config.json")
        with open(path, encoding="utf-8") as f:
            config = {**json.load(f), **keys}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)

    def split(self, folder):
        """model.safetensors as two shards with an index; returns the index."""
        tensors = read_tensors(os.path.join(folder, "model.safetensors"))
        names, where = list(tensors), {}
        for i, part in enumerate((names[:len(names) // 2], names[len(names) // 2:])):
            file = f"model-{i + 1:05}-of-00002.safetensors"
            write_tensors(os.path.join(folder, file), {n: tensors[n] for n in part})
            where.update({n: file for n in part})
        os.remove(os.path.join(folder, "model.safetensors"))
        index = {"metadata": {}, "weight_map": where}
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
            json.dump(index, f)
        return index

    def ids(self, folder):
        done = self.good("generate", folder, "--ids", "5,6,7", "--max-tokens", 4, "--ignore-eos", "--temperature", 0, "--json")
        return json.loads(done.stdout)["ids"], json.loads(done.stdout)["logprobs"], done.stderr

    def test_narrow_expert_biases_and_norms_are_read_and_named(self):
        for end, says in (("e_score_correction_bias", "expert bias"), ("model.norm.weight", "model.norm.weight")):
            folder = self.copy("narrow")
            self.change(folder, lambda name, t, end=end: {name: ("BF16", t[1], as_bf16(t[2])) if name.endswith(end) else t})
            stderr = self.ids(folder)[2]
            self.assertIn("BF16", stderr)
            self.assertIn(says, stderr)
        self.assertNotIn("stored in", self.ids(self.plain)[2])

    def test_exponents_as_scales_are_read_as_the_numbers_they_stand_for(self):
        """FP8 weights with scales of powers of two in three spellings: the same answer, and inspect counts each."""
        fp8 = self.path("fp8")
        self.good("convert", self.plain, "--weights", "fp8", "--out", fp8)
        with open(os.path.join(fp8, "config.json"), encoding="utf-8") as f:
            quantization = json.load(f)["quantization_config"]
        answers = []
        for spelling, block in (("F32", 128), ("F8_E8M0", 128), ("U8", 128), ("F8_E8M0", 32)):
            folder = self.path(f"scales-{spelling}-{block}")
            shutil.copytree(fp8, folder)

            def change(name, t, spelling=spelling, block=block):
                if not name.endswith("_scale_inv"):
                    return {name: t}
                rows, columns = t[1]
                exponents = [int.from_bytes(t[2][i:i + 4], "little") >> 23 & 255 for i in range(0, len(t[2]), 4)]
                weight = shapes[name[:-len("_scale_inv")]]
                if block != 128:  # the same scale for every part of a block
                    self.assertEqual((rows, columns), (1, 1))
                    rows, columns = (-(-n // block) for n in weight)
                    exponents *= rows * columns
                data = bytes(exponents) if spelling != "F32" else b"".join(struct.pack("<I", e << 23) for e in exponents)
                return {name: (spelling, [rows, columns], data)}

            shapes = {n: t[1] for n, t in all_tensors(folder).items()}
            self.change(folder, change)
            self.edit_config(folder, quantization_config={**quantization, "scale_fmt": "ue8m0", "weight_block_size": [block, block]})
            answers.append(self.ids(folder)[:2])
            self.good("inspect", folder)
            if spelling == "U8":
                self.edit_config(folder, quantization_config=quantization)
                self.bad(1, "generate", folder, "--ids", "1", says=["U8", "ue8m0"])
            if block == 32:
                out = self.path("again-32")
                self.assertIn("FP8 in blocks of 32 x 32 is copied as it is\n", self.good("convert", folder, "--weights", "fp8", "--out", out).stderr)
                with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
                    kept = json.load(f)["quantization_config"]
                self.assertEqual((kept["scale_fmt"], kept["weight_block_size"]), ("ue8m0", [32, 32]))
                self.assertEqual(self.ids(out)[:2], answers[-1])
        self.assertEqual(answers, [answers[0]] * 4)

    def test_a_name_twice_in_an_index_is_refused(self):
        folder = self.copy("twice")
        index = self.split(folder)
        name = "model.embed_tokens.weight"
        text = json.dumps(index).replace('"weight_map": {', f'"weight_map": {{"{name}": "model-00002-of-00002.safetensors", ')
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
            f.write(text)
        for verb in (["generate", folder, "--ids", "1"], ["inspect", folder], ["convert", folder, "--weights", "f32", "--out", self.path("never")]):
            self.bad(1, *verb, says=[name, "twice"])

    def test_which_of_two_sets_of_weights_is_read_is_said(self):
        folder = self.copy("beside")
        single = os.path.join(folder, "model.safetensors")
        tensors = read_tensors(single)
        self.split(folder)
        self.assertNotIn("not read", self.ids(folder)[2])
        write_tensors(single, tensors)
        stderr = self.ids(folder)[2]
        self.assertIn("model.safetensors is read; not read: model-00001-of-00002.safetensors, model-00002-of-00002.safetensors", stderr)

    def test_pointer_files_and_interrupted_downloads_are_named(self):
        for file in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            folder = self.copy("pointer")
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(POINTER)
            with self.subTest(file=file):
                self.bad(1, "generate", folder, "--prompt", "a", says=[file, "git-lfs", "not fetched"])
        folder = self.copy("cut")
        index = self.split(folder)
        shard = os.path.join(folder, "model-00002-of-00002.safetensors")
        size = os.path.getsize(shard)
        with open(shard, "r+b") as f:
            f.truncate(size - 100)
        self.bad(1, "generate", folder, "--ids", "1", says=["model-00002-of-00002.safetensors", "truncated"])
        os.remove(shard)
        self.bad(1, "generate", folder, "--ids", "1", says=["model-00002-of-00002.safetensors", "not there", "incomplete"])
        write_tensors(shard, {"other": ("F32", [1], bytes(4))})
        self.assertIn("as the index says, not there", finback("inspect", folder, "--fingerprint").stderr)
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
            f.write(json.dumps(index)[:-50])
        self.bad(1, "generate", folder, "--ids", "1", says=["index.json", "cut off"])

    def test_weights_that_are_not_read_are_named_by_inspect(self):
        folder = self.copy("other-weights")
        plain = self.good("inspect", folder, "--json")
        self.assertEqual(plain.stderr, "")
        for name in ("pytorch_model.bin", "consolidated.00.pth", "model.SAFETENSORS"):
            os.rename(os.path.join(folder, "model.safetensors"), os.path.join(folder, name))
            done = self.good("inspect", folder, "--json")
            self.assertEqual(done.stderr, f"{folder}: counted from config.json; its weights are not read: {name}\n")
            self.assertEqual(json.loads(done.stdout)["parameters"], json.loads(plain.stdout)["parameters"])
            self.bad(1, "inspect", folder, "--fingerprint", says=name)
            self.bad(1, "generate", folder, "--ids", "1", says=name)
            os.rename(os.path.join(folder, name), os.path.join(folder, "model.safetensors"))

    def test_what_cannot_come_along_stops_a_conversion_before_its_first_shard(self):
        for file, text, says in (("chat_template.jinja", POINTER, "git-lfs"), ("LICENSE", POINTER, "git-lfs"), ("README.md", POINTER, "git-lfs"),
                                 ("tokenizer.json", "", "an empty file"), ("vocab.json", '{"a": 1, "b', "cut off"), ("tokenizer_config.json", '{"a": ["}"]', "cut off"),
                                 ("generation_config.json", "<html></html>", "expected JSON"), ("special_tokens_map.json", '{"a": 1}{', "expected JSON")):
            with self.subTest(file=file):
                folder, out = self.copy("companion"), self.path("companion-out")
                with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                    f.write(text)
                self.bad(1, "convert", folder, "--weights", "bf16", "--out", out, says=[file, says])
                self.assertFalse(os.path.exists(out))
        with open(os.path.join(folder, "special_tokens_map.json"), "w", encoding="utf-8") as f:
            f.write('\ufeff {"a": "\\"{[", "b": [{}, "\ud7ff"]}\n')
        self.good("convert", folder, "--weights", "bf16", "--out", out)

    def test_a_run_folder_stands_for_its_newest_checkpoint(self):
        ids = self.path("ids.json")
        with open(ids, "w", encoding="utf-8") as f:
            json.dump([1, 2, 3], f)
        try:
            for words in (["generate", self.run_path, "--ids", "1", "--max-tokens", 1], ["inspect", self.run_path], ["parity", self.run_path, "--ids", ids, "--out", ids + ".out"],
                          ["convert", self.run_path, "--weights", "bf16", "--out", self.path("of-run")],
                          train_words("weights-init", f"--train.init={self.run_path}", "--train.steps=1", "--eval.every=0", "--eval.sample_tokens=0")):
                self.assertIn("newest checkpoint step-000002", self.good(*words).stderr)
        finally:
            os.remove(ids)
        file = os.path.join(self.plain, "model.safetensors")
        for words in (["generate", file, "--ids", "1"], ["inspect", file], ["convert", file, "--weights", "f32", "--out", self.path("never")]):
            self.bad(1, *words, says=["expected a model folder, got a file", self.plain])

    def test_a_run_takes_over_how_its_model_is_sampled_and_talked_to(self):
        """train.init: generation_config.json and the chat template go along, also after a resume without that folder."""
        folder = self.copy("to-inherit")
        with open(os.path.join(folder, "generation_config.json"), encoding="utf-8") as f:
            plain = json.load(f)
        with open(os.path.join(folder, "generation_config.json"), "w", encoding="utf-8") as f:
            json.dump({"temperature": 0.25, "top_p": 0.5, "eos_token_id": 9}, f)
        with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as f:
            f.write("{{ 'a template of its own' }}")
        words = train_words("weights-inherits", f"--train.init={folder}", "--eval.every=0", "--eval.sample_tokens=0", "--checkpoint.every=1")
        killed = finback(*words, "--train.steps=3", "--failpoint=after-done:2:kill")
        self.assertEqual(killed.returncode, -9)
        shutil.rmtree(folder)
        self.good(*words, "--train.steps=3", "--resume")
        plain.pop("do_sample")  # the folder that it comes from says nothing of it
        for step in (2, 3):
            saved = os.path.join(run_folder("weights-inherits"), f"step-{step:06}")
            with open(os.path.join(saved, "generation_config.json"), encoding="utf-8") as f:
                self.assertEqual(json.load(f), {**plain, "temperature": 0.25, "top_p": 0.5, "eos_token_id": [9, plain["eos_token_id"]]})
            with open(os.path.join(saved, "chat_template.jinja"), encoding="utf-8") as f:
                self.assertEqual(f.read(), "{{ 'a template of its own' }}")

    def test_missing_mtp_modules_have_a_hint(self):
        folder = self.copy("no-mtp")
        self.change(folder, lambda name, t: {} if name.startswith("model.layers.2.") else {name: t})
        done = finback(*train_words("weights-init-no-mtp", f"--train.init={folder}"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("--model.num_nextn_predict_layers=0", done.stderr)
        self.assertIn("loading without", self.good("generate", folder, "--ids", "1", "--max-tokens", 1).stderr)

    def test_the_card_speaks_of_what_the_weights_hold(self):
        """MTP modules that config.json counts and the weights lack; the package without which transformers loads no FP8."""
        folder, out = self.copy("card-no-mtp"), self.path("card")
        self.change(folder, lambda name, t: {} if name.startswith("model.layers.2.") else {name: t})

        def card(*words):
            self.good("convert", *words, "--out", out, "--overwrite")
            with open(os.path.join(out, "README.md"), encoding="utf-8") as f:
                return f.read()
        text = card(folder, "--weights", "f32")
        self.assertIn("| MTP modules | 0 (num_nextn_predict_layers is 1 all the same) |", text)
        self.assertNotIn("as unexpected", text)
        self.assertNotIn("accelerate", text)
        text = card(self.plain, "--weights", "fp8")
        self.assertIn("| MTP modules | 1 |", text)
        self.assertIn("layer 2 and on as unexpected", text)
        self.assertIn("`accelerate`", text)
        self.assertIn("accelerate", self.good("convert", "--help").stdout)

    def test_a_killed_conversion_goes_on(self):
        source = self.copy("to-kill")
        self.split(source)
        whole = self.path("whole")
        self.good("convert", source, "--weights", "bf16", "--out", whole)
        for point in ("before-rename:1:kill", "after-rename:2:kill", "before-rename:3:kill", "after-rename:4:kill", "write:20:kill"):
            with self.subTest(point=point):
                cut = self.path("cut")
                killed = finback("convert", source, "--weights", "bf16", "--out", cut, f"--failpoint={point}")
                self.assertEqual(killed.returncode, -9)
                self.assertFalse(os.path.exists(os.path.join(cut, "config.json")))
                done = json.loads(self.good("convert", source, "--weights", "bf16", "--out", cut, "--json").stdout)
                self.assertEqual(done["kept_shards"], {"after-rename:2:kill": 1, "before-rename:3:kill": 1, "after-rename:4:kill": 2}.get(point, 0))
                self.assertEqual(subprocess.run(["diff", "-r", whole, cut, "--exclude=*.tmp"], stdout=subprocess.PIPE).stdout, b"")
        self.bad(1, "convert", source, "--weights", "f32", "--out", whole, says=["expected a new folder", "--overwrite"])
        self.good("convert", source, "--weights", "f32", "--out", whole, "--overwrite")

    def test_flags_of_convert(self):
        self.bad(2, "convert", self.plain, "--weights", "f32", "--dtype", "bf16", "--out", "x", says="one flag")
        self.bad(2, "convert", self.plain, "--out", "x", says="--weights")
        self.bad(2, "generate", self.plain, "--dtype", "bf16", says="did you mean --weights?")
        never = self.path("never")
        for flag in ("--dtype", "--weights"):
            self.bad(1, "convert", self.plain, flag, "int4", "--out", never, says="expected f32, bf16, fp8 or int8")
        self.assertFalse(os.path.exists(never))

    def test_the_card_tells_of_the_run_and_goes_along(self):
        with open(os.path.join(self.plain, "README.md"), encoding="utf-8") as f:
            card = f.read()
        for part in ("# A deepseek_v3 model of", "| steps | 2 |", "| corpora | tokens |", "training loss of the last step", "What it cost", "dollars", "finback generate",
                     "AutoModelForCausalLM", "MTP modules"):
            self.assertIn(part, card)
        self.assertNotIn(small_run.work_folder(), card, "a path of this machine")
        names = set(os.listdir(self.plain))
        self.assertFalse({n for n in names if n.startswith("trainer") or n == "DONE"}, "state of the trainer came along")
        again = self.path("again")
        self.good("convert", self.plain, "--weights", "bf16", "--out", again)
        with open(os.path.join(again, "README.md"), encoding="utf-8") as f:
            second = f.read()
        run = lambda text: text[text.index("<!-- run -->"):text.index("<!-- end of run -->")]
        self.assertEqual(run(second), run(card))
        self.assertIn("bf16", second)
