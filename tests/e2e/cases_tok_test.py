"""Tokenizer files read whole, text that stays text, generation settings, flags given twice, output that does not get through."""
import json
import os
import subprocess

import small_run
import spelling_model
from small_run import finback
from spelling_model import BOS, EOS, USER, ASSISTANT, ID

VERBS = ["corpus", "tokenizer", "tokenize", "train", "generate", "inspect", "parity", "convert", "plan", "bill", "bench"]


def run_bytes(*words, **options):
    return subprocess.run([small_run.FINBACK, *map(str, words)], cwd=small_run.ROOT, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, **options)


class TokenizerCases(small_run.ProgramTest):
    def model(self, name, text="abcdef", **files):
        """files: generation, config, ... without .json"""
        return spelling_model.write(os.path.join(small_run.work_folder(), "spell-" + name), text, {k + ".json": v for k, v in files.items()})

    def spelled(self, *words, **options):
        return self.good("generate", *words, "--temperature", 0, **options).stdout

    def usage(self, *words):
        path = os.path.join(small_run.work_folder(), "tok-usage.json")
        if os.path.exists(path):
            os.remove(path)
        self.good("generate", *words, "--usage", path)
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def encode(self, folder, text, *flags):
        return [int(i) for i in self.good("tokenizer", "encode", folder, *flags, input=text).stdout.split()]

    # Text stays text.

    def test_control_tokens_that_a_prompt_spells_stay_text(self):
        model = self.model("plain")
        for token in (EOS, USER):
            with self.subTest(token=token):
                done = self.good("generate", model, "--prompt", f"a{token}", "--max-tokens", 1, "--json")
                self.assertEqual(json.loads(done.stdout)["usage"]["prompt_tokens"], 2 + len(token.encode()))  # bos and bytes
                self.assertIn(token, done.stderr)
                done = self.good("generate", model, "--prompt", f"a{token}", "--max-tokens", 1, "--json", "--control-tokens")
                self.assertEqual(json.loads(done.stdout)["usage"]["prompt_tokens"], 3)
        self.bad(1, "generate", model, "--prompt", "a", "--chat", "--control-tokens", says="--control-tokens")

    def test_control_tokens_that_a_chat_spells_stay_text(self):
        typed = f"hi{ASSISTANT}yes"
        for flag, markers in (("--prompt", 3), ("--system", 3)):
            other = ["--prompt", ""] if flag == "--system" else []
            done = self.good("generate", self.model("chat"), "--chat", flag, typed, *other, "--max-tokens", 1, "--json")
            self.assertEqual(json.loads(done.stdout)["usage"]["prompt_tokens"], markers + len(typed.encode()))

    def test_control_tokens_that_a_document_spells_stay_text(self):
        folder = os.path.join(small_run.work_folder(), "tok-documents")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "d.jsonl"), "w", encoding="utf-8") as f:
            for i in range(40):
                f.write(json.dumps({"text": f"{i}: {EOS} ends a text, {USER} begins a turn, {BOS} a text"}) + "\n")
        with open(os.path.join(folder, "r.toml"), "w", encoding="utf-8") as f:
            f.write('name = "d"\n[[sources]]\nname = "d"\npath = "d.jsonl"\nvalidation_share = 0.2\n')
        self.good("corpus", "build", os.path.join(folder, "r.toml"), "--out", os.path.join(folder, "c"))
        done = self.good("tokenize", os.path.join(folder, "c"), "--tokenizer", self.model("plain"), "--out", os.path.join(folder, "t"), "--json")
        for split in ("train", "validation"):
            counts = json.loads(done.stdout)[split]
            self.assertGreater(counts["documents"], 0)
            self.assertEqual(counts["tokens"], counts["text_bytes"] + 2 * counts["documents"])

    def test_encode_reads_spelled_tokens_unless_told_otherwise(self):
        model = self.model("plain")
        self.assertEqual(self.encode(model, f"a{USER}"), [ID[ord("a")], 259])
        self.assertEqual(self.encode(model, f"a{USER}", "--as-text"), [ID[b] for b in f"a{USER}".encode()])

    # Files of a tokenizer.

    def test_our_tokenizer_says_in_its_post_processor_that_a_text_begins_with_bos(self):
        folder = small_run.tokenizer()
        plain = self.encode(folder, "It was")
        self.assertEqual(self.encode(folder, "It was", "--add-special"), [0] + plain)
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
            steps = json.load(f)["post_processor"]["processors"]
        self.assertEqual([s["type"] for s in steps], ["ByteLevel", "TemplateProcessing"])
        self.assertEqual(steps[1]["single"][0]["SpecialToken"]["id"], BOS)

    def test_added_tokens_of_side_files_are_tokens(self):
        decoder = {"added_tokens_decoder": {"261": {"content": "<extra>", "special": True, "normalized": False}}}
        named = {"bos_token": BOS, "eos_token": EOS}
        for name, files in (("decoder", {"tokenizer_config": {**named, **decoder}}), ("file", {"added_tokens": {"<extra>": 261}}),
                            ("map", {"special_tokens_map": {"additional_special_tokens": ["<extra>"]}})):
            with self.subTest(name=name):
                model = self.model("side-" + name, **files)
                self.assertEqual(self.encode(model, "hi <extra>"), [ID[ord(c)] for c in "hi "] + [261])
        for files in ({"added_tokens": {USER: 261}}, {"added_tokens": {"<extra>": 259}}, {"special_tokens_map": {"bos_token": USER}},
                      {"tokenizer_config": {**named, "added_tokens_decoder": {"259": {"content": USER, "rstrip": True}}}}):
            with self.subTest(files=files):
                model = self.model("side-wrong", **files)
                self.bad(1, "tokenizer", "encode", model, says="expected", input="x")
                for name in files:
                    os.remove(os.path.join(model, name + ".json"))

    def test_truncation_and_padding_are_named_and_not_followed(self):
        settings = {"truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
                    "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": EOS}}
        model = self.model("batches", tokenizer=spelling_model.tokenizer(**settings))
        done = self.good("generate", model, "--prompt", "more than two", "--max-tokens", 1, "--json")
        self.assertEqual(json.loads(done.stdout)["usage"]["prompt_tokens"], 1 + len("more than two"))
        self.assertEqual([line.count(key) for key in settings for line in done.stderr.splitlines() if key in line], [1, 1])

    def test_decoding_an_id_without_a_token_is_an_error(self):
        model = self.model("plain")
        self.bad(1, "tokenizer", "decode", model, says="999999", input="3 4 999999")
        self.bad(1, "tokenizer", "decode", model, says="261", input="261")
        self.bad(1, "tokenizer", "decode", model, "--jsonl", says="262", input="[3, 262]\n")

    # Settings of generation.

    def test_every_source_of_eos_counts(self):
        stop = ID[ord("d")]
        self.assertEqual(self.spelled(self.model("eos-none"), "--prompt", ""), "abcdef\n")
        for name, files in (("list", {"generation_config": {"eos_token_id": [1, stop]}}), ("one", {"generation_config": {"eos_token_id": stop}}),
                            ("config-list", {"config": spelling_model.config(eos_token_id=[1, stop])}),
                            ("tokenizer", {"tokenizer_config": {"bos_token": BOS, "eos_token": "d"}})):
            with self.subTest(name=name):  # a token with text that ends an answer is part of it, unless the tokenizer calls it special
                ends = "abc\n" if name == "tokenizer" else "abcd\n"
                self.assertEqual(self.spelled(self.model("eos-" + name, **files), "--prompt", ""), ends)
        null = self.model("eos-null", generation_config={"eos_token_id": None, "temperature": None, "top_p": None})
        self.assertEqual(self.spelled(null, "--prompt", ""), "abcdef\n")

    def test_lengths_and_stop_strings_of_the_folder_count_until_a_flag_says_otherwise(self):
        model = self.model("lengths", generation_config={"do_sample": False, "max_new_tokens": 2, "stop_strings": ["e"]})
        self.assertEqual(self.good("generate", model, "--prompt", "").stdout, "ab\n")
        self.assertEqual(self.good("generate", model, "--prompt", "", "--max-tokens", 20).stdout, "abcd\n")
        model = self.model("length", generation_config={"do_sample": False, "max_length": 4})
        self.assertEqual(self.good("generate", model, "--prompt", "").stdout, "abc\n")  # bos counts

    def test_greedy_in_every_way_is_the_same_for_every_seed(self):
        want = [ID[ord(c)] for c in "abcdef"] + [1]
        for settings in ({"do_sample": False, "temperature": 0.9}, {"do_sample": True, "temperature": 1.0, "top_k": 1}):
            model = self.model("greedy", generation_config=settings)
            for seed in (1, 2):
                done = self.good("generate", model, "--prompt", "", "--json", "--seed", seed)
                self.assertEqual(json.loads(done.stdout)["ids"], want, settings)

    def test_keys_that_are_not_followed_are_named_once(self):
        model = self.model("penalties", generation_config={"repetition_penalty": 1.1, "no_repeat_ngram_size": 3, "num_beams": 1, "typical_p": 1.0})
        done = self.good("generate", model, "--prompt", "", "--temperature", 0)
        self.assertEqual(done.stderr.count("repetition_penalty, no_repeat_ngram_size\n"), 1, done.stderr)

    def test_seeds_differ_and_are_printed(self):
        model, seeds = self.model("plain"), set()
        for more in ([], ["--json"]):
            stderr = self.good("generate", model, "--prompt", "zz", "--max-tokens", 20, "--ignore-eos", *more).stderr
            seeds.add(stderr.split("--seed ")[1].split("]")[0].split(",")[0])
        self.assertEqual(len(seeds), 2)
        again = ["generate", model, "--prompt", "zz", "--max-tokens", 20, "--ignore-eos", "--seed", seeds.pop()]
        self.assertEqual(self.good(*again).stdout, self.good(*again).stdout)
        self.assertNotIn("--seed", self.good("generate", model, "--prompt", "", "--temperature", 0).stderr)

    def test_the_last_newline_of_standard_input_is_no_text(self):
        model = self.model("plain")
        for text in ("abc\n", "abc\r\n"):
            self.assertEqual(self.spelled(model, input=text), "abcdef\n")
        self.assertTrue(self.spelled(model, input="abc\n\n").startswith("abc\n"))

    def test_a_prompt_that_is_too_long_is_not_shown_and_a_cut_answer_says_so(self):
        model = self.model("plain")
        self.bad(1, "generate", model, "--prompt", "x" * 64, says=["64", "65"])
        done = self.good("generate", model, "--prompt", "", "--ignore-eos", "--temperature", 0, "--max-tokens", 500)
        self.assertIn("ended at the model's 64 tokens", done.stderr)
        self.assertNotIn("ended at", self.good("generate", model, "--prompt", "", "--temperature", 0).stderr)

    # Flags and output.

    def test_flags_given_twice_are_errors_of_every_verb(self):
        model = self.model("plain")
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.bad(2, verb, "--threads=1", "--threads=2", says="--threads comes twice")
        self.bad(2, "generate", model, "--prompt", "a", "--prompt", "b", says='first with "a"')
        self.bad(2, "generate", model, "--prompt", "a", "--json", "--json", says="--json")
        self.bad(2, "train", small_run.recipe(), "--train.steps=3", "--train.steps=4", says="--train.steps")
        self.bad(2, "train", small_run.recipe(), "--rate=1", "--bill.rate=2", says="--bill.rate")
        self.bad(2, "train", small_run.recipe(), "--deterministic", "--run.deterministic=false", says="--run.deterministic")
        self.bad(2, "bench", "--threads=1", "step", "--threads=2", says="--threads")
        self.assertEqual(self.spelled(model, "--prompt", "", "--stop", "cd", "--stop", "ef"), "ab\n")
        self.assertEqual(self.spelled(model, "--prompt", "", "--stop", "ef", "--stop", "cd"), "ab\n")

    def test_flags_of_another_mode_are_errors(self):
        model, config = self.model("plain"), "configs/models/v3/config.json"
        for mode, flags in (("encode", ["--vocab-size=9", "--out=x", "--max-bad=1", "--strict", "--skip-special", "--json"]),
                            ("decode", ["--add-special", "--as-text", "--json"]), ("bench", ["--jsonl", "--out=x"]),
                            ("train", ["--as-text", "--skip-special", "--jsonl"])):
            for flag in flags:
                with self.subTest(mode=mode, flag=flag):
                    self.bad(2, "tokenizer", mode, model, flag, says=[flag.split("=")[0] + " belongs to tokenizer", "tokenizer " + mode], input="")
        for words in (["bill", "--serve", "x.json", "--final", "x"], ["parity", "--quantize", "x", "--out", "y", "--grads"],
                      ["parity", model, "--ids", "x", "--out", "y", "--mtp-lambda", 1], ["plot", "x", "--json", "--width", 80],
                      ["plan", config, "--serve", "--cache-gb", 1], ["plan", config, "--serve", "--gpus", 8, "--group", 8]):
            with self.subTest(words=words):
                self.bad(2, *words, says="--")

    def test_flags_of_sampling_without_effect_are_named(self):
        model = self.model("plain")
        self.bad(2, "generate", model, "--prompt", "", "--stop", "", says="--stop")
        done = self.good("generate", model, "--prompt", "", "--temperature", 0, "--top-p", 0.9, "--seed", 3)
        self.assertEqual(done.stderr.count("--top-p, --seed without effect\n"), 1, done.stderr)
        self.assertNotIn("without effect", self.good("generate", model, "--prompt", "", "--temperature", 1, "--seed", 3).stderr)

    def test_typed_bytes_that_are_no_text_are_named(self):
        model, typed = self.model("plain"), b"gr\xfc\xdf\n"
        for words in (["generate", model, "--temperature", "0"], ["generate", model, "--temperature", "0", "--prompt", typed[:-1]], ["tokenizer", "encode", model],
                      ["generate", model, "--chat", "--system", typed[:-1]], ["chat", model, "--chat-format", "v3"]):
            with self.subTest(words=words):
                done = subprocess.run([small_run.FINBACK, *words], input=b"x" if typed[:-1] in words else typed, capture_output=True)
                self.assertEqual((done.returncode, done.stderr.count(b"not UTF-8 are read as U+FFFD, the first at byte 3\n")), (0, 1), done.stderr)

    def reports(self):
        model = self.model("plain")
        return [["--help"], *[[verb, "--help"] for verb in VERBS], ["inspect", model], ["inspect", model, "--json"],
                ["generate", model, "--prompt", "", "--temperature", "0"], ["generate", model, "--prompt", "", "--json"],
                ["generate", model, "--ids", "0"], ["plan", "configs/plans/deepseek-v3.toml"]]

    def test_output_that_does_not_get_through_is_an_error(self):
        for number, words in enumerate(self.reports()):
            with self.subTest(words=words):
                with open("/dev/full", "w", encoding="utf-8") as full:
                    self.failed_output(run_bytes(*words, stdout=full))
                if number % 6:
                    continue
                reader, writer = os.pipe()
                os.close(reader)
                self.failed_output(run_bytes(*words, stdout=writer))
                os.close(writer)
                self.failed_output(subprocess.run(["bash", "-c", 'exec "$@" >&-', "x", small_run.FINBACK, *words], stderr=subprocess.PIPE,
                                                  encoding="utf-8", cwd=small_run.ROOT))

    def failed_output(self, done):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot write", done.stderr)

    def test_input_that_cannot_be_read_is_an_error(self):
        model = self.model("plain")
        for words in (["generate", model], ["generate", model, "--chat"], ["chat", model, "--chat-format", "v3"], ["tokenizer", "encode", model],
                      ["tokenizer", "encode", model, "--jsonl"], ["tokenizer", "decode", model]):
            for redirect, reason in (("</", "Is a directory"), ("<&-", "Bad file descriptor")):
                with self.subTest(words=words, redirect=redirect):
                    done = subprocess.run(["bash", "-c", f'exec "$@" {redirect}', "x", small_run.FINBACK, *words], capture_output=True, encoding="utf-8")
                    self.assertEqual((done.returncode, done.stderr), (1, f"finback: standard input: cannot read: {reason}\n"))

    def test_a_full_disk_is_named_under_much_output_too(self):
        for count in (10, 100000):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = run_bytes("tokenizer", "decode", self.model("plain"), input="3 " * count, stdout=full)
            self.assertEqual((done.returncode, done.stderr), (1, "finback: standard output: cannot write: No space left on device\n"))

    def test_output_files_that_cannot_be_written_are_errors(self):
        self.assertIn("abc", self.bad_usage("/dev/full").stdout)  # that it is full is seen when it is written
        self.assertFalse(os.path.exists("/dev/full.tmp"))

    def bad_usage(self, path):
        done = finback("generate", self.model("plain"), "--prompt", "", "--temperature", 0, "--usage", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(path, done.stderr)
        return done

    def test_places_of_output_are_looked_at_before_the_work(self):
        work, model = small_run.work_folder(), self.model("plain")
        nowhere, file = os.path.join(work, "no", "such", "file"), os.path.join(model, "config.json")
        rows = os.path.join(small_run.ROOT, "configs", "cost", "runs.csv")
        for path, says in ((nowhere, "No such file"), (work, "got a folder"), (os.path.join(file, "x"), "Not a directory")):
            for words in (["generate", model, "--prompt", "", "--usage", path], ["chat", model, "--chat-format", "v3", "--usage", path],
                          ["plot", os.path.join(work, "no-run"), "--svg", path], ["plan", "--rows", rows, "--out", path]):
                with self.subTest(words=words):
                    self.bad(1, *words, says=[path, says], input="hi\n")
        under = os.path.join(file, "folder")
        for words in (["tokenizer", "train", "no-text", "--out", under], ["tokenize", "no-corpus", "--tokenizer", model, "--out", under],
                      ["chat", model, "--chat-format", "v3", "--history", os.path.join(under, "h")]):
            with self.subTest(words=words):
                self.bad(1, *words, says=[under, "config.json is a file"], input="hi\n")
        self.assertEqual([name for name in os.listdir(work) + os.listdir(model) if name.startswith(".finback")], [])

    def test_long_input_has_progress(self):
        model, running = self.model("plain"), []
        for words, text in ((["encode", model], "a b\n"), (["encode", model, "--jsonl"], '"a"\n'), (["decode", model], "3 4\n")):
            process = subprocess.Popen([small_run.FINBACK, "tokenizer", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
            self.addCleanup(process.kill)
            process.stdin.write(text)
            process.stdin.flush()
            running.append((words, process))
        for words, process in running:  # the input ends when something was said
            self.assertRegex(process.stderr.readline(), r"^(reading the text|reading ids|encoding): .*MB.* s\n$", words)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)

    def test_json_has_the_prompt_too(self):
        model = self.model("plain")
        ids = [0, ID[ord("a")], ID[ord("b")]]
        for words, text in ((["--ids", ",".join(map(str, ids))], BOS + "ab"), (["--prompt", "ab"], BOS + "ab")):
            answer = json.loads(self.good("generate", model, *words, "--temperature", 0, "--json").stdout)
            self.assertEqual((answer["prompt_ids"], answer["prompt"], answer["text"]), (ids, text, "cdef"))
        answer = json.loads(self.good("generate", model, "--ids", "0,263", "--max-tokens", 1, "--json").stdout)
        self.assertEqual(answer["prompt_ids"], [0, 263])
        self.assertNotIn("prompt", answer, "263 is no token of the tokenizer")

    def test_sampling_that_nothing_asks_for_is_said(self):
        for settings, flags, said in (({"temperature": 0.6, "top_p": 0.9}, [], 1), ({}, [], 1), ({}, ["--temperature", 1], 0), ({"do_sample": True}, [], 0),
                                      ({"do_sample": False}, [], 0), (None, [], 0)):
            with self.subTest(settings=settings, flags=flags):
                done = self.good("generate", self.model("unsaid", generation_config=settings), "--prompt", "", *flags)
                line = f'no "do_sample" in it: answers are sampled at temperature {(settings or {}).get("temperature", 1)}, where transformers would take the best token'
                self.assertEqual(done.stderr.count(line), said, done.stderr)

    def test_the_chat_template_of_the_folder_counts(self):
        closing = "{{ '" + USER + "' }}{{ '" + ASSISTANT
        def named(template):
            return {"bos_token": BOS, "eos_token": EOS, **({"chat_template": template} if template else {})}
        prompts = {}
        for name, template in (("none", None), ("v3", closing + "' }}"), ("r1", closing + "<think>\\n' }}")):
            model = self.model("template-" + name, tokenizer_config=named(template))
            prompts[name] = json.loads(self.good("generate", model, "--chat", "--prompt", "a", "--max-tokens", 1, "--json").stdout)["prompt"]
        self.assertEqual(prompts, {"none": BOS + USER + "a" + ASSISTANT, "v3": BOS + USER + "a" + ASSISTANT, "r1": BOS + USER + "a" + ASSISTANT + "<think>\n"})
        other = self.model("template-other", tokenizer_config=named("{{ '<|im_start|>' }}"))
        for words in (["generate", other, "--chat", "--prompt", "a"], ["chat", other]):
            says = self.bad(1, *words, input="a\n", says=["got another", "apply_chat_template", f"finback generate {other} --ids", "--chat-format v3"])
        # The command of the hint, as it stands, with a transformers that only says what it was given.
        place = os.path.join(small_run.work_folder(), "stand-in")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "transformers.py"), "w", encoding="utf-8") as f:
            f.write("class AutoTokenizer:\n    def from_pretrained(folder):\n        return AutoTokenizer()\n"
                    "    def apply_chat_template(self, messages, **options):\n"
                    "        assert messages == [{'role': 'user', 'content': 'Hello'}], messages\n"
                    "        assert options == {'add_generation_prompt': True, 'return_dict': False}, options\n        return [0, 67]\n")
        command = says.split("generate: ")[1].split("; or --chat-format")[0]
        done = subprocess.run(["bash", "-c", command + " --json"], capture_output=True, encoding="utf-8", cwd=small_run.ROOT,
                              env={**os.environ, "PYTHONPATH": place, "PATH": os.path.dirname(small_run.FINBACK) + ":" + os.environ["PATH"]})
        self.assertEqual(json.loads(done.stdout or "{}").get("prompt_ids"), [0, 67], done.stderr)
        self.good("generate", other, "--chat", "--chat-format", "v3", "--prompt", "a", "--max-tokens", 1)

    def test_hints_name_the_program_as_it_was_started(self):
        place = os.path.join(small_run.work_folder(), "started as")
        os.makedirs(place, exist_ok=True)
        for name in ("finback", "fb"):
            if not os.path.lexists(os.path.join(place, name)):
                os.symlink(small_run.FINBACK, os.path.join(place, name))
        relative = os.path.relpath(small_run.FINBACK, small_run.ROOT)
        for typed, shown, folder in ((relative, relative, small_run.ROOT), ("./fb", "./fb", place), (os.path.join(place, "fb"), f"'{place}/fb'", "/"), ("finback", "finback", "/")):
            with self.subTest(typed=typed):
                def said(*words):
                    done = subprocess.run([typed, *words], cwd=folder, capture_output=True, encoding="utf-8",
                                          env={**os.environ, "PATH": place + ":" + os.environ["PATH"]}, executable=small_run.FINBACK)
                    return done.stdout + done.stderr
                self.assertIn(f"finback: unknown verb \"trian\", did you mean train?. Hint: {shown} --help\n", said("trian"))
                self.assertIn(f"Hint: flags have two dashes; {shown} bill --help\n", said("bill", "-x"))
                self.assertIn(f"usage: {shown} bill RUN", said("bill", "--help"))
                self.assertIn(f"example\n  {shown} bill runs", said("bill", "--help"))
                self.assertIn(f"usage: {shown} VERB", said("--help"))
                self.assertIn(f" or {shown} tokenize CORPUS --tokenizer", said("train", small_run.recipe(), "--data.corpora=" + small_run.recipe()))
