"""The prefix cache on disk, from outside: found by the next process, killed at any instant, damaged, shared by two processes, of other weights, without room."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import small_run

PAGE = 64
PROMPTS = 12
PAGES = 1 + 2 * PROMPTS  # the first page is everyone's, two more are each prompt's own; answers end before the fourth page does


def write_prompts(path):
    rng = random.Random(4)
    shared = [rng.randrange(10, 400) for _ in range(PAGE)]
    with open(path, "w", encoding="utf-8") as f:
        for i in range(PROMPTS):
            ids = shared + [rng.randrange(10, 400) for _ in range(2 * PAGE + 10)]
            f.write(json.dumps({"id": i, "ids": ids, "max_tokens": 4, "seed": i}) + "\n")


class Folder:
    """A cache folder and what lies in it."""

    def __init__(self, name):
        self.given = os.path.join(small_run.work_folder(), "cache-disk", name)
        shutil.rmtree(self.given, ignore_errors=True)
        self.path = os.path.join(self.given, "prefix_cache")

    def names(self, pattern):
        return [n for n in (os.listdir(self.path) if os.path.isdir(self.path) else []) if re.fullmatch(pattern, n)]

    def units(self):
        return self.names("[0-9a-f]{32}")

    def temporaries(self):
        return self.names(r".*\.tmp")

    def bytes(self):
        return sum(os.path.getsize(os.path.join(self.path, n)) for n in self.units())

    def age_temporaries(self):
        for name in self.temporaries():
            os.utime(os.path.join(self.path, name), (time.time() - 120,) * 2)


class CacheDiskTest(small_run.ProgramTest):
    @classmethod
    def setUpClass(cls):
        small_run.must(small_run.finback(*small_run.train_words("cached")))
        cls.model = os.path.join(small_run.run_folder("cached"), "latest")
        os.makedirs(os.path.join(small_run.work_folder(), "cache-disk"), exist_ok=True)
        cls.prompts = os.path.join(small_run.work_folder(), "cache-disk", "prompts.jsonl")
        write_prompts(cls.prompts)
        words, out = cls.batch("--cache-gb", 0)
        small_run.must(small_run.finback(*words))
        cls.undisturbed, disk_tokens = read_answers(out)
        assert len(cls.undisturbed) == PROMPTS and disk_tokens == 0

    @classmethod
    def batch(cls, *more, model=None):
        cls.runs = getattr(cls, "runs", 0) + 1
        out = os.path.join(small_run.work_folder(), "cache-disk", f"{cls.runs}.out")
        return ["generate", model or cls.model, "--prompts", cls.prompts, "--out", out, *more], out

    def served(self, folder, *more, model=None, compare=True):
        """All prompts answered with this cache folder: the pages that were read from the disk. The answers are those without any cache."""
        words, out = self.batch("--cache-dir", folder.given, *more, model=model)
        self.stderr = self.good(*words).stderr
        answers, disk_tokens = read_answers(out)
        if compare:
            self.assertEqual(answers, self.undisturbed)
        self.assertEqual(disk_tokens % PAGE, 0)
        return disk_tokens // PAGE

    def test_the_next_process_finds_it(self):
        folder = Folder("next")
        self.assertEqual(self.served(folder), 0)
        self.assertEqual(len(folder.units()), PAGES)
        self.assertEqual(os.stat(folder.path).st_mode & 0o777, 0o700)
        self.assertEqual(self.served(folder), PAGES)
        self.assertEqual(self.served(folder, "--threads", 2), PAGES)
        self.assertEqual(self.served(folder, "--weights", "int8", compare=False), 0)
        ids = json.loads(open(self.prompts, encoding="utf-8").readline())["ids"]
        words = ["generate", self.model, "--ids", ",".join(map(str, ids)), "--max-tokens", 4, "--seed", 0, "--json", "--cache-dir", folder.given]
        alone = json.loads(self.good(*words).stdout)
        self.assertEqual(alone["finback"]["cache"]["disk_tokens"], 3 * PAGE)
        self.assertEqual(alone["usage"]["prompt_cache_hit_tokens"], 3 * PAGE)
        self.assertEqual(alone["ids"], self.undisturbed[0]["ids"])

    def test_killed_at_any_instant(self):
        """What has its name at the kill is found, nothing else is; in every second round there is room for ten pages only."""
        rng = random.Random(7)
        kills = 0
        size = None
        for number in range(200 if small_run.full else 20):
            folder = Folder(f"kill{number}")
            room = number % 2 == 0
            budget = 1 if room else 10.5 * (size or 20000) / 1e9
            words, _ = self.batch("--cache-dir", folder.given, "--cache-gb", f"{budget:.9f}")
            # The instant: so many files were begun, or have their names; then up to a few milliseconds.
            begun, named = rng.choice([(rng.randrange(1, PAGES), 99), (99, rng.randrange(0, PAGES if room else 10))])
            process = subprocess.Popen([small_run.FINBACK, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=small_run.ROOT)
            while process.poll() is None and len(folder.temporaries()) < begun and not len(folder.units()) > named:
                time.sleep(0.0005)
            time.sleep(rng.random() * 0.004)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            left = len(folder.units())
            folder.age_temporaries()
            found = self.served(folder, "--cache-gb", f"{budget:.9f}")
            if room:
                self.assertEqual(found, left, f"round {number}: pages found of those that had their names")
                self.assertEqual(len(folder.units()), PAGES)
                size = folder.bytes() // PAGES
            else:
                self.assertLessEqual(folder.bytes(), budget * 1e9)
                self.assertGreater(len(folder.units()), 0)
            self.assertEqual(folder.temporaries(), [], f"round {number}")
            shutil.rmtree(folder.given)
        self.assertGreater(kills, 10)

    def test_what_is_damaged_is_computed_and_written_again(self):
        folder = Folder("damaged")
        self.served(folder)
        rng = random.Random(1)
        for i, name in enumerate(sorted(folder.units())):
            path = os.path.join(folder.path, name)
            with open(path, "r+b") as f:
                size = os.path.getsize(path)
                if i % 3 == 0:
                    f.truncate(rng.randrange(size))
                else:
                    f.seek(rng.randrange(size))
                    byte = f.read(1)[0]
                    f.seek(-1, os.SEEK_CUR)
                    f.write(bytes([byte ^ (1 << rng.randrange(8))]))
        self.assertEqual(self.served(folder), 0)
        self.assertEqual(self.served(folder), PAGES)

    def test_two_processes_share_a_folder(self):
        folder = Folder("shared")
        runs = [self.batch("--cache-dir", folder.given) for _ in range(3)]
        processes = [subprocess.Popen([small_run.FINBACK, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=small_run.ROOT)
                     for words, _ in runs]
        self.assertEqual([p.wait() for p in processes], [0, 0, 0])
        for _, out in runs:
            self.assertEqual(read_answers(out)[0], self.undisturbed)
        self.assertEqual(len(folder.units()), PAGES)
        self.assertEqual(folder.temporaries(), [])
        self.assertEqual(self.served(folder), PAGES)

    def test_weights_replaced_in_place_are_others(self):
        """Same path, same size, same time: only the content tells."""
        model = os.path.join(small_run.work_folder(), "cache-disk", "replaced")
        shutil.copytree(os.path.realpath(self.model), model)
        folder = Folder("replaced-cache")
        self.served(folder, model=model)
        self.assertEqual(self.served(folder, model=model), PAGES)
        weights = os.path.join(model, "model.safetensors")
        before = os.stat(weights)
        with open(weights, "r+b") as f:
            length = int.from_bytes(f.read(8), "little")
            tensor = json.loads(f.read(length))["model.layers.0.mlp.down_proj.weight"]
            f.seek(8 + length + tensor["data_offsets"][0] + 1)  # a byte of a mantissa
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(os.stat(weights).st_size, before.st_size)
        self.assertEqual(self.served(folder, model=model, compare=False), 0)

    def test_without_room_or_right_it_goes_on_with_one_line(self):
        folder = Folder("full")
        self.served(folder, "--failpoint", "cache-write:3:full")
        self.assertEqual(self.stderr.count("the prefix cache on disk is off"), 1, self.stderr)
        self.assertIn("No space left", self.stderr)
        left = len(folder.units())
        self.assertEqual(self.served(folder), left)
        self.assertEqual(self.served(folder), PAGES)
        blocked = Folder("blocked")
        with open(blocked.given, "w", encoding="utf-8") as f:
            f.write("a file")
        self.assertEqual(self.served(blocked), 0)
        self.assertEqual(self.stderr.count("the prefix cache on disk is off"), 1, self.stderr)

    def test_a_replayed_trace_finds_what_the_planner_says(self):
        words = ["bench", "cache", os.path.join(small_run.ROOT, "bench", "small_trace.jsonl"), "--config", "configs/models/nano/config.json", "--json"]
        for sizes in ([], ["--memory-blocks", 16, "--disk-blocks", 150]):
            tiers = json.loads(self.good(*words, *sizes).stdout)["tiers"]
            for tier in tiers:
                self.assertAlmostEqual(tier["hit"], tier["predicted_hit"], delta=0.01, msg=str(tier))
            self.assertGreater(tiers[1]["hit"], tiers[0]["hit"])
        self.bad(1, *words, "--scale", 7, says="--scale")
        self.bad(1, *words, "--memory-blocks", 2, says="--memory-blocks")

    def test_a_conversation_goes_on_after_a_restart(self):
        folder, saved = Folder("chat"), os.path.join(small_run.work_folder(), "cache-disk", "saved.json")
        chat = ["chat", self.model, "--chat-format", "v3", "--temperature", 0, "--max-tokens", 60, "--no-history", "--cache-dir", folder.given]
        first = self.good(*chat, input="Ba da\n/save " + saved + "\n")
        self.assertIn("messages in", first.stderr)
        more = self.good(*chat, "--load", saved, input="Da\n")
        found = re.search(r", (\d+) of (\d+) read before", more.stderr)
        self.assertTrue(found, more.stderr)
        self.assertGreaterEqual(int(found[1]), int(found[2]) // PAGE * PAGE - PAGE)
        self.bad(1, *chat, "--load", os.path.join(self.model, "config.json"), says="messages")
        self.bad(1, *chat, "--load", saved, "--system", "x", says="--system")

    def test_flags(self):
        self.assertNotEqual(os.environ["XDG_CACHE_HOME"], small_run.USERS_ENVIRONMENT.get("XDG_CACHE_HOME"))
        self.bad(1, "generate", self.model, "--prompt", "Ba", "--cache-dir", "x", "--cache-gb", 0, says="--cache-gb")
        self.bad(1, "generate", self.model, "--prompt", "Ba", "--cache-gb", -1, says="--cache-gb")
        ids = ["--ids", ",".join(["20"] * 100), "--max-tokens", 1, "--json"]
        homeless = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        home = os.path.join(small_run.work_folder(), "cache-disk", "home")
        hits = lambda env: json.loads(self.good("generate", self.model, *ids, env=env).stdout)["usage"]["prompt_cache_hit_tokens"]
        self.assertEqual([hits(homeless), hits(homeless)], [0, 0])
        self.assertEqual([hits({**homeless, "HOME": home}), hits({**homeless, "HOME": home})], [0, PAGE])
        self.assertTrue(os.path.isdir(os.path.join(home, ".cache", "finback", "prefix_cache")))
        caches = os.path.join(home, "elsewhere")
        self.assertEqual(hits({**homeless, "HOME": home, "XDG_CACHE_HOME": caches}), 0)
        self.assertTrue(os.path.isdir(os.path.join(caches, "finback", "prefix_cache")))


def read_answers(path):
    """{id: answer} without what a cache may change, and the tokens that came from the disk."""
    answers, disk_tokens = {}, 0
    with open(path, encoding="utf-8") as f:
        for line in f:
            answer = json.loads(line)
            disk_tokens += answer.pop("finback")["cache"]["disk_tokens"]
            answer.pop("usage")
            answers[answer["id"]] = answer
    return answers, disk_tokens
