"""Texts as users have them: odd fields, broken records, other encodings, links, hidden files, files of other kinds, long files, few files. Every
verb reads them alike, and says what it left out or repaired."""
import bz2
import fcntl
import gzip
import json
import lzma
import os
import signal
import subprocess
import time
import unittest

import small_run
from small_run import FINBACK, ROOT, finback, generated_text


def records(count):
    return [{"text": generated_text(i, 15)} for i in range(count)]


def jsonl(rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


class OwnTextTest(small_run.ProgramTest):
    def setUp(self):
        self.folder = os.path.join(small_run.work_folder(), "own-" + self.id().split(".")[-1])
        os.makedirs(self.folder)

    def put(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
        return path

    def build(self, *places, flags=()):
        """Builds a corpus; returns its manifest, its documents and what was said."""
        out = os.path.join(self.folder, "corpus")
        done = self.good("corpus", "build", *places, "--out", out, *flags)
        with open(os.path.join(out, "manifest.json"), encoding="utf-8") as f:
            manifest = json.load(f)
        return manifest, self.documents(out), done.stderr

    def documents(self, corpus):
        splits = {}
        for split in ("train", "validation"):
            packed = os.path.join(corpus, split + ".jsonl.zst")
            text = subprocess.run(["zstd", "-dcq", packed], stdout=subprocess.PIPE, check=True).stdout.decode()
            splits[split] = [json.loads(line) for line in text.splitlines()]
        return splits

    def both_verbs(self, path, says=(), flags=()):
        """corpus build and tokenizer train read a file alike; returns the documents."""
        trained = self.good("tokenizer", "train", path, "--vocab-size", 300, "--out", os.path.join(self.folder, "tokenizer"), *flags)
        manifest, documents, said = self.build(path, flags=flags)
        for word in says:
            self.assertIn(word, trained.stderr)
            self.assertIn(word, said)
            self.assertIn(word, json.dumps(manifest["reading"], ensure_ascii=False))
        return documents["train"] + documents["validation"]

    def test_fields_beside_text_may_hold_anything(self):
        fields = ('"source": null', '"id": {"a": [1]}', '"score": NaN', '"n": 1e999', '"text2": "\\ud800"', '"source": 3, "id": []')
        path = self.put("odd.jsonl", jsonl(json.dumps(r)[:-1] + ", " + fields[i % len(fields)] + "}" for i, r in enumerate(records(30))))
        self.assertEqual(len(self.both_verbs(path)), 30)

    def test_a_bad_record_is_counted_and_named_up_to_a_limit(self):
        good = records(30)
        bad = ((json.dumps(good[0]) * 2, "two records on a line"), ('{"text": "cut', "ends in the middle"), ('{"text": null}', "its text is null"), ("[]", "a list"),
               ('{"prompt": "a"}', "its fields: prompt"), ('{"text": "half \\ud83d of a pair"}', "half a surrogate pair"), ('{"text": ""}', "empty"))
        path = self.put("bad.jsonl", jsonl(good + [line for line, _ in bad]))
        says = [says for _, says in bad] + [f"bad.jsonl: line {31 + i}" for i in range(len(bad))]
        self.assertEqual(len(self.both_verbs(path, says=says)), 31)
        for verb in (["corpus", "build", path], ["tokenizer", "train", path, "--vocab-size", 300]):
            self.bad(1, *verb, "--out", os.path.join(self.folder, "x"), "--strict", says="bad.jsonl: line 31")
        path = self.put("many.jsonl", jsonl(good + ["{"] * 12))
        out = ["--out", os.path.join(self.folder, "x")]
        self.bad(1, "corpus", "build", path, *out, says=["got 12", "many.jsonl: line 31", "--max-bad"])
        verb = ["tokenizer", "train", path, "--vocab-size", 300, *out]
        self.bad(1, *verb, says=["got 12", "many.jsonl: line 31", "--max-bad"])
        self.bad(1, *verb, "--max-bad", 11, says="at most 11")
        self.bad(1, *verb, "--max-bad", "x", says="--max-bad")
        self.bad(2, *verb, "--max-bad", 5, "--strict", says="one of the two")
        self.good(*verb, "--max-bad", "40%")

    def test_chats_are_left_out_with_a_word(self):
        path = self.put("chat.jsonl", jsonl(records(5) + [{"messages": [{"role": "user", "content": "hi"}]}] * 20))
        self.assertEqual(len(self.both_verbs(path, says=["a chat", "chat.jsonl: line 6"])), 5)
        only = self.put("only.jsonl", jsonl([{"messages": []}] * 3))
        self.bad(1, "corpus", "build", only, "--out", os.path.join(self.folder, "x"), says=["3 x a chat", "does not train on yet"])

    def test_encodings_are_recognised_and_said(self):
        body = "The café was open.\r\nA second line, “quoted”.\n" * 3
        text = body.replace("\r\n", "\n")
        files = (("mark.txt", b"\xef\xbb\xbf" + body.encode(), "byte order mark"), ("le.txt", b"\xff\xfe" + body.encode("utf-16-le"), "UTF-16LE"),
                 ("be.txt", b"\xfe\xff" + body.encode("utf-16-be"), "UTF-16BE"), ("nomark.txt", body.encode("utf-16-le"), "UTF-16LE"),
                 ("latin.txt", body.encode("cp1252"), "Windows-1252"), ("packed.txt.gz", gzip.compress(body.encode("cp1252")), "Windows-1252"))
        for name, content, _ in files:
            self.put("texts/" + name, content)
        self.put("texts/z.jsonl", b"\xff\xfe" + jsonl(records(3)).encode("utf-16-le"))
        self.put("texts/broken.txt", "café".encode() + b" and \xff and more\n")
        texts = os.path.join(self.folder, "texts")
        documents = self.both_verbs(texts, says=["CRLF", "no text, now U+FFFD", "broken.txt", "latin.txt", *(says for _, _, says in files)])
        self.assertLessEqual({text, "café and � and more\n"}, {d["text"] for d in documents})
        self.assertEqual(len(documents), 2 + 3, "six copies of one text are one document")
        self.assertIn("5  an exact copy of an earlier document", self.build(texts)[2])
        self.bad(1, "corpus", "build", os.path.join(texts, "broken.txt"), "--out", os.path.join(self.folder, "x"), "--strict", says="broken.txt")
        recipe = self.put("keep.toml", '[[sources]]\nname = "a"\npath = "texts/mark.txt"\ncrlf = "keep"\n')
        self.assertIn("open.\r\n", self.build(recipe)[1]["train"][0]["text"])

    def test_utf16_without_a_mark_and_without_ascii_is_recognised_and_said(self):
        chinese = "学而时习之不亦说乎有朋自远方来不亦乐乎人不知而不愠不亦君子乎其为人也孝弟而好犯上者鲜矣"
        russian = "Всесчастливыесемьипохожидругнадругакаждаянесчастливаясемьянесчастливапосвоему"
        for number, (text, encoding, name) in enumerate(((chinese, "utf-16-le", "UTF-16LE"), (russian, "utf-16-be", "UTF-16BE"))):
            documents = self.both_verbs(self.put(f"{number}.txt", text.encode(encoding)), says=[f"read as {name}, now UTF-8", f"{number}.txt"])
            self.assertEqual("".join(d["text"] for d in documents).strip(), text)
        texts = os.path.dirname(self.put("short/a.txt", "有朋自远方来".encode("utf-16-be")))      # too short to be certain
        self.put("short/b.txt", "Some text.\n" * 20)
        manifest, _, said = self.build(texts)
        self.assertIn("short/a.txt", said)
        self.assertEqual((manifest["reading"]["files"], len(manifest["reading"]["left_out"])), (1, 1))
        self.bad(1, "corpus", "build", os.path.join(texts, "a.txt"), "--out", os.path.join(self.folder, "x"), says=["a.txt", "iconv -f"])

    def test_a_refused_input_leaves_no_folder(self):
        place = os.path.join(self.folder, "new")
        for text, says in (("", "without any text"), ("\0" * 200, "a.txt")):
            self.bad(1, "corpus", "build", self.put("a.txt", text), "--out", os.path.join(place, "corpus"), says=says)
            self.assertFalse(os.path.exists(place))
        self.build(self.put("a.txt", "some text\n" * 50))
        before = sorted(os.listdir(os.path.join(self.folder, "corpus")))
        self.bad(1, "corpus", "build", self.put("b.txt", ""), "--out", os.path.join(self.folder, "corpus"), says="without any text")
        self.assertEqual(sorted(os.listdir(os.path.join(self.folder, "corpus"))), before)

    def test_a_split_that_is_not_its_manifests_is_refused(self):
        self.build(self.put("a.txt", generated_text(1, 400)))
        corpus, out = os.path.join(self.folder, "corpus"), os.path.join(self.folder, "tokens")
        tokenize = ["tokenize", corpus, "--tokenizer", small_run.tokenizer(), "--out", out]
        self.good(*tokenize)
        with open(os.path.join(corpus, "train.jsonl.zst"), "wb") as f:
            f.write(subprocess.run(["zstd", "-cq"], input=jsonl(records(9)).encode(), stdout=subprocess.PIPE, check=True).stdout)
        self.bad(1, *tokenize, says=["train.jsonl.zst", "manifest.json", "corpus build again"])
        self.assertFalse(os.path.exists(os.path.join(out, "tokens.json")))

    def test_a_vocabulary_is_chosen_by_the_text_and_said(self):
        path, out = self.put("a.txt", generated_text(1, 400)), os.path.join(self.folder, "tokenizer")
        done = self.good("tokenizer", "train", path, "--out", out, "--json")
        self.assertEqual(json.loads(done.stdout)["vocab_size"], 1024)
        self.assertEqual(done.stderr.count("vocabulary 1024, as is usual for 0.0 MB of text. Hint: --vocab-size N"), 1, done.stderr)
        self.assertNotIn("usual", self.good("tokenizer", "train", path, "--out", out, "--vocab-size", 300).stderr)

    def test_what_is_no_text_is_refused_by_name(self):
        rows = jsonl(records(30)).encode()
        for name, content, says in (("rows.parquet", b"PAR1" + bytes(600), "Parquet"), ("rows.txt", b"PAR1" + bytes(600), "Parquet"), ("rows.jsonl.xz", lzma.compress(rows), "xz"),
                                    ("rows.jsonl.bz2", bz2.compress(rows), "bzip2"), ("a.pdf", b"%PDF-1.7\n", "PDF"), ("a.docx", b"PK\3\4" + bytes(50), "zip"),
                                    ("a.txt.zst", b"plain text", ".zst"), ("a.jsonl.gz", gzip.compress(b"\x28\xb5\x2f\xfd00"), "zstd"), ("rows.json", json.dumps(records(3)), "JSON Lines")):
            with self.subTest(name=name):
                path = self.put(name, content)
                verb = ["corpus", "build", path] if len(name) % 2 else ["tokenizer", "train", path, "--vocab-size", 300]
                self.bad(1, *verb, "--out", os.path.join(self.folder, "x"), says=[name, says])
        for name in ("ROWS.JSONL", "rows.ndjson", "rows.json", "rows.jsonl.gz"):
            content = gzip.compress(rows) + bytes(512) if name.endswith("gz") else rows
            self.assertEqual(len(self.both_verbs(self.put(name, content))), 30, name)
        trailer = self.put("trailer.jsonl.gz", gzip.compress(rows) + b"something else")
        self.assertEqual(len(self.both_verbs(trailer, says=["behind the end of the packed data"])), 30)

    def test_a_folder_says_what_it_leaves_out(self):
        texts = os.path.join(self.folder, "texts")
        for name in ("a.txt", ".hidden.txt", ".git/b.txt", "__MACOSX/._a.txt", "page.html", "table.csv"):
            self.put("texts/" + name, name)
        self.put("texts/photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(40))
        self.put("texts/empty.md", "")
        self.put("texts/blank.md", " \n\n")
        self.put("blobs/0", jsonl(records(4)))
        os.symlink("../blobs/0", os.path.join(texts, "part.jsonl"))
        os.symlink("nowhere", os.path.join(texts, "gone.txt"))
        os.symlink("..", os.path.join(texts, "up"))
        documents = self.both_verbs(texts, says=["hidden", "resource forks", "ending .html", "ending .csv", "a PNG image", "without any text", "leads nowhere"])
        self.assertEqual(sorted(d["id"] for d in documents if d["id"].endswith(".txt")), ["texts/a.txt"])
        self.assertEqual(len(documents), 5)
        manifest, again, said = self.build(self.folder)      # the corpus of the last build lies in this folder, and the tokenizer beside it
        self.assertIn("the output folder", said)
        self.assertNotIn("train.jsonl.zst", json.dumps(again))

    def test_the_share_held_out_is_one_of_bytes(self):
        for share in (0.03, 0.5):
            one = self.put("input.txt", "\n".join(generated_text(i, 60) for i in range(200)) + "\n")
            many = [self.put(f"many/{i}.txt", generated_text(i, 200 + 900 * (i % 4) ** 2)) for i in range(12)]
            for places in ([one], [os.path.join(self.folder, "many")], many):
                with self.subTest(share=share, places=places[:1]):
                    manifest, documents, _ = self.build(*places, flags=["--validation-share", share])
                    train, held = manifest["train"]["bytes"], manifest["validation"]["bytes"]
                    self.assertLess(abs(held / (train + held) / share - 1), 0.2)
                    if places == [one]:
                        text = documents["train"][0]["text"] + documents["validation"][0]["text"]
                        self.assertEqual(text, open(one).read(), "its end is held out, and nothing is lost")

    def test_a_long_file_needs_no_more_memory_than_a_short_one(self):
        line = generated_text(1, 2000) + "\n"
        def peak(megabytes):
            path = self.put("long.txt", line * (megabytes * 1000000 // len(line)))
            process = subprocess.Popen([FINBACK, "corpus", "build", path, "--out", os.path.join(self.folder, "long")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            self.assertEqual(status, 0)
            os.remove(path)
            return usage.ru_maxrss / 1024
        self.assertLess(peak(50) - peak(10), 20, "MiB")

    def test_one_process_writes_a_folder(self):
        """Another one is refused in a line, and what is there stays; no lock is left behind."""
        text = self.put("a.txt", generated_text(1, 3000))
        corpus, tokenizer, tokens, converted, random = (os.path.join(self.folder, name) for name in ("c", "tok", "tokens", "converted", "random"))
        model = os.path.join(ROOT, "configs/models/nano/config.json")
        verbs = {corpus: ("corpus", "build", text), tokenizer: ("tokenizer", "train", text, "--vocab-size", 300),
                 tokens: ("tokenize", corpus, "--tokenizer", tokenizer), random: ("convert", "--random", model, "--weights", "f32", "--overwrite"),
                 converted: ("convert", random, "--weights", "bf16", "--overwrite")}
        for out, words in verbs.items():
            with self.subTest(words=words):
                self.good(*words, "--out", out)
                before = {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)}
                self.assertNotIn(".lock", before)
                with open(os.path.join(out, ".lock"), "w", encoding="utf-8") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self.bad(1, *words, "--out", out, says="another process is writing into this folder")
                os.remove(os.path.join(out, ".lock"))
                self.assertEqual({name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)}, before)

    def test_a_stopped_build_leaves_nothing_of_its_own(self):
        text, out = self.put("long.txt", (generated_text(1, 2000) + "\n") * 4000), os.path.join(self.folder, "stopped")
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = subprocess.Popen([FINBACK, "corpus", "build", text, "--out", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
            while not os.path.exists(os.path.join(out, "documents.tmp")) and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(number)
            said = process.communicate(timeout=120)[1]
            self.assertEqual(process.returncode, code, said)
            self.assertIn("no corpus was made", said)
            self.assertFalse(os.path.exists(out), "it was made for nothing")

    def test_what_changes_nothing_is_refused(self):
        path = self.put("a.txt", "some text\n")
        recipe = self.put("r.toml", f'[[sources]]\nname = "a"\npath = "{path}"\n')
        out = ["--out", os.path.join(self.folder, "x")]
        self.bad(2, "corpus", "build", recipe, path, *out, says="one recipe")
        self.bad(2, "corpus", "build", recipe, "--validation-share", 0.1, *out, says="validation_share")
        self.bad(2, "corpus", "build", path, "--refresh", *out, says="--refresh")
        self.bad(1, "corpus", "build", os.path.join(self.folder, "nothing"), *out, says="nothing of that name")
        self.bad(1, "corpus", "build", small_run.corpus(), *out, says="train.jsonl.zst")

    def test_half_a_pair_is_encoded_as_broken_bytes_are(self):
        encode = ["tokenizer", "encode", small_run.tokenizer(), "--jsonl"]
        self.assertEqual(self.good(*encode, input='"a\\ud83db"\n').stdout, self.good(*encode, input='"a\\ufffdb"\n').stdout)
        self.bad(1, *encode, input='"a" "b"\n', says="line 1")
        self.bad(1, *encode, input='{}\n', says="line 1")


if __name__ == "__main__":
    unittest.main()
