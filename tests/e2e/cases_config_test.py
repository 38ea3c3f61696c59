"""config.json from elsewhere and for elsewhere: what is published is read or counted, what would be another model is refused by name, and what a run
writes says what it is to transformers too (tools/parity_config compares the numbers)."""
import functools
import json
import math
import os
import shutil

import small_run
from small_run import finback, train_words

# What transformers 4 adds to every config.json.
GENERIC = {"return_dict": True, "output_attentions": False, "torchscript": False, "pruned_heads": {}, "chunk_size_feed_forward": 0,
           "is_encoder_decoder": False, "is_decoder": False, "add_cross_attention": False, "max_length": 20, "min_length": 0, "top_k": 50,
           "top_p": 1.0, "num_beams": 1, "id2label": {"0": "LABEL_0"}, "tokenizer_class": None, "sep_token_id": None, "cls_token_id": None,
           "problem_type": None, "length_penalty": 1.0, "num_labels": 2, "prefix": None, "begin_suppress_tokens": None}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}
FAST = ["--train.steps=1", "--checkpoint.every=0", "--eval.every=0", "--eval.sample_every=0", "--overwrite"]


@functools.lru_cache(maxsize=None)
def model():
    """A trained model's folder, and the keys of its config.json."""
    small_run.must(finback(*train_words("config-base", "--model.initializer_range=0.3", *FAST)))
    folder = os.path.join(small_run.run_folder("config-base"), "latest")
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        return folder, json.load(f)


class CasesConfigTest(small_run.ProgramTest):
    def folder(self, name, config):
        """The model's folder with another config.json: a dict or a text."""
        path = os.path.join(small_run.work_folder(), "config-" + name)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(model()[0], path)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
            f.write(config if isinstance(config, str) else json.dumps(config))
        return path

    def changed(self, without=(), **keys):
        return {**{k: v for k, v in model()[1].items() if k not in without}, **keys}

    def counts(self, config):
        return json.loads(self.good("inspect", self.folder("counted", config), "--json").stdout)["parameters"]

    def loss(self, config):
        path = self.folder("loss", config)
        ids = os.path.join(path, "ids.json")
        with open(ids, "w", encoding="utf-8") as f:
            json.dump([(i * 37 + 11) % 512 for i in range(150)], f)
        return float(self.good("parity", path, "--ids", ids, "--out", os.path.join(path, "p.safetensors")).stdout.split()[-1])

    def test_generic_keys_are_carried_and_slips_are_named(self):
        plain = self.counts(model()[1])
        self.assertEqual(self.counts(self.changed(**GENERIC)), plain)
        path = self.folder("slip", self.changed(**GENERIC, n_shared_expert=1))
        for words in (["inspect", path], ["generate", path, "--prompt", "Ba"], ["convert", path, "--dtype", "bf16", "--out", path + "-out"]):
            self.bad(1, *words, says=["n_shared_expert", "n_shared_experts"])
        out = os.path.join(small_run.work_folder(), "config-generic-out")
        self.good("convert", self.folder("generic", self.changed(**GENERIC)), "--dtype", "bf16", "--out", out)
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["id2label"], GENERIC["id2label"])

    def test_rope_keys_that_say_nothing_new_change_nothing(self):
        rope = ("rope_scaling", "rope_theta", "rope_parameters")
        plain = self.loss(model()[1])
        theta = {"rope_theta": 10000.0}
        for keys in (theta, {**theta, "rope_type": "default", "partial_rotary_factor": 1.0, "factor": 1.0}):
            self.assertEqual(self.loss(self.changed(without=rope, rope_parameters=keys)), plain, keys)
        yarn = self.loss(self.changed(rope_scaling=YARN))
        self.assertNotEqual(yarn, plain)
        neutral = {"attention_factor": 1.0, "truncate": True, "finetuned": True, "partial_rotary_factor": 1, "rope_type": "yarn"}
        self.assertEqual(self.loss(self.changed(rope_scaling={**YARN, **neutral})), yarn)
        self.assertEqual(self.loss(self.changed(without=rope, rope_parameters={**YARN, **theta, **neutral})), yarn)
        for more, name in (({"attention_factor": 0.5}, "attention_factor"), ({"truncate": False}, "truncate"), ({"factor": None}, "factor"), ({"mscale": None}, "mscale")):
            with self.subTest(more=more):
                self.bad(1, "generate", self.folder("rope", self.changed(rope_scaling={**YARN, **more})), "--prompt", "Ba", says=name)
        self.bad(1, "generate", self.folder("rope", self.changed(partial_rotary_factor=0.5)), "--prompt", "Ba", says="partial_rotary_factor")

    def test_families_are_known_by_their_shape(self):
        plain = self.counts(model()[1])
        text = self.good("generate", model()[0], "--prompt", "Ba", "--max-tokens", 5, "--temperature", 0).stdout
        kimi = self.changed(model_type="kimi_k2")
        self.assertEqual(self.counts(kimi), plain)
        self.assertEqual(self.good("generate", self.folder("kimi", kimi), "--prompt", "Ba", "--max-tokens", 5, "--temperature", 0).stdout, text)
        sparse = self.changed(model_type="deepseek_v32", architectures=["DeepseekV32ForCausalLM"], index_topk=16, index_n_heads=2, index_head_dim=8)
        layer = 16 * 2 * 8 + 32 * (8 + 2) + 2 * 8  # wq_b, wk and weights_proj, the key's LayerNorm
        counted = self.counts(sparse)
        self.assertEqual((counted["indexer"], counted["total"]), (2 * layer, plain["total"] + 2 * layer))
        llama = {"model_type": "llama", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        self.assertEqual(self.counts(llama)["total"], 2 * 100 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 48 + 2 * 32) + 32)
        for config, name in ((sparse, "index"), (llama, "llama")):
            path = self.folder("other", config)
            self.bad(1, "generate", path, "--prompt", "Ba", says=name)
            self.bad(1, "convert", path, "--dtype", "bf16", "--out", path + "-out", says=name)
            self.bad(1, *train_words("never", f"--model.config={path}"), says=name)
            self.bad(1, "inspect", path, "--seq-len", 8, says="--seq-len")
        path = self.folder("later", self.changed(model_type="deepseek_v4"))
        for words in (["inspect", path], ["generate", path, "--prompt", "Ba"], ["plan", path, "--hardware", "h800", "--gpus", 8, "--tokens", "1B"]):
            self.bad(1, *words, says="deepseek_v4")

    def test_a_deepseek_that_is_not_computed_is_counted(self):
        plain = self.counts(model()[1])
        linear = {"rope_type": "linear", "factor": 2.0}
        for keys, says in (({"attention_bias": True}, "attention_bias: expected false, got true"), ({"hidden_act": "gelu"}, 'hidden_act: expected "silu", got "gelu"'),
                           ({"rope_scaling": linear}, 'rope_scaling: rope_type: expected yarn or default, got "linear"'), ({"moe_layer_freq": 2}, "moe_layer_freq: expected 1, got 2")):
            with self.subTest(keys=keys):
                path = self.folder("unbuilt", self.changed(**keys))
                report = self.good("inspect", path).stdout
                self.assertEqual([says in line for line in report.splitlines() if "does not compute" in line], [True])
                counted = json.loads(self.good("inspect", path, "--json").stdout)
                self.assertEqual(counted["not_computed"], [says])
                bias = 2 * (16 + 16 + 8 + 32) if "attention_bias" in keys else 0  # q_a_proj, kv_a_proj_with_mqa, o_proj of two layers
                dense = 3 * 32 * 64 - (5 * 3 * 32 * 16 + 4 * 32 + 4) if "moe_layer_freq" in keys else 0  # instead of the experts of layer 1
                self.assertEqual(counted["parameters"]["total"], plain["total"] + bias + dense)
                for words in (["generate", path, "--prompt", "Ba"], ["convert", path, "--weights", "bf16", "--out", path + "-out"], train_words("never", f"--model.config={path}")):
                    self.bad(1, *words, says=[says, "finback inspect counts"])
        self.bad(1, "inspect", self.folder("unbuilt", self.changed(attention_bias=True)), "--seq-len", 8, says="--seq-len")

    def test_dropout_is_of_training_alone(self):
        words = ["--prompt", "Ba", "--max-tokens", 5, "--temperature", 0]
        text = self.good("generate", model()[0], *words).stdout
        path = self.folder("dropout", self.changed(attention_dropout=0.1))
        done = self.good("generate", path, *words)
        self.assertEqual(done.stdout, text)
        self.assertEqual(done.stderr.count("attention_dropout 0.1"), 1)
        self.assertEqual(self.counts(self.changed(attention_dropout=0.1)), self.counts(model()[1]))
        out = path + "-out"
        self.good("convert", path, "--weights", "bf16", "--out", out, "--overwrite")
        with open(os.path.join(out, "config.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["attention_dropout"], 0.1)
        self.bad(1, *train_words("never", f"--model.config={path}"), says=["attention_dropout: expected 0, got 0.1", "not built"])

    def test_how_weights_are_stored_is_not_counted(self):
        plain = self.counts(model()[1])
        for quantization, says in (({"quant_method": "awq", "bits": 4}, "awq"), ({"quant_method": "fp8", "weight_block_size": None}, "weight_block_size")):
            with self.subTest(quantization=quantization):
                config = self.changed(quantization_config=quantization)
                self.assertEqual(self.counts(config), plain)
                path = self.folder("quantized", config)
                self.bad(1, "generate", path, "--prompt", "Ba", says=says)
                self.bad(1, "convert", path, "--dtype", "bf16", "--out", path + "-out", says=says)
                self.bad(1, *train_words("config-init", f"--train.init={path}", *FAST), says=says)
        self.assertEqual(self.counts(self.changed(torch_dtype="float8_e4m3fn")), plain)

    def test_keys_that_follow_from_others_follow_an_override(self):
        saved = self.changed(without=("rope_theta", "num_nextn_predict_layers"), num_mtp_layers=0, qk_head_dim=24, head_dim=8, num_local_experts=4,
                             rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
        path = self.folder("override", saved)
        self.good(*train_words("config-override", f"--model.config={path}", "--model.num_attention_heads=4", "--model.qk_rope_head_dim=16", "--model.n_routed_experts=8",
                               "--model.num_nextn_predict_layers=1", "--model.rope_theta=500", *FAST))
        with open(os.path.join(small_run.run_folder("config-override"), "latest/config.json"), encoding="utf-8") as f:
            written = json.load(f)
        self.assertEqual((written["num_key_value_heads"], written["n_routed_experts"], written["num_nextn_predict_layers"], written["rope_theta"]), (4, 8, 1, 500))
        self.assertFalse({"head_dim", "qk_head_dim", "num_mtp_layers", "num_local_experts", "rope_parameters"} & set(written))

    def test_a_run_writes_the_class_that_computes_its_model(self):
        softmax = ["--model.scoring_func=softmax", "--model.topk_method=greedy", "--model.norm_topk_prob=false"]
        for name, words, kind, dense in (("softmax", softmax, "V2", 1), ("twin", ["--model.n_routed_experts=0"], "V3", 2)):
            self.good(*train_words("config-" + name, *words, *FAST))
            with open(os.path.join(small_run.run_folder("config-" + name), "latest/config.json"), encoding="utf-8") as f:
                written = json.load(f)
            self.assertEqual((written["model_type"], written["architectures"]), ("deepseek_" + kind.lower(), [f"Deepseek{kind}ForCausalLM"]))
            self.assertEqual(written["first_k_dense_replace"], dense)
            self.good(*train_words("config-" + name, *words, *FAST[:-1], "--resume"))
        for words, says in ((softmax[:2], "norm_topk_prob"), (softmax[:1] + softmax[2:], "topk_method"),
                            (["--model.topk_method=group_limited_greedy", "--model.n_group=2"], "topk_method"),
                            (softmax + ["--model.num_attention_heads=3"], "num_attention_heads"),
                            (["--model.n_routed_experts=1", "--model.num_experts_per_tok=1"], "n_routed_experts")):
            with self.subTest(words=words):
                self.bad(1, *train_words("never", *words), says=says)
                self.assertFalse(os.path.exists(small_run.run_folder("never")))

    def test_a_model_under_the_wrong_name_is_noted(self):
        path = os.path.join(small_run.work_folder(), "config-wrong-name")
        shutil.rmtree(path, ignore_errors=True)
        self.good(*train_words("config-named", "--model.scoring_func=softmax", "--model.topk_method=greedy", "--model.norm_topk_prob=false", *FAST))
        shutil.copytree(os.path.join(small_run.run_folder("config-named"), "latest"), path)
        with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        words = ["--prompt", "Ba", "--max-tokens", 3, "--temperature", 0]
        named = self.good("generate", path, *words)
        self.assertNotIn("transformers", named.stderr)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
            json.dump({**config, "model_type": "deepseek_v3"}, f)
        other = self.good("generate", path, *words)
        self.assertEqual(other.stdout, named.stdout)
        self.assertIn("scoring_func", other.stderr)

    def test_wrong_values_are_one_line_that_names_the_key(self):
        for key, value in (("hidden_size", 1.5), ("vocab_size", {}), ("rope_theta", True), ("rope_scaling", "yarn"), ("num_experts", 3)):
            with self.subTest(key=key, value=value):
                self.bad(1, "inspect", self.folder("value", self.changed(**{key: value})), says=key)
        for word in ("NaN", "-Infinity"):
            text = json.dumps(self.changed(initializer_range=math.pi)).replace(str(math.pi), word)
            self.bad(1, "inspect", self.folder("value", text), says="expected JSON")

    def test_a_key_that_stands_twice_is_an_error(self):
        text = json.dumps(model()[1])
        self.bad(1, "inspect", self.folder("twice", text[:-1] + ', "vocab_size": 512}'), says="vocab_size")
        rope = json.dumps(self.changed(rope_scaling=YARN)).replace('"factor": 4.0', '"factor": 4.0, "factor": 8.0')
        self.bad(1, "generate", self.folder("twice", rope), "--prompt", "Ba", says='"factor"')
        path = self.folder("twice", text)
        with open(os.path.join(path, "generation_config.json"), "w", encoding="utf-8") as f:
            f.write('{"temperature": 0.1, "top_p": 0.5, "temperature": 0.9}')
        self.bad(1, "generate", path, "--prompt", "Ba", says=["temperature", "generation_config.json"])
