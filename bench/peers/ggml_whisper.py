"""Whisper from the Hugging Face layout to whisper.cpp's ggml file.

The file: magic, eleven numbers of shape, the mel filters, the tokens as bytes, then the tensors under the names of
openai/whisper, each as rank, name length, type, dimensions (innermost first), name, data. Matrices are fp16 or
Q8_0 (groups of 32: an fp16 scale and 32 int8); what adds to or scales activations is fp32, as are positions.
"""

import json
import struct

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

MAGIC = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8  # ggml's element types
FILE_F16, FILE_Q8_0 = 1, 2007  # 7, and 1000 times the version of the block formats
FFT = 400

# Hugging Face's names, part by part, to openai/whisper's.
NAMES = [
    ("model.", ""), (".embed_positions.weight", ".positional_embedding"), ("embed_tokens.weight", "token_embedding.weight"),
    (".layers.", ".blocks."), ("self_attn_layer_norm", "attn_ln"), ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"), ("encoder.layer_norm", "encoder.ln_post"), ("decoder.layer_norm", "decoder.ln"),
    ("self_attn.", "attn."), ("encoder_attn.", "cross_attn."), ("q_proj", "query"), ("k_proj", "key"),
    ("v_proj", "value"), ("out_proj", "out"), (".fc1.", ".mlp.0."), (".fc2.", ".mlp.2."),
]


def _name(name):
    for ours, theirs in NAMES:
        name = name.replace(ours, theirs)
    return name


def _tensors(safetensors):
    size = struct.unpack_from("<Q", safetensors)[0]
    for name, entry in json.loads(safetensors[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            assert entry["dtype"] == "F16", name
            yield _name(name), np.frombuffer(safetensors[8 + size + begin:8 + size + end], "<f2").reshape(entry["shape"])


def _q8_0(matrix):
    groups = matrix.astype(np.float32).reshape(-1, 32)
    scales = np.abs(groups).max(axis=1) / 127
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    values = np.rint(groups * inverse[:, None]).astype(np.int8)
    blocks = np.zeros(len(groups), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    blocks["scale"], blocks["values"] = scales, values
    return blocks.tobytes()


def _tensor(name, values, quantised):
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        values = values.reshape(-1, 1)
    if values.ndim < 2 or name.endswith(("positional_embedding", "conv1.bias", "conv2.bias")):
        kind, data = F32, values.astype("<f4").tobytes()
    elif quantised and values.ndim == 2:
        kind, data = Q8_0, _q8_0(values)
    else:
        kind, data = F16, values.tobytes()
    raw = name.encode()
    return struct.pack(f"<3i{values.ndim}i", values.ndim, len(raw), kind, *reversed(values.shape)) + raw + data


def _token_bytes(tokenizer):
    """The ordinary tokens by id; whisper.cpp knows the special ones by itself."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    ordinary = sorted((index, token) for token, index in vocabulary.items() if token not in special)
    assert [index for index, _ in ordinary] == list(range(len(ordinary)))
    return [bytes(byte_of[character] for character in token) for _, token in ordinary]


def serialize(config, tokenizer, safetensors, quantised):
    """config.json and tokenizer.json as objects, model.safetensors as bytes -> the file's bytes."""
    out = [struct.pack("<12i", MAGIC, config["vocab_size"], config["max_source_positions"], config["d_model"],
                       config["encoder_attention_heads"], config["encoder_layers"], config["max_target_positions"],
                       config["d_model"], config["decoder_attention_heads"], config["decoder_layers"],
                       config["num_mel_bins"], FILE_Q8_0 if quantised else FILE_F16)]
    filters = FeatureExtractor.get_mel_filters(16000, FFT, config["num_mel_bins"]).astype("<f4")
    out += [struct.pack("<2i", *filters.shape), filters.tobytes()]
    tokens = _token_bytes(tokenizer)
    out.append(struct.pack("<i", len(tokens)))
    out += [struct.pack("<i", len(token)) + token for token in tokens]
    out += [_tensor(name, values, quantised) for name, values in _tensors(safetensors)]
    return b"".join(out)
