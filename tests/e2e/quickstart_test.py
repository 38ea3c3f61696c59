"""The quickstart script and tools/setup below it: what stops them, what passes a signal on. Builds nothing."""
import os
import shutil
import signal
import subprocess

import small_run
from small_run import ROOT


def runs(pid):
    """Whether the process is there and no zombie that nobody has asked for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class QuickstartTest(small_run.ProgramTest):
    """The script with programs of our own in the places that it calls."""

    def tree(self):
        root = os.path.join(small_run.work_folder(), "quick")
        shutil.rmtree(root, ignore_errors=True)
        for folder in ("tools", "bin", "build", "data/austen/tokenizer", "data/austen/tokens", "runs/quickstart"):
            os.makedirs(os.path.join(root, folder))
        for name in ("data/austen/manifest.json", "data/austen/tokenizer/tokenizer_config.json", "data/austen/tokens/tokens.json"):
            open(os.path.join(root, name), "w", encoding="utf-8").close()
        shutil.copy(os.path.join(ROOT, "quickstart"), root)
        for name, text in (("tools/setup", "true"), ("tools/baselines", "echo BASELINES")):
            self.script(root, name, text)
        return root

    def script(self, root, name, text):
        path = os.path.join(root, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/usr/bin/env bash\n" + text + "\n")
        os.chmod(path, 0o755)

    def test_it_stops_with_its_training(self):
        root = self.tree()
        for code in (130, 143, 129):
            self.script(root, "build/finback", f'[ "$1" != train ] || exit {code}; echo "AFTER $1"')
            done = subprocess.run([os.path.join(root, "quickstart")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertNotIn("AFTER", done.stdout)
            self.assertNotIn("BASELINES", done.stdout)
            self.assertIn("./quickstart again", done.stderr)

    def test_a_signal_to_it_is_passed_on_and_waited_for(self):
        root = self.tree()
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            self.script(root, "build/finback", 'trap "sleep 0.3; echo SAVED; exit 143" TERM; echo TRAINING; for i in {1..600}; do sleep 0.05; done')
            process = subprocess.Popen([os.path.join(root, "quickstart")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a shell may have ignored it
            self.addCleanup(process.kill)
            while "TRAINING" not in process.stdout.readline():
                self.assertIsNone(process.poll())
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, code, err)
            self.assertIn("SAVED", out)
            self.assertNotIn("BASELINES", out)

    def test_a_signal_ends_the_setup_and_all_below_it_at_once(self):
        """tools/setup itself, with a compiler that takes ten minutes."""
        root = self.tree()
        shutil.copy(os.path.join(ROOT, "tools/setup"), os.path.join(root, "tools/setup"))
        for name in ("TorchConfig.cmake", "build/CMakeCache.txt"):
            with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                f.write(f"Torch_DIR:PATH={root}\n")
        self.script(root, "bin/dpkg-query", "echo install ok installed")
        self.script(root, "build/finback", "exit 1")
        begin = {"env": {**os.environ, "PATH": os.path.join(root, "bin") + ":" + os.environ["PATH"]}, "stdout": subprocess.PIPE,
                 "stderr": subprocess.PIPE, "encoding": "utf-8", "stdin": subprocess.DEVNULL,
                 "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
        for command in ("quickstart", "tools/setup"):
            for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
                self.script(root, "bin/cmake", '[ "$1" = --build ] || exit 0; sleep 600 & echo "COMPILER $!"; wait')
                process = subprocess.Popen([os.path.join(root, command)], **begin)
                self.addCleanup(process.kill)
                line = ""
                while "COMPILER" not in line:
                    line = process.stdout.readline()
                    self.assertTrue(line, process.poll())
                process.send_signal(number)
                _, err = process.communicate(timeout=30)
                self.assertEqual(process.returncode, code, err)
                self.assertIn("stopped. Run", err)
                self.assertFalse(runs(line.split()[1]), "the compiler is left running")
        self.script(root, "bin/cmake", "echo MADE")
        done = subprocess.run([os.path.join(root, "tools/setup")], **{k: v for k, v in begin.items() if k != "preexec_fn"}, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.script(root, "bin/cmake", "exit 3")
        self.assertEqual(subprocess.run([os.path.join(root, "quickstart")], **begin, timeout=60).returncode, 1)



if __name__ == "__main__":
    import unittest
    unittest.main()
