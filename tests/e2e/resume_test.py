"""Exact resume: a run killed at any instant and resumed ends in the bits of a run never interrupted; and the comparison would notice.
Thirty random kills and more failpoints with --full, a handful otherwise."""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

import small_run
from small_run import FINBACK, ROOT, difference, finback, metrics_difference, run_folder, train_words

# NAME:COUNT counts passages in the whole process: a checkpoint passes its own points once, each of its files the four of an atomic file, and
# "write" once a tensor. The first ten die between a checkpoint's temporary name and its DONE, which the test verifies.
BEFORE_DONE = ["checkpoint-begun:2", "write:40", "write:120", "before-fsync:11", "before-rename:11", "after-rename:11", "model-saved:2",
               "before-rename:12", "checkpoint-written:2", "before-done:2"]
ELSEWHERE = ["after-done:2", "before-latest:3", "mid-removal:1", "checkpoint-begun:1", "write:1", "after-rename:1"]


def unfinished(run):
    """Whether a step folder, under its temporary or its own name, lacks DONE."""
    return [p for p in glob.glob(os.path.join(run, "step-*")) if not os.path.exists(os.path.join(p, "DONE"))]


class ResumeTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.straight = run_folder("straight")
        begun = time.monotonic()
        small_run.must(finback(*train_words("straight")))
        cls.seconds = time.monotonic() - begun

    def resumed(self, name, *more):
        self.good(*train_words(name, "--resume", *more))
        self.assertEqual(difference(self.straight, run_folder(name)), "")
        leftovers = [p for p in glob.glob(os.path.join(run_folder(name), "*")) if p.endswith(".tmp")]
        self.assertEqual(leftovers, [])

    def killed_by(self, name, failpoint):
        done = finback(*train_words(name, "--resume", f"--failpoint={failpoint}:kill"))
        self.assertEqual(done.returncode, -signal.SIGKILL, f"{failpoint} was never passed\n{done.stderr}")

    def test_killed_at_failpoints(self):
        chosen = BEFORE_DONE + ELSEWHERE if small_run.full else ["checkpoint-begun:2", "write:120", "before-done:2", "mid-removal:1"]
        for number, failpoint in enumerate(chosen):
            with self.subTest(failpoint=failpoint):
                name = f"failpoint-{number}"
                self.killed_by(name, failpoint)
                if failpoint in BEFORE_DONE:
                    self.assertTrue(unfinished(run_folder(name)), "expected a checkpoint without DONE")
                self.resumed(name)
                shutil.rmtree(run_folder(name))

    def test_killed_in_an_evaluation_loses_no_step(self):
        # Lines: 12 steps, evaluations behind steps 0, 4, 8 and 12, samples behind 6 and 12: the 9th is step 6's sample, the 17th the last evaluation.
        for line, step in ((9, 6), (17, small_run.STEPS), (18, small_run.STEPS)):
            with self.subTest(line=line):
                name = f"evaluation-{line}"
                self.killed_by(name, f"metrics:{line}")
                self.assertTrue(os.path.exists(os.path.join(run_folder(name), f"step-{step:06}", "DONE")))
                self.assertFalse(os.path.exists(os.path.join(run_folder(name), "bill.json")))
                self.resumed(name)
                self.assertTrue(os.path.exists(os.path.join(run_folder(name), "bill.json")))

    def test_a_rehearsal_leaves_no_trace_but_its_plan(self):
        # Killed in the rehearsal's checkpoint: its folder goes, the plan is made by the next attempt, and kept by the one behind.
        planned = "--bill.plan_above_s=0"
        done = finback(*train_words("planned", "--resume", planned, "--failpoint=checkpoint-written:1:kill"))
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertEqual(glob.glob(os.path.join(run_folder("planned"), "plan.json")), [])
        done = finback(*train_words("planned", "--resume", planned, "--failpoint=after-done:3:kill"))
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        path = os.path.join(run_folder("planned"), "plan.json")
        before = open(path, "rb").read()
        self.resumed("planned", planned)
        self.assertEqual(open(path, "rb").read(), before)
        self.assertEqual(glob.glob(os.path.join(run_folder("planned"), "step-r*")), [])
        with open(os.path.join(run_folder("planned"), "bill.json"), encoding="utf-8") as f:
            bill = json.load(f)
        self.assertEqual(bill["planned"]["wall_hours"], json.loads(before)["wall_hours"])
        self.assertGreater(bill["peak_memory_bytes"], 1 << 20)
        table = self.good("bill", run_folder("planned")).stdout
        self.assertRegex(table, r"predicted +actual")
        self.assertRegex(table, r"electricity .*(measured|estimated)")

    def test_killed_twice_in_a_row(self):
        self.killed_by("twice", "before-done:2")
        self.killed_by("twice", "checkpoint-written:1")
        self.resumed("twice")

    def test_killed_at_random_instants(self):
        rng = random.Random(1)
        runs = 30 if small_run.full else 2
        seconds, killed = self.seconds, 0  # killed: runs in which at least one kill came before the end
        for number in range(3 * runs):
            if killed == runs:
                break
            name = f"random-{number}"
            words = [FINBACK, *train_words(name, "--resume")]
            landed = 0
            for _ in range(rng.randint(1, 3)):
                process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(rng.uniform(0.1, 0.8 * seconds))
                process.kill()
                landed += process.wait() == -signal.SIGKILL
            if not landed:
                seconds *= 0.8  # the machine has become faster than it was when the straight run was timed
            killed += landed > 0
            with self.subTest(run=name):
                self.resumed(name)
                shutil.rmtree(run_folder(name))
        self.assertEqual(killed, runs, "too many runs had ended before their kill: their instants were not tried")

    def test_the_comparison_notices_a_difference(self):
        self.good(*train_words("other-seed", "--run.seed=2"))
        self.assertIn("differs at byte", difference(self.straight, run_folder("other-seed")))
        self.assertNotEqual(metrics_difference(self.straight, run_folder("other-seed")), "")
        # One bit of one moment, in a copy; then one digit of one metric.
        copy = run_folder("copy")
        shutil.copytree(self.straight, copy, symlinks=True)
        self.assertEqual(difference(self.straight, copy), "")
        flip_bit(os.path.join(copy, "latest", "trainer.safetensors"), -5)
        self.assertIn("trainer.safetensors differs", difference(self.straight, copy))
        flip_bit(os.path.join(copy, "latest", "trainer.safetensors"), -5)
        path = os.path.join(copy, "metrics.jsonl")
        with open(path, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        lines[3]["loss"] = float(repr(lines[3]["loss"])[:-1])
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
        self.assertIn("loss is", metrics_difference(self.straight, copy))

    def test_a_flipped_bit_in_a_checkpoint_is_refused(self):
        for pattern, tensor in (("trainer*.safetensors", "v.model.norm.weight"), ("model*.safetensors", "model.norm.weight")):
            name = "flip-" + pattern[:5]
            self.killed_by(name, "after-done:3")
            newest = sorted(glob.glob(os.path.join(run_folder(name), "step-*")))[-1]
            flip_tensor_bit(glob.glob(os.path.join(newest, pattern))[0], tensor)
            self.bad(1, *train_words(name, "--resume"), says=["expected", newest])
            # Its hint works: without that folder the run goes on from the one before.
            shutil.rmtree(newest)
            self.resumed(name)

    def test_other_settings_data_and_kernels_are_refused(self):
        self.killed_by("refuse", "after-done:2")
        for more, says in ((["--optimizer.lr=1e-3"], "optimizer.lr"), (["--run.seed=3"], "run.seed"), (["--train.steps=7"], "train.steps"), (["--train.steps=5"], "train.steps"),
                           (["--kernels=ref"], "--allow-other-kernels"), (["--data.seq_len=32"], "data.seq_len")):
            self.bad(1, *train_words("refuse", "--resume", *more), says=says)
        self.bad(1, *train_words("refuse"), says="--resume")
        self.good(*train_words("refuse", "--resume", "--kernels=ref", "--allow-other-kernels"))
        self.killed_by("freely", "after-done:2")
        # How a step is cut into forward passes is free too.
        self.good(*train_words("freely", "--resume", "--checkpoint.keep_last=9", "--train.micro_batch_tokens=128"))
        self.assertEqual(metrics_difference(self.straight, run_folder("freely")), "")

    def test_another_model_behind_the_same_recipe_is_refused(self):
        config = os.path.join(small_run.work_folder(), "shape.json")
        with open(os.path.join(self.straight, "latest", "config.json"), encoding="utf-8") as f:
            shape = json.load(f)
        words = train_words("shape", "--resume", f"--model.config={config}")
        for eps, code in ((1e-6, 0), (1e-5, 1)):
            with open(config, "w", encoding="utf-8") as f:
                json.dump({**shape, "rms_norm_eps": eps}, f)
            if code:
                self.bad(code, *words, says=["rms_norm_eps", "1e-06", "1e-05"])
            else:
                self.good(*words)

    def test_a_finished_run_has_nothing_to_do_and_keeps_its_bill(self):
        path = os.path.join(self.straight, "bill.json")
        before = open(path, "rb").read()
        self.assertIn(f"nothing to do: finished at step {small_run.STEPS}", self.good(*train_words("straight", "--resume")).stdout)
        self.assertEqual(open(path, "rb").read(), before)
        os.remove(path)
        self.good(*train_words("straight", "--resume"))
        self.assertTrue(os.path.exists(path), "a run killed before its bill gets one")

    def test_a_moved_run_goes_on_where_it_lies(self):
        self.killed_by("moving", "after-done:2")
        moved = os.path.join(small_run.work_folder(), "new", "moved")
        os.makedirs(os.path.dirname(moved))
        os.rename(run_folder("moving"), moved)
        self.good("train", moved, "--resume")
        self.assertFalse(os.path.exists(run_folder("moving")))
        self.assertEqual(difference(self.straight, moved), "")

    def test_device_hours_are_those_of_each_attempt(self):
        # The first two die before any checkpoint, so that a resume cuts their metrics lines; an hour is added to what the first spent.
        self.killed_by("hours", "metrics:3")
        path = os.path.join(run_folder("hours"), "attempts.jsonl")
        with open(path, encoding="utf-8") as f:
            first = json.loads(f.read())
        self.assertGreater(first["seconds"], 0)
        with open(path, "w", encoding="utf-8") as f:
            f.write(json.dumps({**first, "devices": 3, "seconds": 1200}) + "\n")
        self.killed_by("hours", "checkpoint-begun:1")
        self.killed_by("hours", "after-done:3")
        bill = json.loads(self.good(*train_words("hours", "--resume", "--threads=1", "--rate=2", "--json")).stdout)
        self.assertGreater(bill["device_hours"], 1)
        self.assertLess(bill["wall_hours"], 0.9)
        self.assertAlmostEqual(bill["usd"], 2 * bill["device_hours"])
        with open(path, encoding="utf-8") as f:
            attempts = [json.loads(line) for line in f]
        self.assertEqual([a["devices"] for a in attempts[::3]], [3, 1])
        self.assertAlmostEqual(bill["wall_hours"], sum(a["seconds"] for a in attempts) / 3600, delta=2 / 3600)
        self.assertEqual((bill["stopped"], bill["step"], bill["steps"]), (False, small_run.STEPS, small_run.STEPS))

    def test_signals_save_and_end_orderly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                name = f"signal-{number.name}"
                process = subprocess.Popen([FINBACK, *train_words(name)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
                process.stderr.readline()      # the run's first line: the handlers stand
                process.send_signal(number)
                out, err = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 128 + number, err)
                self.assertIn("stopped at step", out)
                self.assertIn("--resume", out)
                self.resumed(name)

    def test_a_signal_in_a_rehearsal_ends_the_run_there(self):
        begun = os.path.join(run_folder("rehearsed"), "attempts.jsonl")  # written just before it
        process = subprocess.Popen([FINBACK, *train_words("rehearsed", "--bill.plan_above_s=0")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   encoding="utf-8")
        while not os.path.exists(begun) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(f"stopped at step 0 of {small_run.STEPS}", out)
        self.assertEqual(glob.glob(os.path.join(run_folder("rehearsed"), "step-r*")), [])
        self.assertFalse(os.path.exists(os.path.join(run_folder("rehearsed"), "plan.json")), "the rehearsal went on to its end")
        self.resumed("rehearsed", "--bill.plan_above_s=0")
        self.assertTrue(os.path.exists(os.path.join(run_folder("rehearsed"), "plan.json")), "the next attempt makes the plan")

    def test_a_full_disk_keeps_the_last_good_checkpoint(self):
        for number, action in enumerate(["full", "short"]):
            with self.subTest(action=action):
                name = f"disk-{number}"
                done = finback(*train_words(name, f"--failpoint=write:280:{action}"))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("No space left on device", done.stderr.splitlines()[-1])
                self.assertNotIn("terminate", done.stderr)
                finished = glob.glob(os.path.join(run_folder(name), "step-*", "DONE"))
                self.assertEqual(len(finished), 1, "expected one finished checkpoint before the disk was full")
                self.good("generate", os.path.join(run_folder(name), "latest"), "--prompt", "Ba", "--max-tokens", 3)
                self.resumed(name)

    def test_a_folder_that_cannot_be_written_is_one_line(self):
        self.bad(1, *train_words("x", f"--run.dir={small_run.recipe()}"), says="small.toml")
        self.bad(1, *train_words("x", "--run.dir=/proc/self"), says="/proc/self")

    def test_a_run_in_use_is_refused(self):
        process = subprocess.Popen([FINBACK, *train_words("busy", "--train.steps=2000")], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   encoding="utf-8")
        try:
            process.stderr.readline()
            self.bad(1, *train_words("busy", "--train.steps=2000", "--resume"), says="another process")
        finally:
            process.kill()
            process.communicate()

    def test_a_non_finite_loss_stops_before_the_update_and_leaves_a_loadable_checkpoint(self):
        done = finback(*train_words("explode", "--optimizer.lr=1e30", "--schedule.kind=constant", "--train.grad_clip=0", "--schedule.warmup_steps=0"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], r"^finback: step \d+: .*Hint")
        self.assertTrue(glob.glob(os.path.join(run_folder("explode"), "step-*", "DONE")))
        self.good("inspect", os.path.join(run_folder("explode"), "latest"))


def flip_tensor_bit(path, tensor):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        end = 8 + size + json.loads(f.read(size))[tensor]["data_offsets"][1]
    flip_bit(path, end - os.path.getsize(path) - 4)


def flip_bit(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset, os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(offset, os.SEEK_END)
        f.write(bytes([byte ^ 1]))


if __name__ == "__main__":
    unittest.main()
