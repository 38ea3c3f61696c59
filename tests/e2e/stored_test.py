"""Weights served as a folder stores them: memory, defaults, random models, and what doctor says of broken folders."""
import json
import os
import shutil
import struct
import subprocess

import small_run
from small_run import FINBACK, ROOT, finback

POINTER = "version " + ":".join(("https", "//git-lfs.github.com/spec/v1")) + "\noid sha256:" + "0" * 64 + "\nsize 123456\n"


def peak_bytes(*words):
    """Peak memory of a run of the program."""
    process = subprocess.Popen([FINBACK, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise AssertionError(process.stderr.read())
    return 1024 * usage.ru_maxrss


class StoredTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = small_run.work_folder()
        cls.config = os.path.join(cls.folder, "stored-config.json")
        with open(os.path.join(ROOT, "configs/models/nano/config.json"), encoding="utf-8") as f, open(cls.config, "w", encoding="utf-8") as g:
            json.dump({**json.load(f), "vocab_size": 512}, g)
        cls.models = {}
        for form in ("f32", "bf16", "fp8"):
            cls.models[form] = cls.path("stored-" + form)
            small_run.must(finback("convert", "--random", cls.config, "--dtype", form, "--seed", 3, "--out", cls.models[form]))

    @classmethod
    def path(cls, name):
        return os.path.join(small_run.work_folder(), name)

    def ids(self, model, *words):
        done = self.good("generate", model, "--ids", "1,2,3", "--max-tokens", 12, "--temperature", 0, "--ignore-eos", "--json", *words)
        answer = json.loads(done.stdout)
        return answer["ids"], answer["logprobs"], done.stderr

    def test_weights_are_kept_as_the_folder_stores_them(self):
        for form, model in self.models.items():
            ids, logprobs, said = self.ids(model)
            asked = self.ids(model, "--weights", form)
            self.assertEqual((ids, logprobs), asked[:2], form)
            self.assertNotIn("as stored", asked[2])
            if form == "f32":
                self.assertNotIn("weights:", said)
            else:
                self.assertIn(f"weights: {form}, as stored; --weights f32", said)
        # What is taken as it lies has the bits of the f32 model with the folder's numbers.
        self.assertEqual(self.ids(self.models["bf16"])[:2], self.ids(self.models["bf16"], "--weights", "f32")[:2])
        bench = json.loads(self.good("bench", "decode", "--config", self.models["bf16"], "--prompt", 4, "--new", 4, "--json").stdout)
        self.assertEqual(bench["weights"], "bf16")

    def test_int8_panels_are_mapped_and_checked(self):
        panels = self.path("stored-panels")
        self.good("convert", self.models["bf16"], "--weights", "int8", "--out", panels)
        ids, logprobs, said = self.ids(panels)
        self.assertIn("weights: int8, as stored", said)
        self.assertEqual((ids, logprobs), self.ids(self.models["bf16"], "--weights", "int8")[:2])
        self.good("doctor", panels)
        self.bad(1, "generate", panels, "--ids", "1,2", "--weights", "bf16", says="expected int8")
        self.bad(1, "convert", panels, "--weights", "f32", "--out", self.path("stored-back"), says="int8 panels are for serving")
        self.bad(1, "inspect", panels, "--fingerprint", says="int8 panels are for serving")
        with open(os.path.join(panels, "model.safetensors"), "r+b") as f:
            f.seek(-9, os.SEEK_END)
            byte = f.read(1)[0]
            f.seek(-9, os.SEEK_END)
            f.write(bytes([byte ^ 1]))
        done = finback("doctor", panels)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected checksum", done.stdout + done.stderr)

    def test_memory_is_what_is_counted(self):
        model = self.path("stored-small")
        self.good("convert", "--random", "configs/models/small", "--weights", "bf16", "--out", model)
        counted = json.loads(self.good("inspect", model, "--seq-len", 64, "--json").stdout)["memory_bytes"]["serve_parts"]
        for weights in ("bf16", "int8", "fp8"):
            peak = peak_bytes("generate", model, "--ids", "1,2,3", "--max-tokens", 16, "--weights", weights, "--ignore-eos")
            with self.subTest(weights=weights, peak=peak, counted=counted[weights]):
                self.assertAlmostEqual(peak / counted[weights]["total"], 1, delta=0.1)
        shutil.rmtree(model)

    def test_a_random_model_says_so_and_can_be_gone_on_with(self):
        out = self.path("stored-cut")
        killed = finback("convert", "--random", self.config, "--dtype", "bf16", "--seed", 3, "--out", out, "--failpoint=write:40:kill")
        self.assertEqual(killed.returncode, -9)
        self.assertFalse(os.path.exists(os.path.join(out, "config.json")))
        self.bad(1, "convert", "--random", self.config, "--dtype", "bf16", "--seed", 4, "--out", out, says="expected to go on")
        self.good("convert", "--random", self.config, "--dtype", "bf16", "--seed", 3, "--out", out)
        for name in ("config.json", "model.safetensors", "README.md"):
            with open(os.path.join(out, name), "rb") as a, open(os.path.join(self.models["bf16"], name), "rb") as b:
                self.assertEqual(a.read(), b.read(), name)
        with open(os.path.join(out, "README.md"), encoding="utf-8") as f:
            self.assertIn("of seed 3", f.read())
        self.bad(1, "convert", self.models["bf16"], "--dtype", "f32", "--seed", 3, "--out", self.path("never"), says="--random")
        self.bad(2, "convert", self.models["bf16"], "--random", self.config, "--dtype", "f32", "--out", self.path("never"), says="unexpected word")

    # doctor

    def copy(self, name, form="bf16"):
        folder = self.path("doctor-" + name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.models[form], folder)
        for file in os.listdir(small_run.tokenizer()):
            shutil.copy(os.path.join(small_run.tokenizer(), file), folder)
        return folder

    def doctor(self, folder, code=0, *words):
        done = finback("doctor", folder, "--json", *words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def change_json(self, folder, name, **changes):
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as f:
            value = {**json.load(f), **changes}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(value, f)

    def test_doctor_foretells_a_whole_folder(self):
        folder = self.copy("whole")
        found = self.doctor(folder, 0, "--context", 100)
        self.assertEqual((found["works"], found["faults"], found["weights"], found["context"]), (True, [], "bf16", 100))
        self.assertEqual(sum(v for k, v in found["memory_bytes"].items() if k != "total"), found["memory_bytes"]["total"])
        self.assertEqual(found["memory_bytes"]["cache"], 100 * found["cache_bytes_per_token"])
        self.assertAlmostEqual(found["tokens_per_s_at_most"] * found["bytes_per_token"] / (1e9 * found["read_gb_per_s"]), 1)
        int8 = self.doctor(folder, 0, "--weights", "int8")
        self.assertEqual((int8["verb"], int8["flags"]), ("chat", ["--weights int8"]))
        text = self.good("doctor", folder).stdout
        for word in ("at most", "It works: finback chat"):
            self.assertIn(word, text)

    def test_doctor_names_what_is_broken(self):
        def weights_of(folder):
            return os.path.join(folder, "model.safetensors")

        def cut(folder):
            os.truncate(weights_of(folder), os.path.getsize(weights_of(folder)) - 1000)

        def pointer(folder):
            with open(weights_of(folder), "w", encoding="utf-8") as f:
                f.write(POINTER)

        def shard_is_missing(folder):
            os.rename(weights_of(folder), os.path.join(folder, "model-00001-of-00002.safetensors"))
            index = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors", "lm_head.weight": "model-00002-of-00002.safetensors"}}
            with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
                json.dump(index, f)

        def index_disagrees(folder):
            os.rename(weights_of(folder), os.path.join(folder, "model-00001-of-00001.safetensors"))
            with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
                json.dump({"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors", "other.weight": "model-00001-of-00001.safetensors"}}, f)

        def scales_are_missing(folder):
            with open(weights_of(folder), "rb") as f:
                size = struct.unpack("<Q", f.read(8))[0]
                header, data = f.read(size), f.read()
            name, other = b"o_proj.weight_scale_inv", b"abc.rotary_emb.inv_freq"
            with open(weights_of(folder), "wb") as f:
                f.write(struct.pack("<Q", size) + header.replace(name, other) + data)

        def generation_is_broken(folder):
            with open(os.path.join(folder, "generation_config.json"), "w", encoding="utf-8") as f:
                f.write('{"eos_token_id": "the end"}')

        def of_another_vocab(folder):
            with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
                value = json.load(f)
            value["added_tokens"].append({**value["added_tokens"][-1], "id": 600, "content": "<another>"})
            with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
                json.dump(value, f)

        faults = {"cut off": (cut, "bf16", "model.safetensors"), "pointer": (pointer, "bf16", "git-lfs"), "shard": (shard_is_missing, "bf16", "not there"),
                  "index": (index_disagrees, "bf16", "other.weight"), "scales": (scales_are_missing, "fp8", "_scale_inv"),
                  "vocab": (of_another_vocab, "bf16", "another model's tokenizer"),
                  "weights": (lambda folder: os.remove(weights_of(folder)), "bf16", "model.safetensors.index.json"),
                  "layers": (lambda folder: self.change_json(folder, "config.json", num_hidden_layers=6), "bf16", "model.layers."),
                  "config": (lambda folder: self.change_json(folder, "config.json", hidden_size="wide"), "bf16", "hidden_size"),
                  "generation": (generation_is_broken, "bf16", "generation_config.json")}
        for name, (breaks, form, says) in faults.items():
            with self.subTest(name):
                folder = self.copy("fault", form)
                breaks(folder)
                found = self.doctor(folder, 1)
                self.assertFalse(found["works"])
                self.assertTrue(any(says in fault for fault in found["faults"]), found["faults"])
                self.assertIn("It cannot work so.", finback("doctor", folder).stdout)
        huge = self.copy("huge")
        self.change_json(huge, "config.json", hidden_size=1 << 17, num_hidden_layers=64)
        self.assertTrue(any(fault.startswith("memory: ") for fault in self.doctor(huge, 1, "--weights", "f32")["faults"]))

    def test_doctor_remarks_on_what_is_odd(self):
        def remove(*names):
            return lambda folder: [os.remove(os.path.join(folder, name)) for name in names]

        def other_template(folder):
            with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as f:
                f.write("{{ messages }}")

        def generation(**keys):
            def write(folder):
                with open(os.path.join(folder, "generation_config.json"), "w", encoding="utf-8") as f:
                    json.dump(keys, f)
            return write

        remarks = {"tokenizer": (remove("tokenizer.json", "tokenizer_config.json"), "tokenizer.json: not there"),
                   "template": (other_template, "none of DeepSeek-V3's"), "keys": (generation(num_beams=4), "num_beams"),
                   "stop": (generation(eos_token_id=70000), "70000 is no token")}
        for name, (change, says) in remarks.items():
            with self.subTest(name):
                folder = self.copy("remark")
                change(folder)
                found = self.doctor(folder)
                self.assertTrue(any(says in remark for remark in found["remarks"]), found["remarks"])
                self.assertEqual(found["verb"], "generate --ids" if name == "tokenizer" else "chat")
                self.assertEqual(found["flags"], ["--chat-format v3"] if name == "template" else [])
