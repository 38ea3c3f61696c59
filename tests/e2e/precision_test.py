"""FP8 training from the command line: audited, falling back by itself, and resumed in the bits of a run never interrupted; wrong words are
refused before anything is written."""
import json
import os
import signal
import unittest

import small_run
from small_run import difference, finback, run_folder, train_words

# The bar for gradients lies among the figures of this model, so some sub-layers fall back at step 1, some later, some never.
FP8 = ["--train.precision=fp8", "--train.audit_every=4", "--train.snr_gradient_db=31.28"]


def lines(name, kind):
    with open(os.path.join(run_folder(name), "metrics.jsonl"), encoding="utf-8") as f:
        return [line for line in map(json.loads, f) if line["kind"] == kind]


class PrecisionTest(small_run.ProgramTest):
    def test_fp8_is_audited_falls_back_and_resumes_exactly(self):
        done = self.good(*train_words("fp8", *FP8))
        audits = lines("fp8", "audit")
        self.assertEqual([line["step"] for line in audits], [1, 5, 9])
        fell = [name for line in audits for name in line["fell_back"]]
        self.assertTrue(fell, audits)
        self.assertEqual(audits[-1]["fallen_back"], fell)
        self.assertEqual(len(set(fell)), len(fell), "a sub-layer falls back once")
        self.assertTrue(audits[-1]["linear"], "expected a bar that leaves some sub-layers in fp8")
        for name in fell:
            self.assertIn(name + " is below its bar", done.stderr)
        for kind in ("x", "w", "y", "dy", "dx", "dw"):
            self.assertEqual(len(audits[0][kind]), len(audits[0]["linear"]))
        killed = finback(*train_words("fp8-killed", *FP8, "--failpoint=after-done:3:kill"))
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.good(*train_words("fp8-killed", *FP8, "--resume"))
        self.assertEqual(difference(run_folder("fp8"), run_folder("fp8-killed")), "")
        self.bad(1, *train_words("fp8-killed", "--resume"), says="train.precision")

    def test_precisions_train_alike_and_not_the_same(self):
        losses = {}
        for precision in ("f32", "bf16", "fp8"):
            self.good(*train_words("p-" + precision, f"--train.precision={precision}"))
            losses[precision] = lines("p-" + precision, "eval")[-1]["val_loss"]
        for precision in ("bf16", "fp8"):
            self.assertNotEqual(losses[precision], losses["f32"])
            self.assertLess(abs(losses[precision] / losses["f32"] - 1), 0.01, losses)

    def test_wrong_words_are_refused(self):
        self.bad(1, *train_words("x", "--train.precision=fp4"), says=["train.precision", "f32, bf16, fp8", "fp4"])
        self.bad(1, *train_words("x", "--train.wgrad_precision=fp8"), says="train.wgrad_precision")
        self.bad(1, *train_words("x", "--train.audit_every=-1"), says="train.audit_every")
        self.bad(1, "bench", "step", "--config", "configs/models/nano", "--precision", "int8", says="--precision")

    def test_a_trained_model_leaves_and_reads_deepseeks_fp8_layout(self):
        self.good(*train_words("p-out", "--train.precision=fp8", "--train.steps=4"))
        model, out = os.path.join(run_folder("p-out"), "latest"), os.path.join(small_run.work_folder(), "fp8-model")
        self.good("convert", model, "--weights", "fp8", "--out", out)
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["quantization_config"]["weight_block_size"], [128, 128])
        self.good("generate", out, "--prompt", "Ba", "--max-tokens", 3)


if __name__ == "__main__":
    unittest.main()
