"""A model folder made by hand: a token a byte, and weights that spell a text greedily, each byte after the one before, then eos."""
import json
import os
import random
import struct

BOS, EOS, PAD, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>"
VOCAB, WIDTH = 264, 32
SPLITS = ["\\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
          "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = PRINTED + [b for b in range(256) if b not in PRINTED]  # by id, from 3
ID = {byte: 3 + i for i, byte in enumerate(BYTES)}


def tokenizer(**changes):
    symbols = [chr(b) if b in PRINTED else chr(256 + i - len(PRINTED)) for i, b in enumerate(BYTES)]
    vocab = {BOS: 0, EOS: 1, PAD: 2, **{s: 3 + i for i, s in enumerate(symbols)}}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": c, **flags, "special": i < 3} for i, c in [(0, BOS), (1, EOS), (2, PAD), (259, USER), (260, ASSISTANT)]]
    steps = [{"type": "Split", "pattern": {"Regex": r}, "behavior": "Isolated", "invert": False} for r in SPLITS]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps + [byte_level]}, "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "vocab": vocab, "merges": []}, **changes}


def config(**changes):
    return {"model_type": "deepseek_v3", "vocab_size": VOCAB, "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 1,
            "num_key_value_heads": 1, "q_lora_rank": None, "kv_lora_rank": 4, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4,
            "intermediate_size": 4, "moe_intermediate_size": 4, "n_routed_experts": 2, "n_shared_experts": 1, "num_experts_per_tok": 1,
            "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0, "num_nextn_predict_layers": 0,
            "max_position_embeddings": 64, "torch_dtype": "float32", "bos_token_id": 0, "eos_token_id": 1, **changes}


def tensors(text):
    rng = random.Random(1)
    embedding = [[rng.choice((-1.0, 1.0)) for _ in range(WIDTH)] for _ in range(VOCAB)]
    head = [[0.0] * WIDTH for _ in range(VOCAB)]
    ids = [0] + [ID[b] for b in text.encode()] + [1]
    assert len(set(ids)) == len(ids), "each byte says which one follows"
    for here, after in zip(ids, ids[1:]):
        head[after] = embedding[here]
    layer = "model.layers.0."
    shapes = {layer + "self_attn.q_proj.weight": [8, WIDTH], layer + "self_attn.kv_a_proj_with_mqa.weight": [8, WIDTH],
              layer + "self_attn.kv_a_layernorm.weight": [4], layer + "self_attn.kv_b_proj.weight": [8, 4], layer + "self_attn.o_proj.weight": [WIDTH, 4],
              layer + "input_layernorm.weight": [WIDTH], layer + "post_attention_layernorm.weight": [WIDTH], layer + "mlp.gate_proj.weight": [4, WIDTH],
              layer + "mlp.up_proj.weight": [4, WIDTH], layer + "mlp.down_proj.weight": [WIDTH, 4], "model.norm.weight": [WIDTH]}
    out = {"model.embed_tokens.weight": ([VOCAB, WIDTH], sum(embedding, [])), "lm_head.weight": ([VOCAB, WIDTH], sum(head, []))}
    for name, shape in shapes.items():
        out[name] = (shape, [1.0 if "norm" in name else 0.0] * (shape[0] * (shape[1] if len(shape) > 1 else 1)))
    return out


def write(folder, text, files=()):
    """The model that spells `text`; files: {name: JSON value} that replace or join the folder's own, None removes one."""
    os.makedirs(folder, exist_ok=True)
    header, data = {}, b""
    for name, (shape, values) in tensors(text).items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    head = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + data)
    own = {"tokenizer.json": tokenizer(), "tokenizer_config.json": {"bos_token": BOS, "eos_token": EOS, "add_bos_token": True}, "config.json": config()}
    for name, value in {**own, **dict(files)}.items():
        path = os.path.join(folder, name)
        if value is None:
            if os.path.exists(path):
                os.remove(path)
            continue
        with open(path, "w", encoding="utf-8") as f:
            json.dump(value, f, ensure_ascii=False)
    return folder
