"""finback generate --prompts IN.jsonl --out OUT.jsonl: the answers of one by one, killed and gone on with, refused where it could not go on."""
import json
import os
import signal
import subprocess
import time

import small_run


class OfflineBatchTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        small_run.must(small_run.finback(*small_run.train_words("offline")))
        cls.model = os.path.join(small_run.run_folder("offline"), "latest")

    def setUp(self):
        self.prompts = os.path.join(small_run.work_folder(), self._testMethodName + ".jsonl")
        self.out = self.prompts + ".out"

    def write(self, *lines):
        with open(self.prompts, "w", encoding="utf-8") as f:
            f.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)

    def batch(self, *more):
        return ["generate", self.model, "--prompts", self.prompts, "--out", self.out, "--seed", 5, *more]

    def answers(self):
        """By id and index; every line is whole and there once."""
        found = {}
        with open(self.out, encoding="utf-8") as f:
            for line in f:
                answer = json.loads(line)
                key = (answer["id"], answer.get("index"))
                self.assertNotIn(key, found)
                cache = answer.pop("finback", {"cache": None})["cache"]
                if cache:
                    usage = answer.pop("usage")
                    self.assertEqual(usage["prompt_cache_hit_tokens"], cache["memory_tokens"] + cache["disk_tokens"])
                    self.assertEqual(usage["prompt_tokens"], cache["memory_tokens"] + cache["disk_tokens"] + cache["computed_tokens"])
                found[key] = answer
        return found

    def test_answers_are_those_of_one_by_one(self):
        self.write({"prompt": "Ba", "seed": 7}, {"id": "two", "prompt": "Da", "n": 2, "temperature": 0.5}, {"ids": [1, 2, 3], "seed": 9, "max_tokens": 3},
                   {"id": "bad", "ids": [1, 100000]}, "nothing")
        usage = os.path.join(small_run.work_folder(), "offline_usage.json")
        self.good(*self.batch("--max-tokens", 20, "--usage", usage))
        found = self.answers()
        self.assertEqual(set(found), {(0, 0), ("two", 0), ("two", 1), (2, 0), ("bad", None), (4, None)})
        self.assertIn("100000", found["bad", None]["error"])
        for flags, key in [(["--prompt", "Ba", "--seed", 7, "--max-tokens", 20], (0, 0)), (["--ids", "1,2,3", "--seed", 9, "--max-tokens", 3], (2, 0)),
                           (["--prompt", "Da", "--temperature", 0.5, "--max-tokens", 20, "--seed", found["two", 0]["seed"]], ("two", 0))]:
            alone = json.loads(self.good("generate", self.model, "--json", *flags).stdout)
            for field in ("ids", "logprobs", "text", "finish_reason"):
                self.assertEqual(found[key][field], alone[field], key)
        with open(usage, encoding="utf-8") as f:
            self.assertEqual(json.load(f)["requests"], 4)

    def test_killed_at_any_time_it_goes_on(self):
        shared = "Ba " * 90
        self.write(*({"id": f"p{i}", "prompt": shared + "Da " * i, "n": 1 + i % 2} for i in range(30)))
        whole_out, self.out = self.out, self.prompts + ".whole"
        self.good(*self.batch("--max-tokens", 60, "--ignore-eos"))
        whole, self.out = self.answers(), whole_out
        kills = 0
        for _ in range(200):
            done = subprocess.Popen([small_run.FINBACK, *map(str, self.batch("--max-tokens", 60, "--ignore-eos"))], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE, cwd=small_run.ROOT)
            before = os.path.getsize(self.out) if os.path.exists(self.out) else 0
            while done.poll() is None and (os.path.getsize(self.out) if os.path.exists(self.out) else 0) < before + 3000:
                time.sleep(0.001)
            if done.poll() is None:
                done.send_signal(signal.SIGKILL)
                kills += 1
            done.stderr.close()
            if done.wait() == 0:
                break
        self.assertGreater(kills, 2)
        self.assertEqual(self.answers(), whole)
        self.good(*self.batch("--max-tokens", 60, "--ignore-eos"))
        self.assertEqual(self.answers(), whole)

    def test_what_prompts_share_is_read_once(self):
        self.write(*({"prompt": "Ba " * 90 + "Da " * i} for i in range(4)))
        self.good(*self.batch("--max-tokens", 2))
        with open(self.out, encoding="utf-8") as f:
            hits = [json.loads(line)["finback"]["cache"]["memory_tokens"] for line in f]
        self.assertEqual(sorted(hits)[0], 0)
        self.assertGreaterEqual(sorted(hits)[1], 64)

    def test_a_changed_request_is_refused_and_an_error_is_tried_again(self):
        self.write({"id": "x", "prompt": "a", "max_tokens": 2}, {"id": "y", "prompt": "b", "max_tokns": 2})
        done = self.good(*self.batch())
        self.assertIn("1 errors", done.stderr)
        self.write({"id": "x", "prompt": "other", "max_tokens": 2}, {"id": "y", "prompt": "b", "max_tokens": 2})
        self.bad(1, *self.batch(), says=[":1: expected for id \"x\"", "another --out"])
        self.write({"id": "x", "prompt": "a", "max_tokens": 2}, {"id": "y", "prompt": "b", "max_tokens": 2})
        self.good(*self.batch())
        with open(self.out, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual(sorted(line["id"] for line in lines), ["x", "y"])
        self.assertFalse([line for line in lines if "error" in line])
        self.write({"prompt": "x", "unknown": 1})
        os.remove(self.out), os.remove(self.out + ".run")
        done = small_run.finback(*self.batch("--quiet"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("0 answers and 1 errors", done.stderr)
        with open(self.out, encoding="utf-8") as f:
            self.assertIn("max_tokens, ", json.loads(f.readline())["error"])

    def test_one_process_answers_into_a_file(self):
        self.write(*({"id": i, "prompt": "Ba " * 20, "max_tokens": 150} for i in range(500)))
        first = subprocess.Popen([small_run.FINBACK, *map(str, self.batch("--ignore-eos"))], stderr=subprocess.DEVNULL, cwd=small_run.ROOT)
        while not os.path.exists(self.out) or not os.path.getsize(self.out):
            time.sleep(0.01)
        self.bad(1, *self.batch("--ignore-eos"), says="another process")
        self.assertEqual(first.wait(), 0)
        with open(self.out, encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 500)

    def test_it_refuses_what_it_could_not_go_on_with(self):
        self.write({"id": "x", "prompt": "a"}, {"id": "x", "prompt": "b"})
        self.bad(1, *self.batch(), says=[":2: expected an id of its own", "line 1"])
        self.write({"id": "x", "prompt": "a"})
        self.good(*self.batch("--max-tokens", 2))
        self.bad(1, *self.batch("--max-tokens", 3), says=["max_tokens 2", "--out"])
        self.bad(1, *self.batch("--max-tokens", 2, "--weights", "int8"), says="weights")
        small_run.must(small_run.finback(*small_run.train_words("offline2", "--train.steps=3")))
        self.model, model = os.path.join(small_run.run_folder("offline2"), "latest"), self.model
        self.bad(1, *self.batch("--max-tokens", 2), says="fingerprint")
        self.model = model
        self.bad(1, "generate", self.model, "--prompts", self.prompts, says="--out")
        self.bad(1, "generate", self.model, "--out", self.out, says="--prompts")
        self.bad(1, *self.batch("--json"), says="--json")
        self.bad(1, *self.batch("--prompt", "a"), says="--prompt")
        self.bad(1, "generate", self.model, "--prompts", self.prompts, "--out", self.prompts, says=os.path.basename(self.prompts))
        self.bad(1, "generate", self.model, "--prompts", self.prompts + ".none", "--out", self.out, says=".none")
