"""What the end-to-end tests share: the program, a small corpus made of generated words, its tokenizer and shards, and a small recipe.
Everything lies in one temporary folder that is removed at exit; nothing of it is committed."""
import atexit
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FINBACK = os.path.join(ROOT, "build", "finback")
LOSS_COMPARE = os.path.join(ROOT, "tools", "loss_compare")
STEPS = 12
full = False          # set by run_all --full


def own_cache():
    """No test reads or writes the user's cache; those that do not run finback take the environment as it was."""
    before = dict(os.environ)
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="finback-cache-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    return before


USERS_ENVIRONMENT = own_cache()


def finback(*words, **options):
    """Runs the program; returns code, stdout and stderr."""
    return subprocess.run(["finback", *map(str, words)], executable=FINBACK, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                          cwd=options.pop("cwd", ROOT), timeout=options.pop("timeout", 300), stdin=None if "input" in options else subprocess.DEVNULL,
                          **options)


def python_with(module):
    """The interpreter that has a module: .venv's or this one (tools/setup --tests sees to numpy)."""
    in_venv = os.path.join(ROOT, ".venv/bin/python")
    for python in (in_venv, sys.executable):
        if os.path.exists(python) and subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise AssertionError(f"expected {module} in .venv or {sys.executable}. Hint: tools/setup --tests")


class ProgramTest(unittest.TestCase):
    def good(self, *words, **options):
        done = finback(*words, **options)
        self.assertEqual(done.returncode, 0, f"finback {' '.join(map(str, words))}\n{done.stderr}")
        return done

    def bad(self, code, *words, says="", **options):
        """Exit code and exactly one line on stderr, nothing on stdout."""
        done = finback(*words, **options)
        where = f"finback {' '.join(map(str, words))}\nstdout: {done.stdout[:500]}\nstderr: {done.stderr[:2000]}"
        self.assertEqual(done.returncode, code, where)
        self.assertEqual(done.stdout, "", where)
        self.assertTrue(done.stderr.startswith("finback: ") and done.stderr.endswith("\n") and done.stderr.count("\n") == 1, where)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr, where)
        return done.stderr


def generated_text(seed, words):
    """Sentences over 300 made-up words, Zipf-like, each word leaning on the one before: a model can learn it in a few steps."""
    rng = random.Random(1)
    vocabulary = ["".join(rng.choice("bcdfglmnprst") + rng.choice("aeiou") for _ in range(rng.randint(1, 3))) for _ in range(300)]
    rng.seed(seed)
    out, previous = [], 0
    for i in range(words):
        previous = (previous * 7 + int(300 * rng.random() ** 3)) % 300
        word = vocabulary[previous]
        out.append(word.capitalize() + ("." if i % 11 == 10 else "") if i % 11 == 0 else word + ("." if i % 11 == 10 else ""))
    return " ".join(out)


@functools.lru_cache(maxsize=None)
def work_folder():
    folder = tempfile.mkdtemp(prefix="finback-e2e-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def must(done):
    if done.returncode:
        raise RuntimeError(f"{done.args}\n{done.stdout}\n{done.stderr}")
    return done


@functools.lru_cache(maxsize=None)
def corpus():
    """A corpus folder built from 60 small text files."""
    texts, out = os.path.join(work_folder(), "texts"), os.path.join(work_folder(), "corpus")
    os.makedirs(texts)
    for i in range(60):
        with open(os.path.join(texts, f"{i:02}.txt"), "w", encoding="utf-8") as f:
            f.write(generated_text(i, 500))
    recipe = os.path.join(work_folder(), "words.toml")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write(f'name = "words"\n[[sources]]\nname = "words"\npath = "{texts}"\nvalidation_share = 0.1\n')
    must(finback("corpus", "build", recipe, "--out", out))
    return out


@functools.lru_cache(maxsize=None)
def tokenizer():
    out = os.path.join(work_folder(), "tokenizer")
    must(finback("tokenizer", "train", corpus(), "--vocab-size", 512, "--out", out))
    return out


@functools.lru_cache(maxsize=None)
def tokens():
    out = os.path.join(work_folder(), "tokens")
    must(finback("tokenize", corpus(), "--tokenizer", tokenizer(), "--out", out))
    return out


MODEL = """hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 16
qk_rope_head_dim = 8
v_head_dim = 16
intermediate_size = 64
moe_intermediate_size = 16
n_routed_experts = 4
n_shared_experts = 1
num_experts_per_tok = 2
first_k_dense_replace = 1
n_group = 1
topk_group = 1
num_nextn_predict_layers = 1
max_position_embeddings = 256
initializer_range = 0.02
"""


@functools.lru_cache(maxsize=None)
def recipe():
    path = os.path.join(work_folder(), "small.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""[run]
name = "small"
dir = "{work_folder()}"
[model]
{MODEL}[data]
seq_len = 64
corpora = [{{ path = "{tokens()}" }}]
[train]
steps = {STEPS}
batch_tokens = 512
bias_update_speed = 0.01
[optimizer]
lr = 3e-3
[schedule]
kind = "wsd"
warmup_steps = 3
[eval]
every = 4
tokens = 1024
sample_every = 6
sample_tokens = 8
[checkpoint]
every = 3
keep_last = 2
""")
    return path


def train_words(name, *more):
    return ["train", recipe(), f"--run.name={name}", *more]


def run_folder(name):
    return os.path.join(work_folder(), name)


def weights(run):
    """{file: bytes} of the newest checkpoint's tensors, the optimizer's moments included."""
    latest = os.path.join(run, "latest")
    found = {}
    for name in sorted(os.listdir(latest)):
        if name.endswith(".safetensors"):
            with open(os.path.join(latest, name), "rb") as f:
                found[name] = f.read()
    return found


def metrics_difference(a, b):
    """Empty when every line of both runs' metrics is equal but for the wall-clock fields."""
    done = subprocess.run([LOSS_COMPARE, a, b, "--exact"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    return done.stdout if done.returncode else ""


def difference(a, b):
    """The first way in which two finished runs differ, or nothing."""
    x, y = weights(a), weights(b)
    if x.keys() != y.keys():
        return f"files {sorted(x)} and {sorted(y)}"
    if "trainer.safetensors" not in x or len(x) < 2:
        return f"expected weights and moments, got {sorted(x)}"
    for name in x:
        if x[name] != y[name]:
            first = next((i for i, (p, q) in enumerate(zip(x[name], y[name])) if p != q), min(len(x[name]), len(y[name])))
            return f"{name} differs at byte {first}"
    return metrics_difference(a, b)
