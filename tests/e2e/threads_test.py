"""The bits of a run depend on neither the thread count nor how a batch is cut into micro-batches."""
import os

import small_run
from small_run import difference, metrics_difference, run_folder, train_words


class ThreadsTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.one = run_folder("one-thread")
        small_run.must(small_run.finback(*train_words("one-thread", "--threads", 1)))

    def test_more_threads_same_bits(self):
        for count in (2, 5):
            self.good(*train_words(f"threads-{count}", "--threads", count))
            self.assertEqual(difference(self.one, run_folder(f"threads-{count}")), "")

    def test_micro_batches_same_bits(self):
        for tokens in (64, 192):
            self.good(*train_words(f"micro-{tokens}", f"--train.micro_batch_tokens={tokens}"))
            self.assertEqual(difference(self.one, run_folder(f"micro-{tokens}")), "")

    def test_poisoned_memory_and_deterministic_mode_change_nothing(self):
        self.good(*train_words("poison", "--poison", "--deterministic"))
        self.assertEqual(metrics_difference(self.one, run_folder("poison")), "")

    def test_generation_does_not_depend_on_threads(self):
        words = ["generate", os.path.join(self.one, "latest"), "--prompt", "Ba", "--max-tokens", 12, "--temperature", 0.9, "--seed", 3, "--json"]
        self.assertEqual(self.good(*words, "--threads", 1).stdout, self.good(*words, "--threads", 3).stdout)
