"""Runs that lose nothing and say what they do: nothing is removed before all is checked, exit codes, Ctrl-C at every moment, bills of runs that did
not end well, self-contained run folders, longer runs, memory and disk counted before the first step."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

import small_run
from small_run import FINBACK, ROOT, STEPS, difference, finback, run_folder, train_words

QUICK = ["--eval.every=0", "--eval.sample_tokens=0", "--checkpoint.every=0"]
SLOW_END = ["--train.steps=1", "--eval.every=0", "--eval.sample_tokens=0", "--train.micro_batch_tokens=64"]


def files_of(folder):
    return {os.path.relpath(path, folder): open(path, "rb").read()
            for path in glob.glob(os.path.join(folder, "**"), recursive=True) if os.path.isfile(path)}


class CasesRunTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.base = run_folder("cases-base")
        small_run.must(finback(*train_words("cases-base", "--train.steps=4", "--schedule.warmup_steps=1", *QUICK)))

    def started(self, *words, until=None):
        """A process in training, behind the line on stderr that holds `until`."""
        process = subprocess.Popen([FINBACK, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(process.kill)
        seen = []
        while until:
            seen.append(process.stderr.readline())
            self.assertNotEqual(seen[-1], "", f"ended before {until}: {seen}")
            if until in seen[-1]:
                break
        return process

    # --- nothing is removed before everything was checked

    def test_overwrite_refused_leaves_the_old_run_as_it_was(self):
        before = files_of(self.base)
        other = run_folder("cases-other-shape")
        small_run.must(finback(*train_words("cases-other-shape", "--train.steps=1", "--model.hidden_size=48", *QUICK)))
        nowhere = os.path.join(small_run.work_folder(), "nowhere")
        for flag, says in ((f"--train.init={self.base}/latest", "train.init"), (f"--train.init={self.base}/step-000004", "train.init"),
                           (f"--train.init={nowhere}", "nowhere"), (f"--train.init={other}/latest", "hidden_size"),
                           (f"--train.init={self.base}", "outside"), (f"--data.corpora={nowhere}", "nowhere"),
                           (f"--model.config={nowhere}", "nowhere"), ("--model.hidden_size=1048576", "memory"), (f"--log-rows={nowhere}/rows.jsonl", "nowhere")):
            with self.subTest(flag=flag):
                self.bad(1, *train_words("cases-base", "--overwrite", flag), says=says)
                self.assertEqual(files_of(self.base), before)
        # Stopped before the new run is open: the old one is still there.
        process = subprocess.Popen([FINBACK, *train_words("cases-base", "--overwrite", "--bill.plan_above_s=0")], cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, encoding="utf-8")
        while not glob.glob(os.path.join(self.base, "step-rehearsal*")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, out + err)
        self.assertIn("rehearsal", err)
        self.assertEqual(files_of(self.base), before)

    def test_a_folder_of_a_failed_start_is_not_in_the_way(self):
        nowhere = os.path.join(small_run.work_folder(), "nowhere")
        self.bad(1, *train_words("cases-typo", f"--train.init={nowhere}", *QUICK), says="nowhere")
        # One that comes as far as its folder: the process dies in the rehearsal.
        done = finback(*train_words("cases-typo", *QUICK, "--bill.plan_above_s=0", "--failpoint=checkpoint-begun:1:kill"))
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertTrue(os.path.exists(os.path.join(run_folder("cases-typo"), "attempts.jsonl")))
        self.good(*train_words("cases-typo", "--train.steps=1", *QUICK))
        self.bad(1, *train_words("cases-typo", "--train.steps=1", *QUICK), says="--resume")
        with open(os.path.join(run_folder("cases-typo"), "attempts.jsonl"), encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 2, "the hours of the failed start stay on the bill")

    # --- exit codes and what a signal says

    def test_a_stopped_run_tells_its_signal_and_how_to_go_on(self):
        for number, code in ((signal.SIGHUP, 129),):  # SIGINT and SIGTERM: resume_test.py
            with self.subTest(signal=number.name):
                name = f"cases-{number.name}"
                process = self.started(*train_words(name, "--train.steps=5000", *QUICK), until="step ")
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, code, err)
                self.assertRegex(out, r"stopped at step \d+ of 5000, saved in .*--resume")
                self.assertEqual(err.count("stopping: "), 1, err)
                self.assertFalse(os.path.exists(os.path.join(run_folder(name), "bill.json")), "bill.json says that a run is finished")
                bill = json.loads(self.good("bill", run_folder(name), "--json").stdout)["runs"][0]
                self.assertFalse(bill["finished"])
                with open(os.path.join(run_folder(name), "log.txt"), encoding="utf-8") as f:
                    self.assertIn(f"stopped by signal {int(number)}", f.read())

    def test_json_of_a_stopped_run_has_the_same_exit_code(self):
        process = self.started(*train_words("cases-json", "--train.steps=5000", *QUICK, "--json"), until="step ")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(json.loads(out)["stopped"])

    def test_a_signal_while_opening_saves_nothing_and_says_so(self):
        name = "cases-opening"
        process = self.started(*train_words(name, *QUICK))
        while not os.path.exists(os.path.join(run_folder(name), "attempts.jsonl")) and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("stopping: ", err)
        self.assertRegex(out, "stopped at step \\d+ of 12")
        self.good(*train_words(name, "--train.steps=1", *QUICK, "--resume" if "saved in" in out else "--overwrite"))

    def test_the_last_evaluation_is_left_and_made_by_resume(self):
        name, words = "cases-evaluation", train_words("cases-evaluation", *SLOW_END)
        run = run_folder(name)
        done_file = os.path.join(run, "step-000001", "DONE")
        for _ in range(5):
            shutil.rmtree(run, ignore_errors=True)
            process = self.started(*words)
            while not os.path.exists(done_file) and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            if process.returncode:
                break
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("evaluation", err)
        self.assertIn("stopped at step 1 of 1", out)
        self.assertFalse(os.path.exists(os.path.join(run, "bill.json")))
        done = self.good(*words, "--resume")
        self.assertIn("bits a byte", done.stdout)
        self.assertTrue(os.path.exists(os.path.join(run, "bill.json")))

    def test_a_second_signal_leaves_at_once_and_keeps_what_was_saved(self):
        name = "cases-twice"
        process = self.started(*train_words(name, "--train.steps=5000", "--train.batch_tokens=65536", "--bill.plan_above_s=1e9", *QUICK), until="parameters")
        time.sleep(0.3)  # into a step, which takes seconds
        process.send_signal(signal.SIGINT)
        self.assertIn("again", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_a_reader_that_went_away_does_not_end_the_run(self):
        name = "cases-pipe"
        process = self.started(*train_words(name, "--train.steps=3", "--eval.every=1", "--checkpoint.every=0"), until="parameters")
        process.stderr.close()
        process.stdout.read()
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertTrue(os.path.exists(os.path.join(run_folder(name), "bill.json")))

    # --- bills

    def test_every_run_has_a_bill_and_the_sum_goes_on(self):
        killed = run_folder("cases-killed")
        done = finback(*train_words("cases-killed", "--failpoint=metrics:6:kill"))
        self.assertEqual(done.returncode, -signal.SIGKILL)
        text = self.good("bill", killed).stdout
        self.assertIn("unfinished", text)
        self.assertRegex(text, "not running, at step [1-9] of 12")
        notes = os.path.join(small_run.work_folder(), "cases-notes")
        os.makedirs(notes, exist_ok=True)
        done = self.good("bill", killed, notes, small_run.recipe(), self.base)
        self.assertIn("sum of 2 runs (1 unfinished)", done.stdout)
        self.assertIn("cases-notes: left out", done.stderr)
        document = json.loads(self.good("bill", self.base, killed, notes, "--json").stdout)
        self.assertEqual([run["finished"] for run in document["runs"]], [True, False])
        self.assertEqual(document["left_out"], [notes])
        self.assertGreater(document["runs"][1]["tokens"], 0)
        self.assertGreater(document["runs"][1]["usd"], 0)
        self.bad(1, "bill", notes, says="attempts.jsonl")
        running = self.started(*train_words("cases-running", "--train.steps=5000", *QUICK), until="step ")
        self.assertIn("running, at step", self.good("bill", run_folder("cases-running")).stdout)
        running.kill()
        running.communicate()

    # --- copies of run folders

    def test_a_copy_with_followed_or_dropped_links_goes_on(self):
        for name in ("followed", "dropped"):
            copy = run_folder(f"cases-{name}")
            shutil.copytree(self.base, copy, symlinks=name == "dropped")
            if name == "dropped":
                os.remove(os.path.join(copy, "latest"))
                for given in (copy, os.path.join(copy, "latest")):
                    self.assertIn("step-000004", self.good("generate", given, "--prompt", "a", "--max-tokens", 1).stderr)
                    self.good("inspect", given)
            else:
                self.assertFalse(os.path.islink(os.path.join(copy, "latest")))
            self.good("train", copy, "--resume")
            self.assertEqual(os.readlink(os.path.join(copy, "latest")), "step-000004")
            self.assertFalse(os.path.lexists(os.path.join(copy, "latest.tmp")))

    def test_hints_name_what_was_meant(self):
        self.bad(1, "train", os.path.join(self.base, "latest"), "--resume", says=f"did you mean {self.base}?")
        self.bad(1, "plot", os.path.dirname(self.base), says="did you mean")
        begun = os.path.join(small_run.work_folder(), "begun")
        os.makedirs(begun)
        shutil.copy(os.path.join(self.base, "config.toml"), begun)
        self.bad(1, "plot", begun, says="no step yet")
        self.assertIn("max_position_embeddings", self.good("inspect", self.base, "--seq-len", 1 << 20).stderr)

    # --- self-contained folders, paths, keys

    def test_a_run_goes_on_from_any_folder_whatever_became_of_its_inputs(self):
        shape = os.path.join(small_run.work_folder(), "cases-shape.json")
        with open(os.path.join(self.base, "latest", "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        with open(shape, "w", encoding="utf-8") as f:
            json.dump(config, f)
        recipes = os.path.join(small_run.work_folder(), "cases-recipes")
        os.makedirs(recipes, exist_ok=True)
        with open(small_run.recipe(), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(recipes, "mine.toml"), "w", encoding="utf-8") as f:
            f.write(re.sub(r"\[model\].*?\[data\]", '[model]\nconfig = "../cases-shape.json"\n[data]', text, flags=re.S)
                    .replace(f'path = "{small_run.tokens()}"', 'path = "../tokens"'))
        done = finback("train", "cases-recipes/mine.toml", "--run.name=cases-moved", "--failpoint=after-done:2:kill", cwd=small_run.work_folder())
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        os.remove(shape)
        os.remove(os.path.join(recipes, "mine.toml"))
        self.good("train", run_folder("cases-moved"), "--resume", cwd="/")
        straight = run_folder("cases-straight")
        self.good(*train_words("cases-straight"))
        self.assertEqual(difference(straight, run_folder("cases-moved")), "")

    def test_a_longer_run_is_the_one_that_was_long_from_the_start(self):
        endless = ["--schedule.kind=constant", "--train.mtp_lambda_late=0.3", "--train.bias_update_stop=1", "--eval.sample_tokens=0"]
        self.good(*train_words("cases-long", *endless, "--train.steps=4"))
        self.good(*train_words("cases-grown", *endless, "--train.steps=2"))
        plan = os.path.join(run_folder("cases-grown"), "plan.json")
        with open(plan, "w", encoding="utf-8") as f:  # as if the first two steps had been rehearsed
            json.dump({"measured": {"steps": 2, "tokens": 1024, "token_s": 1e-3, "update_s": 0.5, "start_s": 3}, "wall_hours": 5 / 3600}, f)
        self.good("train", run_folder("cases-grown"), "--resume", "--train.steps=4")
        with open(plan, encoding="utf-8") as f:
            grown = json.load(f)
        self.assertEqual((grown["measured"]["tokens"], round(grown["train_s"], 3), grown["other_s"]), (2048, 2.048 + 4 * 0.5, 3))
        self.assertEqual(json.loads(self.good("bill", run_folder("cases-grown"), "--json").stdout)["runs"][0]["planned"]["tokens"], 2048)
        self.assertEqual(difference(run_folder("cases-long"), run_folder("cases-grown")), "")
        self.bad(1, "train", run_folder("cases-grown"), "--resume", "--train.steps=3", says="at least the 4 steps")
        message = self.bad(1, "train", self.base, "--resume", "--train.steps=8", says="step 4")
        self.assertIn("--train.init=", message)

    def test_what_may_change_is_marked_and_a_refusal_says_how_else(self):
        text = self.good("train", "--help").stdout
        for line in ("\n* eval.every ", "\n* checkpoint.keep_last ", "\n~ train.steps ", "\n  optimizer.lr "):
            self.assertIn(line, text)
        self.bad(1, "train", self.base, "--resume", "--optimizer.lr=1e-4", says=[f"--train.init={self.base}/latest", "optimizer.lr"])
        self.good(*train_words("cases-tuned", f"--train.init={self.base}/latest", "--optimizer.lr=1e-4", "--train.steps=1", *QUICK))
        self.bad(1, *train_words("x", "--lr=1e-3"), says="--optimizer.lr")
        self.bad(2, *train_words("x", "--lr", "1e-3"), says="--optimizer.lr")
        self.bad(2, *train_words("x", "--train.steps=3", "--train.steps=4"), says="twice")
        self.bad(2, *train_words("x", "--rate=3", "--bill.rate=4"), says="say the same thing")

    def test_corpora_can_be_a_flag(self):
        for number, value in enumerate((small_run.tokens(), f'[{{path = "{small_run.tokens()}"}}]')):
            self.good(*train_words(f"cases-corpora-{number}", f"--data.corpora={value}", "--train.steps=1", *QUICK))

    # --- one run, one bill

    def test_a_run_named_twice_counts_once(self):
        link = os.path.join(small_run.work_folder(), "cases-link")
        if not os.path.lexists(link):
            os.symlink(self.base, link)
        detour = os.path.join(self.base, "..", os.path.basename(self.base)) + "/"
        alone = json.loads(self.good("bill", self.base, "--json").stdout)
        for again in (self.base, link, detour):
            with self.subTest(again=again):
                done = self.good("bill", self.base, again, "--final", again, "--json")
                self.assertEqual(json.loads(done.stdout), alone)
                self.assertEqual(done.stderr.count(f"{again}: named twice, counts once"), 1, done.stderr)
                done = self.good("plot", self.base, again, "--json")
                self.assertEqual(len(json.loads(done.stdout)["runs"]), 1)
                self.assertEqual(done.stderr.count(f"{again}: named twice, counts once"), 1, done.stderr)
        usage = os.path.join(small_run.work_folder(), "cases-usage.json")
        self.good("generate", self.base, "--prompt", "Ba", "--max-tokens", 2, "--usage", usage)
        alone = json.loads(self.good("bill", "--serve", usage, "--json").stdout)
        self.assertEqual(json.loads(self.good("bill", "--serve", usage, os.path.join(os.path.dirname(usage), ".", "cases-usage.json"), "--json").stdout), alone)

    def test_tokens_that_are_older_than_their_corpus_are_not_trained_on_in_silence(self):
        place = os.path.join(small_run.work_folder(), "cases-older")
        corpus, tokens = os.path.join(place, "corpus"), os.path.join(place, "corpus", "tokens")
        def build(seed):
            for i in range(4):
                os.makedirs(place, exist_ok=True)
                with open(os.path.join(place, f"{i}.txt"), "w", encoding="utf-8") as f:
                    f.write(small_run.generated_text(seed + i, 1500))
            self.good("corpus", "build", *(os.path.join(place, f"{i}.txt") for i in range(4)), "--out", corpus, "--validation-share", 0.2)
        tokenize = ["tokenize", corpus, "--tokenizer", small_run.tokenizer(), "--out", tokens]
        train = train_words("cases-older-run", f"--data.corpora={tokens}", "--train.steps=2", *QUICK)
        build(1)
        self.good(*tokenize)
        self.assertNotIn("earlier build", self.good(*train).stderr)
        build(1)  # the same text again
        self.assertNotIn("earlier build", self.good(*train, "--overwrite").stderr)
        build(7)
        before = files_of(run_folder("cases-older-run"))
        self.bad(1, *train, "--overwrite", says=[tokens, corpus, "earlier build", f"tokenize {corpus} --tokenizer {tokens} --out {tokens}", "--anyway"])
        self.assertEqual(files_of(run_folder("cases-older-run")), before)
        self.assertIn("warning: " + tokens, self.good(*train, "--overwrite", "--anyway").stderr)
        resumed = self.good("train", run_folder("cases-older-run"), "--resume")  # with what it was trained on
        self.assertIn("warning: " + tokens, resumed.stderr)
        self.good("tokenize", corpus, "--tokenizer", tokens, "--out", tokens)
        self.assertNotIn("earlier build", self.good(*train, "--overwrite").stderr)
        moved = os.path.join(place, "moved")
        os.rename(corpus, moved)
        self.assertNotIn("earlier build", self.good(*train_words("cases-older-run", f"--data.corpora={moved}/tokens", "--train.steps=2", "--overwrite", *QUICK)).stderr)

    def test_how_often_the_text_is_read_is_said(self):
        done = self.good(*train_words("cases-epochs", "--train.steps=1", *QUICK))
        self.assertRegex(done.stderr, r"parameters, 1 steps, 512 tokens \([0-9.e-]+ a parameter, the text [0-9.e-]+ times\)")
        self.assertRegex(done.stderr, r"warning: the run reads [0-9.e-]+ % of its .* tokens of text")

    # --- warnings, memory, disk

    def test_legal_and_silly_values_are_said(self):
        done = self.good(*train_words("cases-silly", "--schedule.warmup_steps=5000", "--train.steps=2", "--threads=64", *QUICK))
        self.assertRegex(done.stderr, r"warning: schedule.warmup_steps = 5000 of 2 steps")
        self.assertRegex(done.stderr, r"warning: --threads=64 on \d+ core")
        with open(os.path.join(run_folder("cases-silly"), "log.txt"), encoding="utf-8") as f:
            log = f.read()
        self.assertIn("warmup_steps = 5000", log)
        self.assertIn("step 2/2", log)

    def test_too_much_for_memory_or_disk_is_said_before_the_first_step(self):
        shape = os.path.join(small_run.work_folder(), "large.json")
        with open(os.path.join(self.base, "latest", "config.json"), encoding="utf-8") as f:
            json.dump({**json.load(f), "hidden_size": 1 << 17, "num_hidden_layers": 64}, open(shape, "w", encoding="utf-8"))
        self.bad(1, *train_words("cases-large", f"--model.config={shape}", "--model.hidden_size=131072", "--model.num_hidden_layers=64"),
                 says=["memory", "optimizer", "--anyway"])
        self.bad(1, *train_words("cases-wide", "--train.batch_tokens=1073741824"), says=["memory", "--train.micro_batch_tokens="])
        self.bad(1, *train_words("cases-disk", "--train.steps=1000000000", "--checkpoint.every=1", "--checkpoint.keep_last=100000000"),
                 says=["checkpoint.keep_last", "free", "--anyway"])
        for name in ("large", "wide", "disk"):
            self.assertFalse(os.path.exists(run_folder("cases-" + name)))
        parts = json.loads(self.good("inspect", shape, "--json").stdout)["memory_bytes"]
        for use in (parts["train"]["f32"], parts["serve_parts"]["f32"]):
            self.assertAlmostEqual(sum(v for k, v in use.items() if k != "total") / use["total"], 1)

    def test_generate_refuses_a_model_that_does_not_fit(self):
        folder = os.path.join(small_run.work_folder(), "cases-huge")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(self.base, "latest", "config.json"), encoding="utf-8") as f, open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as g:
            json.dump({**json.load(f), "hidden_size": 1 << 17, "num_hidden_layers": 64}, g)
        self.bad(1, "generate", folder, "--prompt", "Ba", says=["memory", "weights", "--anyway"])
        self.bad(1, "generate", folder, "--prompt", "Ba", "--anyway", says="tokenizer.json")

    def test_the_file_that_says_done_is_the_last_one(self):
        for number in (1, 2):
            out = os.path.join(small_run.work_folder(), f"cases-tokenizer-{number}")
            self.bad(1, "tokenizer", "train", small_run.corpus(), "--vocab-size", 300, "--out", out, f"--failpoint=write:{number}:full", says="No space")
            self.assertFalse(os.path.exists(os.path.join(out, "tokenizer_config.json")), "quickstart takes it for a whole tokenizer")

    def test_a_full_disk_names_the_checkpoint_that_stays(self):
        done = finback(*train_words("cases-full", "--failpoint=write:280:full"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.splitlines()[-1], r"No space left.*step-0000\d\d: --resume goes on")
        with open(os.path.join(run_folder("cases-full"), "log.txt"), encoding="utf-8") as f:
            self.assertIn("ended: ", f.read())

    def test_the_share_of_the_peak_is_one_at_most(self):
        with open(os.path.join(self.base, "metrics.jsonl"), encoding="utf-8") as f:
            for line in f:
                self.assertLessEqual(json.loads(line).get("peak_share", 0), 1)
        self.assertLessEqual(json.loads(self.good("bill", self.base, "--json").stdout)["runs"][0]["share_of_peak"], 1)


if __name__ == "__main__":
    import unittest
    unittest.main()
