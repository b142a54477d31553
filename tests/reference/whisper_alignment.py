"""Writes where the reference's decoder attends while it writes a clip: whisper_alignment.f32, [tokens - 1, positions] of
slt_capital and a second of silence with truncated positions, for the tokens of ALIGNED but the first, the mean of
Whisper base's alignment heads. Whisper's equations in NumPy, in double precision.

Usage: whisper_alignment.py BUNDLE. Needs numpy, safetensors and transformers (for the spectrogram).
"""

import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from transformers import WhisperFeatureExtractor

import clips

FOLDER = pathlib.Path(__file__).parent
# What Parley writes of the clip, after its prompt: kAlignedTokens of tests/cpu/whisper_networks_test.cc.
ALIGNED = [50258, 50259, 50359, 50364, 708, 307, 264, 4238, 295, 6190, 30, 50464]
HEADS = [(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)]  # [layer, head], openai/whisper, __init__.py
LAYERS, WIDTH, HEAD_COUNT = 6, 512, 8

weights = {name: value.astype(np.float64)
           for name, value in load_file(pathlib.Path(sys.argv[1]) / "audio_encoder/model.safetensors").items()}
gelu = np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))


def dense(name, x):
    return x @ weights[name + ".weight"].T + weights.get(name + ".bias", 0)


def norm(name, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[name + ".weight"] + weights[name + ".bias"]


def convolution(name, x, stride):
    """x: [frames, inputs], padded by one frame at each end."""
    weight, padded = weights[name + ".weight"], np.pad(x, ((1, 1), (0, 0)))
    taps = sum(padded[tap:tap + len(x)] @ weight[:, :, tap].T for tap in range(3))
    return gelu(taps[::stride] + weights[name + ".bias"])


def attention(name, x, keys_of, mask=None):
    """Returns the output and the attention of each head, [heads, rows of x, rows of keys_of]."""
    def heads(values):
        return values.reshape(len(values), HEAD_COUNT, -1).transpose(1, 0, 2)
    q, k, v = heads(dense(name + ".q_proj", x)), heads(dense(name + ".k_proj", keys_of)), heads(dense(name + ".v_proj", keys_of))
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH // HEAD_COUNT)
    if mask is not None:
        scores = scores + mask
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return dense(name + ".out_proj", (shares @ v).transpose(1, 0, 2).reshape(len(x), WIDTH)), shares


def feed_forward(layer, x):
    return x + dense(layer + "fc2", gelu(dense(layer + "fc1", norm(layer + "final_layer_norm", x))))


def encode(mel):
    x = convolution("model.encoder.conv2", convolution("model.encoder.conv1", mel, 1), 2)
    x = x + weights["model.encoder.embed_positions.weight"][:len(x)]
    for i in range(LAYERS):
        layer = f"model.encoder.layers.{i}."
        normed = norm(layer + "self_attn_layer_norm", x)
        x = feed_forward(layer, x + attention(layer + "self_attn", normed, normed)[0])
    return norm("model.encoder.layer_norm", x)


def cross_attention(audio, tokens):
    """The attention of each layer's heads to the audio."""
    x = weights["model.decoder.embed_tokens.weight"][tokens] + weights["model.decoder.embed_positions.weight"][:len(tokens)]
    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    layers = []
    for i in range(LAYERS):
        layer = f"model.decoder.layers.{i}."
        normed = norm(layer + "self_attn_layer_norm", x)
        x = x + attention(layer + "self_attn", normed, normed, mask)[0]
        out, shares = attention(layer + "encoder_attn", norm(layer + "encoder_attn_layer_norm", x), audio)
        x = feed_forward(layer, x + out)
        layers.append(shares)
    return layers


def main():
    samples = clips.samples("slt_capital")
    frames = (len(samples) + 16000 + 319) // 320 * 2
    mel = WhisperFeatureExtractor()(samples, sampling_rate=16000, return_tensors="np").input_features[0, :, :frames]
    layers = cross_attention(encode(mel.T.astype(np.float64)), ALIGNED)
    shares = np.mean([layers[layer][head] for layer, head in HEADS], axis=0)[1:]
    np.ascontiguousarray(shares, dtype="<f4").tofile(FOLDER / "whisper_alignment.f32")


if __name__ == "__main__":
    main()
