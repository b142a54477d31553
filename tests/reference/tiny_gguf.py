"""Small GGUF files of whole language models and their logits: tests/reference/tiny_gguf.

  python tiny_gguf.py [OUT_FOLDER]

Needs numpy and gguf. llama.gguf and qwen2.gguf hold the very weights of tests/reference/tiny_models/tiny_*, whose
logits are transformers' (tiny_models.py): Llama's query and key rows in GGUF's order, Llama 3.1's rotary scaling as
rope_freqs.weight, Qwen2's biases. qwen2_q8_0.gguf and llama_k.gguf are wide enough for the CPU kernels and for blocks
of 256; their logits are those of the few lines of numpy below on the weights that the gguf package reads from them.
The same lines must first give transformers' logits for tiny_*.
"""

import json
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize

TESTS = pathlib.Path(__file__).resolve().parents[1]
IDS = [3, 17, 60, 5, 5, 41, 22, 9, 63, 0, 30, 12]
IN_LAYER = {"attn_norm.weight": "input_layernorm.weight", "attn_q.weight": "self_attn.q_proj.weight",
            "attn_k.weight": "self_attn.k_proj.weight", "attn_v.weight": "self_attn.v_proj.weight",
            "attn_q.bias": "self_attn.q_proj.bias", "attn_k.bias": "self_attn.k_proj.bias",
            "attn_v.bias": "self_attn.v_proj.bias", "attn_output.weight": "self_attn.o_proj.weight",
            "ffn_norm.weight": "post_attention_layernorm.weight", "ffn_gate.weight": "mlp.gate_proj.weight",
            "ffn_up.weight": "mlp.up_proj.weight", "ffn_down.weight": "mlp.down_proj.weight"}
OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
           "output.weight": "lm_head.weight"}


# ---- The reference

def rotary_frequencies(config):
    width = config["hidden_size"] // config["num_attention_heads"]
    frequencies = config["rope_theta"]**(-np.arange(0, width, 2) / width)
    scaling = config.get("rope_scaling")
    if scaling:
        turns = scaling["original_max_position_embeddings"] * frequencies / (2 * np.pi)
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        kept = np.clip((turns - low) / (high - low), 0, 1)
        frequencies = frequencies * (kept + (1 - kept) / scaling["factor"])
    return frequencies


def logits(config, weights, ids):
    """[len(ids), vocabulary], by the definition, in double precision; names are Hugging Face's."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    width = config["hidden_size"] // heads
    angles = np.outer(np.arange(len(ids)), rotary_frequencies(config))
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]

    def norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"]) * weight

    def rotate(x):
        first, second = x[..., :width // 2], x[..., width // 2:]
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)

    x = weights["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        def w(name):
            return weights[f"model.layers.{i}.{name}.weight"]

        def project(part, y):
            return y @ w(f"self_attn.{part}_proj").T + weights.get(f"model.layers.{i}.self_attn.{part}_proj.bias", 0)

        y = norm(x, w("input_layernorm"))
        q = rotate(project("q", y).reshape(len(ids), heads, width))
        k = rotate(project("k", y).reshape(len(ids), kv_heads, width)).repeat(heads // kv_heads, 1)
        v = project("v", y).reshape(len(ids), kv_heads, width).repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(width)
        scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        attended = np.einsum("hqk,khd->qhd", scores / scores.sum(-1, keepdims=True), v)
        x = x + attended.reshape(len(ids), -1) @ w("self_attn.o_proj").T
        y = norm(x, w("post_attention_layernorm"))
        gate = y @ w("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T
    return norm(x, weights["model.norm.weight"]) @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T


# ---- The files

def row_order(rows, heads):
    """GGUF's Llama keeps a rotary pair in neighbouring rows; Hugging Face half a head apart."""
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)


def names(config, weights):
    for ours, theirs in OUTSIDE.items():
        if theirs in weights:
            yield ours, theirs
    for i in range(config["num_hidden_layers"]):
        for ours, theirs in IN_LAYER.items():
            if f"model.layers.{i}.{theirs}" in weights:
                yield f"blk.{i}.{ours}", f"model.layers.{i}.{theirs}"


def order_of(config, name):
    """The file's row for each of the model's, of the tensor `name` in the file."""
    if config["model_type"] != "llama":
        return None
    if ".attn_q." in name:
        return row_order(config["hidden_size"], config["num_attention_heads"])
    if ".attn_k." in name:
        heads = config["num_key_value_heads"]
        return row_order(config["hidden_size"] // config["num_attention_heads"] * heads, heads)
    return None


def write(path, config, tensors):
    """tensors: name in the file -> (bytes or floats, type)."""
    writer = GGUFWriter(path, config["model_type"])
    writer.add_name(path.stem)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if config.get("rope_scaling"):
        plain = rotary_frequencies({**config, "rope_scaling": None})
        tensors["rope_freqs.weight"] = ((plain / rotary_frequencies(config)).astype(np.float32), Type.F32)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path, config):
    """What the gguf package reads, under Hugging Face's names and in the model's order of rows."""
    file = {t.name: dequantize(t.data, t.tensor_type).astype(np.float64) for t in GGUFReader(path).tensors}
    theirs = {}
    for i in range(config["num_hidden_layers"]):
        theirs.update({f"blk.{i}.{ours}": f"model.layers.{i}.{name}" for ours, name in IN_LAYER.items()})
    theirs.update(OUTSIDE)
    weights = {}
    for name, tensor in file.items():
        if name == "rope_freqs.weight":
            continue
        order = order_of(config, name)
        weights[theirs[name]] = tensor if order is None else tensor[np.argsort(order)]
    return weights


def read_bf16(path):
    """A safetensors file of bf16 tensors alone."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            assert about["dtype"] == "BF16"
            first, last = about["data_offsets"]
            halves = np.frombuffer(data[start + first:start + last], np.uint16).astype(np.uint32)
            tensors[name] = (halves << 16).view(np.float32).reshape(about["shape"])
    return tensors


def copy_of_tiny(out, name):
    folder = TESTS / "torch/data" / f"tiny_{name}"
    config = json.loads((folder / "config.json").read_text())
    weights = read_bf16(folder / "model.safetensors")
    expected = json.loads((folder / "expected.json").read_text())
    ours = logits(config, {k: v.astype(np.float64) for k, v in weights.items()}, expected["ids"])
    print(f"tiny_{name}: largest difference to transformers", np.abs(ours - expected["logits"]).max())
    assert np.abs(ours - expected["logits"]).max() < 5e-6
    tensors = {}
    for here, there in names(config, weights):
        order = order_of(config, here)
        tensor = weights[there] if order is None else weights[there][order]
        kind = Type.F32 if tensor.ndim == 1 else Type.BF16
        tensors[here] = (tensor if kind == Type.F32 else quantize(tensor, kind), kind)
    write(out / f"{name}.gguf", config, tensors)
    again = logits(config, read(out / f"{name}.gguf", config), IDS)
    assert np.abs(again - expected["logits"]).max() < 5e-6


def random_blocks(kind, rows, columns, random):
    """Any bytes are a valid block of the K types; the scales make weights of about 0.06, centred."""
    block_values, block_bytes = GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows * columns // block_values, block_bytes), dtype=np.uint8)
    scales = {Type.Q4_K: {0: 3.5e-4, 2: 7.5 * 3.5e-4}, Type.Q5_K: {0: 1.7e-4, 2: 15.5 * 1.7e-4},
              Type.Q6_K: {208: 4.4e-5}}[kind]
    for offset, scale in scales.items():
        data[:, offset:offset + 2] = np.full((len(data), 1), scale, np.float16).view(np.uint8)
    return data.reshape(rows, -1)


def wide(out, name, config, kinds, seed):
    random = np.random.default_rng(seed)
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    width = hidden // config["num_attention_heads"]
    keys = width * config["num_key_value_heads"]
    biases = config["model_type"] == "qwen2"
    shapes = {"token_embd.weight": (config["vocab_size"], hidden), "output_norm.weight": (hidden,)}
    for i in range(config["num_hidden_layers"]):
        shapes.update({f"blk.{i}.{key}": value for key, value in {
            "attn_norm.weight": (hidden,), "attn_q.weight": (hidden, hidden), "attn_k.weight": (keys, hidden),
            "attn_v.weight": (keys, hidden), "attn_output.weight": (hidden, hidden), "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (ffn, hidden), "ffn_up.weight": (ffn, hidden), "ffn_down.weight": (hidden, ffn),
            **({"attn_q.bias": (hidden,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)} if biases else {})}.items()})
    tensors = {}
    for tensor, shape in shapes.items():
        if len(shape) == 1:
            values = random.standard_normal(shape).astype(np.float32) * 0.1
            tensors[tensor] = (values + 1 if "norm" in tensor else values, Type.F32)
            continue
        kind = kinds.get(tensor.split(".")[-2], kinds["other"])
        if kind == Type.Q8_0:
            tensors[tensor] = (quantize(random.standard_normal(shape).astype(np.float32) * 0.15, kind), kind)
        else:
            tensors[tensor] = (random_blocks(kind, *shape, random), kind)
    write(out / f"{name}.gguf", config, tensors)
    expected = logits(config, read(out / f"{name}.gguf", config), IDS)
    print(f"{name}: logits of deviation", expected.std())
    (out / f"{name}.json").write_text(json.dumps(
        {"ids": IDS, "logits": [[round(float(v), 6) for v in row] for row in expected]}, separators=(",", ":")))


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS / "reference/tiny_gguf"
    out.mkdir(parents=True, exist_ok=True)
    copy_of_tiny(out, "llama")
    copy_of_tiny(out, "qwen2")
    common = dict(vocab_size=64, num_attention_heads=4, max_position_embeddings=128, rms_norm_eps=1e-6, rope_theta=10000.0)
    wide(out, "qwen2_q8_0", dict(common, model_type="qwen2", hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                 num_key_value_heads=2), {"other": Type.Q8_0}, 3)
    wide(out, "llama_k", dict(common, model_type="llama", hidden_size=256, intermediate_size=256, num_hidden_layers=1,
                              num_key_value_heads=1),
         {"token_embd": Type.Q6_K, "attn_v": Type.Q6_K, "ffn_down": Type.Q6_K, "attn_output": Type.Q5_K,
          "other": Type.Q4_K}, 4)


if __name__ == "__main__":
    main()
