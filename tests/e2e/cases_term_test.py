"""What a terminal shows, through a pseudo terminal: progress that fits, a conversation with its line editor, Ctrl-C, pastes; and version, completion, help, plots."""
import errno
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import small_run
from small_run import FINBACK, ROOT, finback, run_folder, train_words

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The program in a pseudo terminal of so many columns."""

    def __init__(self, *words, columns=80, environment=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(FINBACK, [FINBACK, *map(str, words)], {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": small_run.work_folder(), **(environment or {})})
        self.text, self.status = "", None

    def pump(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            data = b""
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def until(self, part, seconds=60):
        """Waits for text behind what was waited for before; returns all up to it."""
        end = time.monotonic() + seconds
        while part not in self.text:
            if time.monotonic() > end or not self.pump(0.2):
                raise AssertionError(f"expected {part!r}, got {self.text!r}")
        before, _, self.text = self.text.partition(part)
        return before + part

    def wait_until_blocked(self, seconds=60):
        """Waits, without reading, until the terminal is full and the program waits to write: it uses no processor any more."""
        end, before = time.monotonic() + seconds, None
        while True:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8") as f:
                used = sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
            if used == before:
                return
            if time.monotonic() > end:
                raise AssertionError("the program goes on though nobody reads")
            before = used
            time.sleep(0.5)

    def send(self, text):
        os.write(self.fd, text.encode())

    def close(self, seconds=60):
        """The exit code; what came last is in text."""
        end = time.monotonic() + seconds
        while self.pump(0.2):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def screen_lines(text):
    """Every line as a terminal would have had it before it was ended or rewritten."""
    return [ESCAPE.sub("", part) for part in re.split(r"[\r\n]+", text)]


class TerminalTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        small_run.must(finback(*train_words("term", "--train.steps=6", "--checkpoint.every=0")))
        cls.model = os.path.join(run_folder("term"), "latest")
        cls.history = os.path.join(small_run.work_folder(), "history")

    def chat(self, *more, **options):
        if os.path.exists(self.history):
            os.remove(self.history)
        talk = Terminal("chat", self.model, "--temperature", 0, "--history", self.history, *more, **options)
        talk.until("> ")
        return talk

    # Standard input

    def test_one_end_of_typed_input_is_enough(self):
        """Enter and Ctrl-D, or Ctrl-D twice behind a text without a newline."""
        for typed in ("some text\n\x04", "some text\x04\x04"):
            for words in (("tokenizer", "encode", self.model), ("generate", self.model, "--max-tokens", 2)):
                with self.subTest(words=words, typed=typed):
                    terminal = Terminal(*words)
                    terminal.until("reading standard input; Ctrl-D ends it")
                    terminal.send(typed)
                    self.assertEqual(terminal.close(), 0, terminal.text)
                    self.assertNotIn("reading standard input", terminal.text)
                    if words[0] == "generate":
                        self.assertEqual(terminal.text.count("some text"), 2, "the terminal's echo and the prompt")
                    else:
                        self.assertRegex(terminal.text, r"\d+ \d+")

    # Progress

    def train_at(self, columns):
        run = Terminal(*train_words(f"width-{columns}", "--train.steps=30", "--eval.every=0", "--eval.sample_tokens=0", "--checkpoint.every=0"), columns=columns)
        return run.close(), run.text

    def test_a_status_line_never_reaches_the_last_column(self):
        for columns in (80, 40, 20):
            with self.subTest(columns=columns):
                code, text = self.train_at(columns)
                self.assertEqual(code, 0, text)
                steps = [line for line in screen_lines(text) if line.startswith("step ") and "validation" not in line]
                self.assertTrue(steps, text)
                self.assertLess(max(map(len, steps)), columns, steps)
                self.assertIn("step 30/30", steps[-1])
                if columns >= 40:
                    self.assertIn("100 %", steps[-1])
                    self.assertRegex(text, r"step \d+/30  \d+ %  \d+ s left")
                self.assertRegex(text, r"step 30/30[^\r\n]*\r?\n", "the last status line ends")

    def test_the_first_time_left_is_not_that_of_the_start(self):
        _, text = self.train_at(100)
        first = next(line for line in screen_lines(text) if line.startswith("step 1/30"))
        self.assertNotIn("left", first)

    def test_interrupting_a_run_leaves_a_line_of_its_own(self):
        run = Terminal(*train_words("interrupted", "--train.steps=100000", "--eval.every=0", "--checkpoint.every=0"), columns=80)
        run.until("step 1/")
        run.until("left")
        run.send("\x03")
        run.close()
        self.assertRegex(run.text, r"\n[^\r\n]*stopped at step \d+")
        self.assertNotRegex(run.text, r"step \d+/100000[^\r\n]*stopped at")

    def test_quiet_says_nothing_but_the_report(self):
        done = self.good(*train_words("quiet", "--train.steps=12", "--quiet"))
        self.assertEqual(done.stderr, "")
        self.assertIn("done: 12 steps", done.stdout)
        self.bad(1, "generate", "no/such", "--prompt", "x", "--quiet", says="no/such")

    def test_messages_that_cannot_be_written_change_nothing(self):
        for code, words in ((2, ["nosuchverb"]), (1, ["inspect", "no/such"]), (0, ["generate", self.model, "--prompt", "Ba", "--max-tokens", 2])):
            with open("/dev/full", "w") as full:
                self.assertEqual(subprocess.run([small_run.FINBACK, *map(str, words)], stdout=subprocess.DEVNULL, stderr=full, check=False).returncode, code, words)

    def test_a_conversation_ends_with_its_reader(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([small_run.FINBACK, "chat", self.model, "--chat-format", "v3", "--no-history", "--max-tokens", "5"], input="Ba\nbe\n", stdout=full,
                                  stderr=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertEqual((done.returncode, done.stderr.count("cannot write")), (1, 1), done.stderr)

    # Conversation

    def test_a_conversation_goes_on_after_control_c_and_ends_with_control_d(self):
        talk = self.chat("--max-tokens", 100000)
        talk.send("Ba be\r")
        talk.until("tokens/s")
        talk.until("> ")
        talk.send("unfinished\x03")
        talk.until("Ctrl-D or /exit leaves")
        talk.until("> ")
        talk.send("/context\r")
        talk.until("tokens of context used")
        talk.until("> ")
        talk.send("\x04")
        self.assertEqual(talk.close(), 0)

    def test_control_c_during_an_answer_stops_it_at_once(self):
        # An engine that would answer for a long time: the context is the model's, the answer never ends by itself.
        folder = os.path.join(small_run.work_folder(), "long-context")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.model, folder)
        for name in ("config.json", "generation_config.json"):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                config = json.load(f)
            config.update({"max_position_embeddings": 60000} if name == "config.json" else {})
            config["eos_token_id"] = 7
            with open(path, "w", encoding="utf-8") as f:
                json.dump(config, f)
        talk = Terminal("chat", folder, "--temperature", 0, "--max-tokens", 60000, "--no-history")
        talk.until("> ")
        talk.send("hello\r")
        talk.until("\n")
        time.sleep(0.5)
        self.assertNotIn("context used", talk.text)
        talk.wait_until_blocked()  # the signal interrupts a write
        begun = time.monotonic()
        talk.send("\x03")
        self.assertIn("stopped", talk.until("context used"))
        self.assertLess(time.monotonic() - begun, 10)
        talk.until("> ")
        talk.send("/exit\r")
        self.assertEqual(talk.close(), 0)

    def test_a_paste_of_several_lines_is_one_message(self):
        talk = self.chat("--max-tokens", 4)
        self.assertNotIn("[?2004l", talk.text)
        talk.send("\x1b[200~first line\nsecond — line\r\nthird\x1b[201~")
        talk.until("third")
        self.assertNotIn("tokens/s", talk.text)
        talk.send("\r")
        talk.until("tokens/s")
        out = os.path.join(small_run.work_folder(), "pasted.json")
        talk.until("> ")
        talk.send(f"/save {out}\r")
        talk.until("messages in")
        talk.send(f"/save {out}\r")
        talk.until("is there already")
        talk.send("\x04")
        self.assertEqual(talk.close(), 0)
        with open(out, encoding="utf-8") as f:
            messages = json.loads(f.read())["messages"]
        os.remove(out)
        self.assertEqual([m["role"] for m in messages], ["user", "assistant"])
        self.assertEqual(messages[0]["content"], "first line\nsecond — line\nthird")
        with open(self.history, encoding="utf-8") as f:
            self.assertEqual(json.loads(f.readline()), "first line\nsecond — line\nthird")

    def test_keys_edit_the_line_and_history_comes_back(self):
        out = os.path.join(small_run.work_folder(), "edited.json")
        talk = self.chat("--max-tokens", 4)
        talk.send("Bax\x1b[D\x7fe\r")          # left, backspace: "Bx" with the cursor before x, then e
        talk.until("tokens/s")
        talk.until("> ")
        talk.send("\x1b[A\r")                   # up: the same once more
        talk.until("tokens/s")
        talk.until("> ")
        talk.send(f"/save {out}\r")
        talk.until("messages in")
        talk.send("/nonsense\r")
        talk.until("unknown command")
        talk.send("/help\r")
        talk.until("/reset")
        talk.send("/exit\r")
        self.assertEqual(talk.close(), 0)
        with open(out, encoding="utf-8") as f:
            messages = json.loads(f.read())["messages"]
        os.remove(out)
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"], ["Bex", "Bex"])

    def test_colours_are_for_terminals_that_want_them(self):
        self.assertIn("\x1b[1;32m", talk_text(self, {}))
        self.assertNotIn("\x1b[1;32m", talk_text(self, {"NO_COLOR": "1"}))

    def test_the_end_of_the_context_is_said_and_is_no_end(self):
        lines = "\n".join(["Ba be bo bu " * 4] * 6 + ["word " * 400, "Ba"]) + "\n"
        done = finback("chat", self.model, "--context", 96, "--max-tokens", 16, "--temperature", 0, input=lines)
        self.assertEqual(done.returncode, 1, "a message that was refused")
        self.assertIn("dropped", done.stderr)
        self.assertRegex(done.stderr, r"the message takes \d+ tokens, the context has 96: it was not sent")
        self.assertEqual(done.stderr.count("context used"), 7)
        self.assertIn("no chat training", done.stderr)

    def test_a_model_without_a_known_template_needs_a_format(self):
        folder = os.path.join(small_run.work_folder(), "other-template")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.model, folder)
        path = os.path.join(folder, "tokenizer_config.json")
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        for template in ("{{ '<|im_start|>' }}", None):
            config["chat_template"] = template
            with open(path, "w", encoding="utf-8") as f:
                json.dump(config, f)
            self.bad(1, "chat", folder, says=("--chat-format v3", "r1"), input="x\n")
        self.good("chat", folder, "--chat-format", "v3", "--max-tokens", 2, input="Ba\n")

    def test_generate_chat_at_a_terminal_is_the_conversation(self):
        talk = Terminal("generate", self.model, "--chat", "--temperature", 0, "--max-tokens", 4)
        talk.until("/exit leaves")
        talk.until("> ")
        talk.send("/exit\r")
        self.assertEqual(talk.close(), 0)

    # Version, help, completion, plots

    def test_version_names_commit_torch_and_variant(self):
        for words in (["--version"], ["version"], ["-V"]):
            text = self.good(*words).stdout
            self.assertRegex(text, r"^finback \d+\.\d+\.\d+\n")
            for line in (r"commit +([0-9a-f]{12}(-modified)?|unknown)", r"torch +2\.\d+", r"kernels +(portable|avx\w+)"):
                self.assertRegex(text, line)
        self.assertEqual(set(json.loads(self.good("version", "--json").stdout)), {"version", "commit", "torch", "compiler", "kernels"})

    def test_help_shows_flags_for_tests_only_when_asked(self):
        for verb in ("train", "generate", "plan", "chat"):
            short, whole = self.good(verb, "--help").stdout, self.good(verb, "--help-all").stdout
            for flag in ("--poison", "--failpoint"):
                self.assertNotIn(flag, short)
                self.assertIn(flag, whole)
        text = self.good("train", "--help").stdout
        self.assertEqual(text.count("recipe keys"), 1)
        self.assertLess(text.index("optimizer.lr"), text.index("optimizer.beta1"))

    def completed(self, *words):
        script = self.good("completion", "bash").stdout
        line = " ".join(f"'{word}'" for word in ("finback", *words))
        done = subprocess.run(["bash", "-c", f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _finback; printf "%s\\n" "${{COMPREPLY[@]}}"'],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=ROOT, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_completion_knows_verbs_flags_values_and_keys(self):
        self.assertEqual(self.completed("gen"), ["generate"])
        self.assertIn("--temperature", self.completed("generate", "--t"))
        self.assertNotIn("--poison", self.completed("generate", "--"))
        self.assertEqual(self.completed("generate", "--weights", "b"), ["bf16"])
        self.assertEqual(self.completed("generate", "--weights", "=", "int"), ["int8"])
        self.assertEqual(self.completed("train", "--optimizer.l"), ["--optimizer.lr="])
        self.assertIn("configs/recipes", self.completed("train", "configs/re"))
        self.assertEqual(self.completed("bench", "de"), ["decode"])
        self.assertIn("--prompt", self.completed("bench", "decode", "--p"))
        for shell in ("zsh", "fish"):
            text = self.good("completion", shell).stdout
            for word in ("generate", "temperature", "optimizer.lr", "int8"):
                self.assertIn(word, text)
        self.bad(2, "completion", "csh", says="fish")

    def test_plots_fit_and_read_unfinished_runs(self):
        run = run_folder("term")
        for columns in (80, 40):
            shown = Terminal("plot", run, columns=columns)
            self.assertEqual(shown.close(), 0)
            lines = screen_lines(shown.text)
            self.assertLessEqual(max(map(len, lines)), columns, lines)
            self.assertRegex(shown.text, "[⠀-⣿]")
        cut = os.path.join(small_run.work_folder(), "cut-run")
        os.makedirs(cut, exist_ok=True)
        with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(cut, "metrics.jsonl"), "w", encoding="utf-8") as f:
            f.write(text[:-40])
        svg = os.path.join(small_run.work_folder(), "two.svg")
        done = self.good("plot", run, cut, "--svg", svg)
        self.assertIn("cut-run", done.stdout)
        self.assertNotIn("bad lines", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        with open(svg, encoding="utf-8") as f:
            picture = f.read()
        self.assertTrue(picture.startswith("<svg") and picture.endswith("</svg>\n"))
        self.assertIn("cut-run: validation", picture)
        points = json.loads(self.good("plot", run, "--json").stdout)["runs"][0]
        self.assertEqual(len(points["steps"]), 6)
        self.assertIn("| step |", self.good("plot", run, "--table").stdout)
        self.bad(1, "plot", small_run.work_folder(), says="metrics.jsonl")
        self.bad(1, "plot", run, "--key", "speed", says="tokens_per_s")


def talk_text(test, environment):
    talk = Terminal("chat", test.model, "--no-history", environment=environment)
    before = talk.until("> ")
    talk.send("/exit\r")
    talk.close()
    return before
