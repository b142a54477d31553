#!/usr/bin/env python3
"""Writes a bundle of every kind of part with random weights, small enough to run under a sanitizer.

  tiny_bundle.py FOLDER [--architecture llama|qwen2|baichuan] [--padded]

--padded: no width is a multiple of 32, so that the kernels of the CPU have to pad them all. What such a bundle says
means nothing; it is the same in every run. Needs Python's standard library only.
"""

import argparse
import array
import json
import pathlib
import random
import struct

CONTEXT_TOKENS = 512
TIMESTAMPS = 1501  # 0.00 to 30.00 s
# Of EfficientNet-Lite0: expansion, channels, kernel, blocks.
STAGES = [(1, 16, 3, 1), (6, 24, 3, 2), (6, 40, 5, 2), (6, 80, 3, 3), (6, 112, 5, 3), (6, 192, 5, 4), (6, 320, 3, 1)]
LABELS = ["cat", "dog", "cup", "ball", "tree", "car", "book", "shoe"]


class Weights:
    """Tensors of one safetensors file."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        # A byte chooses one of these: quick, and normal enough.
        self.normal = [self.random.gauss(0, 1) for _ in range(256)]
        self.tensors = {}

    def add(self, name, *shape, around=0.0, scale=None):
        count = 1
        for size in shape:
            count *= size
        scale = scale if scale is not None else max(1, count // shape[0]) ** -0.5
        table = [around + scale * value for value in self.normal]
        self.tensors[name] = (shape, array.array("f", map(table.__getitem__, self.random.randbytes(count))))

    def positive(self, name, *shape):
        self.add(name, *shape, around=1.0, scale=0.01)

    def write(self, path):
        header, at = {}, 0
        for name, (shape, values) in self.tensors.items():
            size = 4 * len(values)
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
            at += size
        text = json.dumps(header).encode()
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, values in self.tensors.values():
                values.tofile(file)


def byte_tokens():
    """GPT-2's printable stand-ins for the 256 bytes, by byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def write_tokenizer(path, special):
    vocabulary = {token: i for i, token in enumerate(byte_tokens())}
    added = [{"id": 256 + i, "content": token, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False} for i, token in enumerate(special)]
    path.write_text(json.dumps({
        "version": "1.0", "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": False}}))


def write_language_model(folder, architecture, padded):
    folder.mkdir(parents=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    write_tokenizer(folder / "tokenizer.json", special)
    vocabulary = 256 + len(special) + 5  # a head may have more rows than the tokenizer has tokens
    hidden, ffn, heads, kv_heads, layers = (60, 90, 5, 5, 2) if padded else (64, 96, 4, 2, 2)
    config = {"model_type": architecture, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
              "max_position_embeddings": CONTEXT_TOKENS, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
              "tie_word_embeddings": architecture == "llama", "hidden_act": "silu"}
    (folder / "config.json").write_text(json.dumps(config))
    weights = Weights(seed=1)
    weights.add("model.embed_tokens.weight", vocabulary, hidden, scale=1)
    weights.positive("model.norm.weight", hidden)
    if architecture != "llama":
        weights.add("lm_head.weight", vocabulary, hidden)
    kv = hidden // heads * kv_heads
    for i in range(layers):
        layer = f"model.layers.{i}."
        weights.positive(layer + "input_layernorm.weight", hidden)
        weights.positive(layer + "post_attention_layernorm.weight", hidden)
        if architecture == "baichuan":
            weights.add(layer + "self_attn.W_pack.weight", hidden + 2 * kv, hidden)
        else:
            for name, rows in (("q", hidden), ("k", kv), ("v", kv)):
                weights.add(f"{layer}self_attn.{name}_proj.weight", rows, hidden)
                if architecture == "qwen2":
                    weights.add(f"{layer}self_attn.{name}_proj.bias", rows, scale=0.1)
        weights.add(layer + "self_attn.o_proj.weight", hidden, hidden)
        weights.add(layer + "mlp.gate_proj.weight", ffn, hidden)
        weights.add(layer + "mlp.up_proj.weight", ffn, hidden)
        weights.add(layer + "mlp.down_proj.weight", hidden, ffn)
    weights.write(folder / "model.safetensors")


def write_whisper(folder, padded):
    folder.mkdir(parents=True)
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>",
               "<|nospeech|>", "<|notimestamps|>"]
    write_tokenizer(folder / "tokenizer.json", special)
    vocabulary = 256 + len(special) + TIMESTAMPS
    width, heads, ffn = (44, 2, 70) if padded else (64, 2, 128)
    layers, mels, audio, text = 2, 80, 1500, 64
    config = {"d_model": width, "num_mel_bins": mels, "encoder_layers": layers, "encoder_attention_heads": heads,
              "encoder_ffn_dim": ffn, "decoder_layers": layers, "decoder_attention_heads": heads, "decoder_ffn_dim": ffn,
              "vocab_size": vocabulary, "max_source_positions": audio, "max_target_positions": text,
              "suppress_tokens": [0, 1], "begin_suppress_tokens": [32, 256], "alignment_heads": [[1, 0], [1, 1]]}
    (folder / "config.json").write_text(json.dumps(config))
    weights = Weights(seed=2)

    def norm(name):
        weights.positive(name + ".weight", width)
        weights.add(name + ".bias", width, scale=0.01)

    def dense(name, outputs, inputs, bias=True):
        weights.add(name + ".weight", outputs, inputs)
        if bias:
            weights.add(name + ".bias", outputs, scale=0.01)

    def attention(name):
        dense(name + ".q_proj", width, width)
        dense(name + ".k_proj", width, width, bias=False)
        dense(name + ".v_proj", width, width)
        dense(name + ".out_proj", width, width)

    weights.add("model.encoder.conv1.weight", width, mels, 3)
    weights.add("model.encoder.conv1.bias", width, scale=0.01)
    weights.add("model.encoder.conv2.weight", width, width, 3)
    weights.add("model.encoder.conv2.bias", width, scale=0.01)
    weights.add("model.encoder.embed_positions.weight", audio, width)
    weights.add("model.decoder.embed_tokens.weight", vocabulary, width, scale=0.3)
    weights.add("model.decoder.embed_positions.weight", text, width)
    for side in ("encoder", "decoder"):
        for i in range(layers):
            layer = f"model.{side}.layers.{i}."
            attention(layer + "self_attn")
            norm(layer + "self_attn_layer_norm")
            if side == "decoder":
                attention(layer + "encoder_attn")
                norm(layer + "encoder_attn_layer_norm")
            dense(layer + "fc1", ffn, width)
            dense(layer + "fc2", width, ffn)
            norm(layer + "final_layer_norm")
        norm(f"model.{side}.layer_norm")
    weights.write(folder / "model.safetensors")


def write_efficientnet(folder):
    folder.mkdir(parents=True)
    (folder / "labels.json").write_text(json.dumps(LABELS))
    weights = Weights(seed=3)

    def convolution(name, norm, outputs, inputs, kernel):
        weights.add(name + ".weight", outputs, inputs, kernel, kernel)
        weights.positive(norm + ".weight", outputs)
        weights.add(norm + ".bias", outputs, scale=0.1)
        weights.add(norm + ".running_mean", outputs, scale=0.1)
        weights.positive(norm + ".running_var", outputs)

    channels, block = 32, 0
    convolution("_conv_stem", "_bn0", channels, 3, 3)
    for expansion, outputs, kernel, blocks in STAGES:
        for _ in range(blocks):
            name, expanded = f"_blocks.{block}.", channels * expansion
            if expansion != 1:
                convolution(name + "_expand_conv", name + "_bn0", expanded, channels, 1)
            convolution(name + "_depthwise_conv", name + "_bn1", expanded, 1, kernel)
            convolution(name + "_project_conv", name + "_bn2", outputs, expanded, 1)
            channels, block = outputs, block + 1
    convolution("_conv_head", "_bn1", 1280, channels, 1)
    weights.add("_fc.weight", len(LABELS), 1280, scale=1)
    weights.add("_fc.bias", len(LABELS), scale=0.1)
    weights.write(folder / "model.safetensors")


def write_silero(folder):
    folder.mkdir(parents=True)
    weights = Weights(seed=4)
    weights.add("stft_conv.weight", 258, 1, 256)
    for i, (outputs, inputs) in enumerate([(128, 129), (64, 128), (64, 64), (128, 64)], 1):
        weights.add(f"conv{i}.weight", outputs, inputs, 3)
        weights.add(f"conv{i}.bias", outputs, scale=0.1)
    for name in ("ih", "hh"):
        weights.add(f"lstm_cell.weight_{name}", 512, 128)
        weights.add(f"lstm_cell.bias_{name}", 512, scale=0.1)
    weights.add("final_conv.weight", 1, 128, 1)
    weights.add("final_conv.bias", 1, scale=0.1)
    weights.write(folder / "model.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--architecture", choices=["llama", "qwen2", "baichuan"], default="llama")
    parser.add_argument("--padded", action="store_true")
    options = parser.parse_args()
    folder = options.folder
    write_language_model(folder / "language_model", options.architecture, options.padded)
    write_whisper(folder / "audio_encoder", options.padded)
    write_efficientnet(folder / "vision_encoder")
    write_silero(folder / "speech_detector")
    (folder / "parley.json").write_text(json.dumps({
        "format": 1, "name": "tiny",
        "language_model": {"kind": "safetensors", "folder": "language_model"},
        "audio_encoder": {"kind": "whisper", "folder": "audio_encoder"},
        "audio_bridge": {"kind": "transcript", "language": "en"},
        "vision_encoder": {"kind": "efficientnet-lite0", "folder": "vision_encoder"},
        "vision_bridge": {"kind": "labels", "labels": 2, "minimum": 0, "template": "It shows {labels}.", "otherwise": ""},
        "speech_detector": {"kind": "silero", "file": "speech_detector/model.safetensors"},
        "prompt": {"template": "chatml", "system": "Be brief."}}))


if __name__ == "__main__":
    main()
