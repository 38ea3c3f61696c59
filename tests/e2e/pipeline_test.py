"""Text to corpus to tokenizer to shards to model to text to bill, on generated words."""
import json
import os
import shutil

import small_run
from resume_test import flip_tensor_bit
from small_run import STEPS, run_folder, train_words


class PipelineTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.run_name = "pipeline"
        cls.folder = run_folder(cls.run_name)
        cls.trained = small_run.must(small_run.finback(*train_words(cls.run_name)))
        cls.latest = os.path.join(cls.folder, "latest")
        with open(os.path.join(cls.folder, "metrics.jsonl"), encoding="utf-8") as f:
            cls.lines = [json.loads(line) for line in f]

    def test_tokenizer_round_trips_text_it_has_never_seen(self):
        text = "Zebra crossing, 12345 times; naïve café — 漢字 🐋\n"
        ids = self.good("tokenizer", "encode", small_run.tokenizer(), "--jsonl", input=json.dumps(text) + "\n").stdout
        self.assertEqual(json.loads(self.good("tokenizer", "decode", small_run.tokenizer(), "--jsonl", input=ids).stdout), text)

    def test_every_step_has_its_line_with_every_field(self):
        steps = [line for line in self.lines if line["kind"] == "step"]
        self.assertEqual([line["step"] for line in steps], list(range(1, STEPS + 1)))
        for key in ("tokens", "loss", "main_loss", "mtp_loss", "balance_loss", "bpb", "lr", "grad_norm", "clip_scale", "router", "tokens_per_s",
                    "peak_share", "usd", "mtp_acceptance"):
            self.assertIn(key, steps[0])
        for line in self.lines:
            self.assertRegex(line["machine"], r"^(portable|avx\w+), exact, \d+ threads?, [\d.]+ GFLOP/s FMA, [\d.]+ GB/s read$")
        self.assertLess(steps[-1]["main_loss"], steps[0]["main_loss"], "nothing was learnt")
        self.assertEqual(len([line for line in self.lines if line["kind"] == "sample"]), 2)
        evals = [line for line in self.lines if line["kind"] == "eval"]
        self.assertEqual([line["step"] for line in evals], [0, 4, 8, 12])
        self.assertLess(evals[-1]["val_bpb"], evals[0]["val_bpb"])

    def test_the_run_folder_holds_what_it_promises(self):
        names = set(os.listdir(self.folder))
        self.assertLessEqual({"config.toml", "metrics.jsonl", "attempts.jsonl", "bill.json", "latest", f"step-{STEPS:06}", f"step-{STEPS - 3:06}"}, names)
        self.assertFalse({name for name in names if name.endswith(".tmp")})
        self.assertTrue(any("tfevents" in name and os.path.getsize(os.path.join(self.folder, name)) > 100 for name in names))
        self.assertLessEqual({"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "trainer.json", "DONE"},
                             set(os.listdir(self.latest)))
        with open(os.path.join(self.latest, "trainer.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["machine"], self.lines[-1]["machine"])

    def test_the_resolved_recipe_trains_the_same_again(self):
        self.good("train", os.path.join(self.folder, "config.toml"), "--run.name=again")
        self.assertEqual(small_run.difference(self.folder, run_folder("again")), "")

    def test_greedy_is_repeatable_and_seeds_matter(self):
        def ids(*more):
            done = self.good("generate", self.latest, "--prompt", "Ba", "--max-tokens", 16, "--ignore-eos", "--json", *more)
            answer = json.loads(done.stdout)
            self.assertEqual(len(answer["ids"]), 16)
            self.assertEqual(len(answer["logprobs"]), 16)
            return answer["ids"]
        greedy = ids("--temperature", 0)
        self.assertEqual(greedy, ids("--temperature", 0, "--seed", 9))
        self.assertEqual(ids("--temperature", 1, "--seed", 5), ids("--temperature", 1, "--seed", 5))
        self.assertNotEqual(ids("--temperature", 1, "--seed", 5), ids("--temperature", 1, "--seed", 6))

    def test_a_prompt_may_come_from_standard_input(self):
        flags = ["--max-tokens", 5, "--temperature", 0]
        piped = self.good("generate", self.latest, *flags, input="Ba").stdout
        self.assertTrue(piped.startswith("Ba"))
        self.assertEqual(piped, self.good("generate", self.latest, "--prompt", "Ba", *flags).stdout)

    def answer(self, folder, *more):
        return json.loads(self.good("generate", folder, "--prompt", "Ba", "--temperature", 1, "--seed", 5, "--json", *more).stdout)

    def test_an_answer_ends_at_any_stop_string_or_stop_id(self):
        whole = self.answer(self.latest, "--max-tokens", 16, "--ignore-eos")
        self.assertEqual(whole["finish_reason"], "length")
        usage = whole["usage"]
        self.assertEqual((usage["completion_tokens"], usage["total_tokens"]), (16, usage["prompt_tokens"] + 16))
        self.assertEqual((usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]), (0, usage["prompt_tokens"]))

        text = whole["text"]
        stop = text[len(text) // 2:][:3]
        cut = self.answer(self.latest, "--max-tokens", 16, "--ignore-eos", "--stop", "never", "--stop", stop)
        self.assertEqual((cut["text"], cut["finish_reason"]), (text[:text.index(stop)], "stop"))
        self.assertEqual(cut["ids"], whole["ids"][:len(cut["ids"])])

        # generation_config.json names further ends, as a list too; config.json's stays one.
        listed = os.path.join(small_run.work_folder(), "listed")
        shutil.copytree(self.latest, listed)
        end = whole["ids"][5]
        with open(os.path.join(listed, "generation_config.json"), "w", encoding="utf-8") as f:
            json.dump({"eos_token_id": [end, 1]}, f)
        ended = self.answer(listed, "--max-tokens", 16)
        self.assertEqual((ended["ids"], ended["finish_reason"]), (whole["ids"][:whole["ids"].index(end) + 1], "stop"))
        self.assertEqual(self.answer(listed, "--max-tokens", 16, "--ignore-eos"), whole)

    def test_inspect_reads_the_checkpoint_and_v3(self):
        small = json.loads(self.good("inspect", self.latest, "--json").stdout)
        self.assertGreater(small["parameters"]["total"], 10_000)
        v3 = json.loads(self.good("inspect", "configs/models/v3/config.json", "--json").stdout)
        self.assertEqual(v3["parameters"]["total"], 671_026_419_200)
        self.assertEqual(v3["cache_bytes_per_token"]["bf16"], 70_272)

    def test_a_checkpoint_carries_the_fingerprint_of_its_weights(self):
        with open(os.path.join(self.latest, "trainer.json"), encoding="utf-8") as f:
            fingerprint = json.load(f)["weights_fingerprint"]
        self.assertIn(fingerprint, self.good("inspect", self.latest).stdout)
        self.assertEqual(json.loads(self.good("inspect", self.latest, "--fingerprint", "--json").stdout)["weights_fingerprint"], fingerprint)
        changed = os.path.join(small_run.work_folder(), "changed")
        shutil.copytree(self.latest, changed)
        flip_tensor_bit(os.path.join(changed, "model.safetensors"), "model.norm.weight")
        self.bad(1, "inspect", changed, "--fingerprint", says=["expected", fingerprint])
        self.bad(1, "inspect", "configs/models/v3", "--fingerprint", says="weights")

    def test_the_bill_adds_up(self):
        document = json.loads(self.good("bill", self.folder, "--json").stdout)
        bill = document["runs"][0]
        self.assertEqual(bill["tokens"], STEPS * 512)
        self.assertAlmostEqual(bill["usd"], bill["device_hours"] * bill["usd_per_device_hour"])
        self.assertTrue(bill["price_source"] and bill["price_date"] and bill["not_included"])
        other = os.path.join(small_run.work_folder(), "another run")
        shutil.copytree(self.folder, other, symlinks=True, dirs_exist_ok=True)
        both = self.good("bill", self.folder, other, "--final", self.folder).stdout
        self.assertRegex(both, r"final run .*development: \$")
        self.assertIn("no plan was made", both)
        self.bad(1, "bill", self.folder, "--final", "elsewhere", says="--final")

    def test_memory_of_a_step_is_the_one_foretold(self):
        config = "configs/models/nano/config.json"
        foretold = json.loads(self.good("inspect", config, "--seq-len", 2048, "--json").stdout)["memory_bytes"]["train"]
        for precision in ("f32", "bf16", "fp8"):
            step = json.loads(self.good("bench", "step", "--config", config, "--precision", precision, "--steps", 1, "--json").stdout)
            self.assertAlmostEqual(foretold[precision]["activations"] / step["backward_bytes"], 1, delta=0.005, msg=precision)
            self.assertAlmostEqual(foretold[precision]["total"] / step["peak_memory_bytes"], 1, delta=0.15, msg=precision)

    def test_generating_has_a_bill(self):
        usage = os.path.join(small_run.work_folder(), "usage.json")
        for _ in range(2):
            self.good("generate", self.latest, "--ids", "1,2,3", "--max-tokens", 4, "--ignore-eos", "--usage", usage)
        bill = json.loads(self.good("bill", "--serve", usage, "--rate", 0.5, "--json").stdout)
        found, price = bill["usage"], bill["usd_per_million"]
        self.assertEqual((found["requests"], found["missed_tokens"], found["output_tokens"], found["hit_tokens"]), (2, 6, 8, 0))
        self.assertLess(found["prefill_seconds"] + found["decode_seconds"], found["wall_seconds"])
        self.assertAlmostEqual(price["output"] * 8 + price["input_miss"] * 6, 1e6 * bill["usd"] * bill["busy_share"])
        self.assertIn("input, cached", self.good("bill", "--serve", usage).stdout)
        self.bad(1, "bill", "--serve", self.folder + "/bill.json", says="bill.json")
        with open(usage, "w", encoding="utf-8") as f:
            f.write("{}[")
        self.bad(1, "generate", self.latest, "--ids", "1", "--usage", usage, says="usage.json")

    def test_converted_weights_still_generate(self):
        for dtype in ("f32", "bf16"):
            out = os.path.join(small_run.work_folder(), "converted-" + dtype)
            self.good("convert", self.latest, "--dtype", dtype, "--out", out)
            self.good("generate", out, "--prompt", "Ba", "--max-tokens", 3)

    def test_parity_writes_logits_and_gradients(self):
        ids, out = os.path.join(small_run.work_folder(), "ids.json"), os.path.join(small_run.work_folder(), "parity.safetensors")
        with open(ids, "w", encoding="utf-8") as f:
            json.dump([[5, 6, 7, 8, 9, 10, 11, 12]], f)
        self.good("parity", self.latest, "--ids", ids, "--out", out, "--grads")
        with open(out, "rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        self.assertEqual(header["logits"]["shape"][:2], [1, 8])
        self.assertIn("grad.model.embed_tokens.weight", header)
        self.assertEqual(header["loss"]["shape"], [1])
