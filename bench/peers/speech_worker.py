#!/usr/bin/env python3
"""A speech peer as a process of its own, so that loading it is not timed.

  speech_worker.py faster-whisper|whisper.cpp --model PATH --threads N [--without-timestamps]

Says {"ready": true} when the model is loaded. Then each line of standard input is the path of a 16 kHz mono PCM16
file; the answer is one line, {"text": ..., "seconds": ...}: what was said, and how long the transcription took.
Greedy, in English, at temperature 0 without a second try. Needs bench/peers/install's folder in PYTHONPATH.
"""

import argparse
import json
import os
import sys
import time
import wave

import numpy as np


def faster_whisper(arguments):
    from faster_whisper import WhisperModel
    model = WhisperModel(arguments.model, device="cpu", compute_type="int8", cpu_threads=arguments.threads)

    def transcribe(samples):
        segments, _ = model.transcribe(samples, language="en", beam_size=1, temperature=0.0,
                                       without_timestamps=arguments.without_timestamps)
        return "".join(segment.text for segment in segments)
    return transcribe


def whisper_cpp(arguments):
    from pywhispercpp.model import Model
    model = Model(arguments.model, n_threads=arguments.threads, language="en", print_progress=False,
                  print_realtime=False, temperature_inc=0.0, no_timestamps=arguments.without_timestamps,
                  redirect_whispercpp_logs_to=None)
    return lambda samples: " ".join(segment.text for segment in model.transcribe(samples))


def read(path):
    with wave.open(path) as file:
        assert file.getframerate() == 16000 and file.getnchannels() == 1 and file.getsampwidth() == 2, path
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768


def main():
    parser = argparse.ArgumentParser(description="A speech peer.")
    kinds = {"faster-whisper": faster_whisper, "whisper.cpp": whisper_cpp}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--without-timestamps", action="store_true")
    arguments = parser.parse_args()

    # The answers have the pipe to themselves: what libraries print goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer):
        print(json.dumps(answer), file=answers, flush=True)

    transcribe = kinds[arguments.kind](arguments)
    say({"ready": True})
    for line in sys.stdin:
        samples = read(line.rstrip("\n"))
        begin = time.perf_counter()
        text = transcribe(samples)
        say({"text": text, "seconds": time.perf_counter() - begin})


if __name__ == "__main__":
    main()
