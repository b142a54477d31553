"""Writes silero.txt: the speech probability of each 512 samples of a clip, from silero_vad.jit.

The clip is half a second of silence, slt_breakfast, half a second of silence and rms_color: it begins with a
fresh state and goes on through pauses. Needs torch and silero-vad.
"""

import pathlib

import numpy as np
import torch
from silero_vad import load_silero_vad

import clips

WINDOW = 512

silence = np.zeros(8000, dtype=np.float32)
audio = np.concatenate([silence, clips.samples("slt_breakfast"), silence, clips.samples("rms_color")])
audio = audio[:len(audio) // WINDOW * WINDOW]

model = load_silero_vad(onnx=False)
model.reset_states()
with torch.no_grad():
    probabilities = [model(torch.from_numpy(audio[i:i + WINDOW].copy()), 16000).item()
                     for i in range(0, len(audio), WINDOW)]
path = pathlib.Path(__file__).parent / "silero.txt"
path.write_text("".join(f"{p:.6f}\n" for p in probabilities))
