#!/usr/bin/python3
"""Fails when the contract cannot be compiled for another language with plain protoc and the files of proto/parley/v1 alone,
or when the messages that come of it are not those on the wire. Needs Debian's python3-protobuf."""

import argparse
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
# ClientMessage{seq: 1, open{config{turn{silence_ms: 700}, generation{stop: "x"}}}}, by hand: the numbers of the fields.
ON_THE_WIRE = bytes.fromhex("0801" "1a0c" "0a0a" "2203" "28bc05" "2a03" "3a0178")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protoc", default="protoc")
    protoc = parser.parse_args().protoc
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROTO / "parley", f"{folder}/proto/parley")
        files = sorted(str(file.relative_to(f"{folder}/proto")) for file in pathlib.Path(folder, "proto").rglob("*.proto"))
        subprocess.run([protoc, "-I", f"{folder}/proto", f"--python_out={folder}", *files], check=True)
        sys.path.insert(0, folder)
        contract = importlib.import_module("parley.v1.parley_pb2")
        message = contract.ClientMessage(seq=1)
        message.open.config.turn.silence_ms = 700
        message.open.config.generation.stop.append("x")
        assert message.SerializeToString(deterministic=True) == ON_THE_WIRE, message.SerializeToString().hex()
        rules = importlib.import_module("parley.v1.field_rules_pb2").rules
        options = contract.TurnConfig.DESCRIPTOR.fields_by_name["silence_ms"].GetOptions()
        assert options.Extensions[rules].unit == "ms", options
    print(f"{len(files)} files")


if __name__ == "__main__":
    main()
