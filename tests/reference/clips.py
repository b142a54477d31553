"""The committed speech clips: short questions in flite's voices slt and rms, 16 kHz mono PCM16."""

import pathlib
import wave

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "clips"


def names():
    return sorted(path.stem for path in FOLDER.glob("*.wav"))


def samples(name):
    with wave.open(str(FOLDER / f"{name}.wav")) as file:
        assert file.getframerate() == 16000 and file.getnchannels() == 1 and file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768
