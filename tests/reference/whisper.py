"""Writes what the reference Whisper makes of the committed clips, from the bundle's weights, in fp32:

  whisper_log_mel.f32       slt_capital padded to 30 s: the first 96 frames of [80 mel bins], mel after mel
  whisper_encoder_full.f32  the same padded window: every 50th of 1500 positions, the first 32 of its 512 values
  whisper_encoder_trimmed.f32  speech and one second of silence with truncated positions: every 10th position
  whisper_transcripts.txt   one line a clip: name, tab, text, by greedy decoding on the full window without timestamps

Usage: whisper.py BUNDLE. Needs torch, transformers and safetensors.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import clips

FOLDER = pathlib.Path(__file__).parent
ENCODER = pathlib.Path(sys.argv[1]) / "audio_encoder"
torch.set_num_threads(2)

config = WhisperConfig.from_pretrained(ENCODER)
model = WhisperForConditionalGeneration(config).eval()
weights = {name: tensor.float() for name, tensor in load_file(ENCODER / "model.safetensors").items()}
model.load_state_dict(weights, strict=False)
model.tie_weights()
features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
tokenizer = Tokenizer.from_file(str(ENCODER / "tokenizer.json"))
settings = json.loads((ENCODER / "config.json").read_text())
START, END, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS = 50258, 50257, 50259, 50359, 50363


def save(name, values):
    np.ascontiguousarray(values, dtype="<f4").tofile(FOLDER / name)


def log_mel(samples):
    return features(samples, sampling_rate=16000, return_tensors="pt").input_features


def encode(mel):
    """The encoder on as many frames as there are: what transformers does, with truncated positions."""
    encoder = model.model.encoder
    x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)
    x = x + encoder.embed_positions.weight[:x.shape[1]]
    for layer in encoder.layers:
        x = layer(x, None)
        x = x[0] if isinstance(x, tuple) else x
    return encoder.layer_norm(x)


def greedy(encoded):
    """Greedy decoding without timestamps on the full window, as openai/whisper does."""
    ids = [START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS]
    begin = len(ids)
    while len(ids) < 200:
        logits = model(encoder_outputs=BaseModelOutput(encoded), decoder_input_ids=torch.tensor([ids])).logits[0, -1]
        logits[[i for i in settings["suppress_tokens"] if i != END]] = -torch.inf
        logits[NO_TIMESTAMPS + 1:] = -torch.inf
        if len(ids) == begin:
            logits[settings["begin_suppress_tokens"]] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == END:
            break
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


with torch.no_grad():
    samples = clips.samples("slt_capital")
    mel = log_mel(samples)
    save("whisper_log_mel.f32", mel[0, :, :96])
    full = model.model.encoder(mel).last_hidden_state
    assert torch.allclose(full, encode(mel), atol=1e-5)
    save("whisper_encoder_full.f32", full[0, ::50, :32])
    frames = (len(samples) + 16000 + 319) // 320 * 2
    save("whisper_encoder_trimmed.f32", encode(mel[:, :, :frames])[0, ::10, :32])

    lines = []
    for name in clips.names():
        encoded = model.model.encoder(log_mel(clips.samples(name))).last_hidden_state
        lines.append(f"{name}\t{greedy(encoded)}\n")
        print(lines[-1], end="", flush=True)
    (FOLDER / "whisper_transcripts.txt").write_text("".join(lines))
