"""On a GPU every op runs its plain reference: slow, but the same model. Without one: a clear line, and the rest is skipped."""
import json
import os
import signal
import unittest

import small_run
from small_run import difference, finback, run_folder, train_words

GPU = ["--run.device=cuda", "--rate=1"]


def has_gpu():
    return "expected a GPU" not in finback("generate", "none", "--prompt", "x", "--device", "cuda").stderr


def losses(name):
    with open(os.path.join(run_folder(name), "metrics.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    return [line["loss"] for line in lines if line["kind"] == "step"], [line["val_loss"] for line in lines if line["kind"] == "eval"]


class GpuTest(small_run.ProgramTest):
    def test_without_a_gpu_cuda_is_refused(self):
        if has_gpu():
            self.skipTest("this machine has a GPU")
        self.bad(1, *train_words("no-gpu", *GPU), says=["run.device", "GPU"])
        self.assertFalse(os.path.exists(run_folder("no-gpu")))
        self.bad(1, "generate", "x", "--prompt", "a", "--device", "cuda", says=["--device", "GPU"])

    def test_a_gpu_trains_the_model_of_the_cpu(self):
        if not has_gpu():
            self.skipTest("no GPU")
        for words in ([], ["--train.mla_algebra=absorbed"], ["--train.precision=bf16"], ["--train.precision=fp8", "--train.audit_every=4"],
                      ["--train.micro_batch_tokens=128", "--deterministic"]):
            with self.subTest(words=words):
                name = "".join(c for c in "".join(words) if c.isalnum())
                self.good(*train_words("cpu" + name, *words))
                self.good(*train_words("gpu" + name, *GPU, *words))
                for ours, theirs in zip(losses("gpu" + name), losses("cpu" + name)):
                    self.assertEqual(len(ours), len(theirs))
                    for a, b in zip(ours, theirs):
                        self.assertLess(abs(a / b - 1), 2e-3 if "precision" in name else 1e-4, (ours, theirs))

    def test_a_gpu_resumes_and_writes_what_the_cpu_reads(self):
        if not has_gpu():
            self.skipTest("no GPU")
        self.good(*train_words("whole", *GPU, "--deterministic"))
        killed = finback(*train_words("cut", *GPU, "--deterministic", "--failpoint=after-done:2:kill"))
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.good(*train_words("cut", *GPU, "--deterministic", "--resume"))
        self.assertEqual(difference(run_folder("whole"), run_folder("cut")), "")
        model = os.path.join(run_folder("whole"), "latest")
        with open(os.path.join(model, "trainer.json"), encoding="utf-8") as f:
            state = json.load(f)
        self.assertEqual(state["kernels"], "ref")
        self.assertTrue(state["machine"].startswith("ref, torch's ops on cuda, "), state["machine"])
        words = ["generate", model, "--prompt", "Ba", "--max-tokens", 16, "--temperature", 0, "--json"]
        ids = [json.loads(self.good(*words, "--device", device).stdout)["ids"] for device in ("cpu", "cuda")]
        self.assertEqual(ids[0], ids[1])
        self.assertGreater(len(ids[0]), 3)


if __name__ == "__main__":
    unittest.main()
