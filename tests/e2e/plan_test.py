"""finback plan against tables of published runs, and refits with rows left out (tools/fit_cost)."""
import csv
import json
import os
import re
import subprocess
import tempfile
import unittest

import small_run

V3 = "configs/models/v3/config.json"


class PlanTest(small_run.ProgramTest):
    def test_v3_is_planned_from_its_config(self):
        plan = json.loads(self.good("plan", V3, "--hardware", "h800", "--gpus", 2048, "--tokens", "14.8T", "--precision", "fp8", "--batch-tokens", "62.9M",
                                    "--json").stdout)
        phase = plan["phases"][0]
        self.assertEqual(phase["precision"], "fp8-block")
        self.assertAlmostEqual(phase["flops_per_token"]["causal"] / 250.4e9, 1, delta=0.005)
        parts = sum(v for k, v in phase["step_seconds"].items() if isinstance(v, float) and k not in ("gemm", "attention", "element_wise"))
        self.assertAlmostEqual(parts / phase["step_seconds"]["total"]["mid"], 1, delta=1e-6)
        self.assertLessEqual(phase["memory_bytes"]["total"], 1.0001 * phase["memory_bytes"]["usable"])
        self.assertEqual([d["usd_per_hour"] for d in phase["dollars"]], [2.0, 3.42])
        self.assertTrue(all(d["date"] and d["kind"] and d["source"] for d in phase["dollars"]))

    def test_bad_input_is_one_line(self):
        base = ["plan", V3, "--gpus", 2048, "--tokens", "1T"]
        self.bad(1, *base, "--hardware", "h8000", says=["unknown accelerator", "h800"])
        self.bad(1, *base, "--layout", "pp16,ep63", says="does not divide")
        self.bad(1, "plan", V3, "--gpus", 2048, "--tokens", "-5", says="--tokens")
        self.bad(1, "plan", V3, "--gpus", 8, "--tokens", "1T", says="Nearest that fits: --gpus")
        self.bad(1, "plan", "no-such-model", "--gpus", 8, "--tokens", "1T", says="no such file")
        self.bad(1, "plan", "--rows", "no-such.csv", says="no-such.csv")

    def test_a_trace_is_replayed_through_caches_of_several_sizes(self):
        serve = ["plan", V3, "--serve", "--hardware", "h800", "--precision", "fp8", "--trace"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace.jsonl")
            with open(path, "w", encoding="utf-8") as f:  # ten talks in turns, each a block longer every time
                for i in range(100):
                    ids = [0] + [1000 * (i % 10) + k for k in range(1, i // 10 + 3)]
                    f.write(json.dumps({"timestamp": i, "input_length": 512 * len(ids) - 5, "output_length": 100, "hash_ids": ids}) + "\n")
            found = json.loads(self.good(*serve, path, "--json").stdout)
            sizes = found["trace"]["sizes"]
            self.assertEqual(found["output"], 100)
            self.assertEqual([s["hit_share"] for s in sizes], sorted(s["hit_share"] for s in sizes))
            self.assertAlmostEqual(sizes[-1]["gb"] * 1e9, found["trace"]["distinct_blocks"] * 512 * 70272)  # V3's latents: 61 layers of 576 in 16 bits
            price = found["usd_per_million"]
            for s in sizes:
                self.assertAlmostEqual(s["usd_per_million_input"], s["hit_share"] * price["input_hit"] + (1 - s["hit_share"]) * price["input_miss"])
            self.assertIn("$ saved", self.good(*serve, path, "--cache-gb", "1,2").stdout)
            self.bad(1, *serve, path, "--cache-gb", "1,x", says="--cache-gb: expected sizes")
            self.bad(1, *serve, path, "--hit", "0.5", says="--hit and --trace")
            with open(path, "a", encoding="utf-8") as f:
                f.write("{\n")
            self.bad(1, *serve, path, says="line 101")
        self.bad(1, *serve, path, says="trace.jsonl")

    def test_rows_of_unseen_parts_and_models(self):
        head = "framework,version,model,arch_key,gpu_type,gpus,precision,gbs_seqs,mbs_seqs,seq_len,TP,PP,CP,VP,EP,FSDP,recompute,params_B\n"
        rows = ["X,2025-06,Llama 3 70B,l3-70,MI300X,64,BF16,512,1,8192,8,1,1,,,,,", "X,26.06,LLAMA3_70B,l3-70,GB300,64,NVFP4,256,1,8192,1,1,1,n/a,n/a,64,,",
                "X,2021-05,GPT 20B,,V100,512,FP16,1536,1,2048,8,4,1,,,,full,20", "X,2025-01,Nobody 13B,,H200,32,FP8,128,1,4096,1,1,,,,FULL_SHARD,none,13"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rows.csv")
            with open(path, "w", encoding="utf-8") as f:
                f.write(head + "\n".join(rows) + "\n")
            self.good("plan", "--rows", path, "--out", path + ".out")
            with open(path + ".out", encoding="utf-8", newline="") as f:
                out = list(csv.DictReader(f))
        self.assertEqual(len(out), 4)
        for row in out:
            self.assertGreater(float(row["tokens_per_s_per_gpu"]), 0, row)
            self.assertLess(float(row["mfu_bf16_pct"]), 120, row)

    def test_a_recipe_on_this_machine(self):
        words = ["plan", small_run.recipe(), "--hardware", "this"]
        plan = json.loads(self.good(*words, "--json").stdout)
        self.assertEqual(plan["measured"]["tokens"], small_run.STEPS * 512)
        self.assertGreater(plan["measured"]["rehearsed_steps"], 5)
        self.assertAlmostEqual(plan["usd"], plan["device_hours"] * plan["usd_per_device_hour"])
        self.assertGreater(plan["memory_bytes"], 1 << 20)
        self.assertEqual([name for name in os.listdir(small_run.work_folder()) if name.startswith(".rehearsal")], [])
        twice = json.loads(self.good(*words, f"--train.steps={2 * small_run.STEPS}", "--json").stdout)
        self.assertEqual(twice["measured"]["steps"], 2 * small_run.STEPS)
        self.bad(2, "plan", V3, "--gpus", 8, "--tokens", "1T", "--train.steps=3", says="--hardware this")
        self.bad(1, *words, "--train.steps=-1", says="steps = -1")

    def test_left_out_rows_are_within_the_bar(self):
        done = subprocess.run([small_run.python_with("numpy"), os.path.join(small_run.ROOT, "tools/fit_cost")], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {name.strip(): (float(median), float(p90)) for name, median, p90 in
                 re.findall(r"^(.*?)\s+\d+ rows  median +([\d.]+) %  p90 +([\d.]+) %", done.stdout, re.M)}
        for name in ("system left out, all", "family left out, all"):
            self.assertLessEqual(found[name][0], 10, done.stdout)
            self.assertLessEqual(found[name][1], 20, done.stdout)
        self.assertLessEqual(float(re.search(r"six step times: mean error ([\d.]+) %", done.stdout)[1]), 3.65, done.stdout)
        # Campaigns of high confidence against one MFU a class, and an interval that holds 80 %.
        ours, baseline = re.findall(r"^campaign hours, high confidence.*\n  one MFU a class.*$", done.stdout, re.M)[0].splitlines()
        figure = lambda line: float(re.search(r"median +([\d.]+)", line)[1])
        self.assertLess(figure(ours), figure(baseline), done.stdout)
        self.assertGreaterEqual(int(re.search(r"(\d+) % of the high-confidence rows", done.stdout)[1]), 80, done.stdout)
        # The parameters in force are those that the script finds.
        with open(os.path.join(small_run.ROOT, "configs/cost/parameters.toml"), encoding="utf-8") as f:
            in_force = dict(re.findall(r"^(\w+) = ([\d.e+-]+)$", f.read(), re.M))
        for name, value in re.findall(r"^  (\w+) +([\d.]+)   prior", done.stdout, re.M):
            self.assertAlmostEqual(float(value) / float(in_force[name]), 1, delta=0.02, msg=name)
