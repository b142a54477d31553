#!/usr/bin/env python3
"""Fails when a file includes what its folder may not: arrows between folders point one way, and one heavy
library has one home. The tables below are the design; change them there first."""

import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# Folder -> the folders it may include beside its own. The longest matching name counts; single files have no rules of
# their own.
ARROWS = {
    "base": [],
    "proto/constants": [],
    "proto/rules": [],
    "engine/api": ["base", "proto/constants"],
    "engine/bundle": ["base", "engine/api", "engine/text"],
    "engine/kernels": ["base"],
    "engine/model": ["base", "engine/api", "engine/schedule", "engine/text"],
    "engine/whisper": ["base", "engine/api", "engine/model", "engine/text"],
    "engine/cpu": ["base", "engine/api", "engine/bundle", "engine/kernels", "engine/model", "engine/schedule",
                   "engine/text", "engine/whisper"],
    "engine/text": ["base", "engine/api"],
    "engine/schedule": ["base", "engine/api"],
    "engine/silero": ["base", "engine/api", "engine/bundle", "engine/kernels"],
    "engine/runtime": ["base", "engine/api", "engine/model", "engine/schedule", "engine/text"],
    "engine/fake": ["base", "engine/api", "engine/model", "engine/runtime", "engine/schedule", "engine/text"],
    "engine/torch": ["base", "engine/api", "engine/bundle", "engine/model", "engine/schedule", "engine/text",
                     "engine/whisper"],
    "engine/assembly": ["base", "engine/api", "engine/bundle", "engine/cpu", "engine/kernels", "engine/model",
                        "engine/runtime", "engine/silero", "engine/text", "engine/whisper"],
    "streaming/audio": ["base", "engine/api", "proto/constants"],
    "streaming/video": ["base", "engine/api", "proto/constants"],
    "streaming/decoders": ["base", "engine/api", "streaming/video"],
    "streaming/api": ["base", "engine/api", "proto/constants", "streaming/audio", "streaming/video"],
    "streaming/turn": ["base", "engine/api", "streaming/api", "streaming/audio"],
    "streaming/call": ["base", "engine/api", "streaming"],
    "server": ["base", "engine/api", "proto/rules", "streaming"],
    "server/parley_server": ["base", "engine/api", "engine/assembly", "engine/bundle", "engine/fake", "engine/torch",
                             "server"],
    "clients": ["base", "proto/rules"],
}

# Header -> the folders it may be included in.
HOMES = {
    r"grpc|grpcpp": ["server", "clients"],
    r"google/protobuf|parley/v1": ["proto/rules", "server", "clients"],
    r"libav\w*|libsw\w*|opus": ["streaming/audio", "streaming/video", "clients"],
    r"vpx": ["streaming/video"],
    r"seccomp\.h": ["streaming/decoders"],
    r"ATen|torch|c10": ["engine/torch"],
    r"pcre2\.h|unicode": ["engine/text"],
    r"prometheus": ["server"],
    r"spdlog": ["server", "clients"],
    r"CLI": ["server", "clients"],
    r"nlohmann": ["engine/bundle", "engine/cpu", "engine/text", "engine/silero", "engine/whisper", "server",
                  "clients"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


def folder_of(path):
    """The longest name of ARROWS that holds the path; None outside of them."""
    names = [name for name in ARROWS if path == name or path.startswith(name + "/")]
    return max(names, key=len, default=None)


def inside(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def wrong_includes(path, text):
    folder = folder_of(path)
    for header in INCLUDE.findall(text):
        target = folder_of(header)
        if target is not None and target != folder and not inside(header, [folder, *ARROWS[folder]]):
            yield f"{path}: includes {header}; {folder} may include {', '.join(ARROWS[folder]) or 'nothing else'}"
        for pattern, homes in HOMES.items():
            if re.match(rf"(?:{pattern})(?:/|$)", header) and not inside(path, homes):
                yield f"{path}: includes {header}, whose home is {', '.join(homes)}"


def main():
    found, files = [], 0
    for folder in {*ARROWS, *(target for targets in ARROWS.values() for target in targets)}:
        if not (SOURCE / folder).is_dir():
            found.append(f"{folder}: in the table, and no folder")
    for top in ("base", "proto", "engine", "streaming", "server", "clients"):
        for file in sorted((SOURCE / top).rglob("*")):
            if file.suffix in (".h", ".cc", ".inc"):
                files += 1
                path = file.relative_to(SOURCE).as_posix()
                if folder_of(path) is None:
                    found.append(f"{path}: its folder is not in the table of {pathlib.Path(__file__).name}")
                else:
                    found.extend(wrong_includes(path, file.read_text()))

    # The rule itself: what it must catch.
    assert list(wrong_includes("base/clock.h", '#include "engine/api/engine.h"'))
    assert list(wrong_includes("streaming/turn/turn.h", '#include <grpcpp/server.h>'))
    assert list(wrong_includes("engine/api/engine.h", "#include <ATen/ATen.h>"))
    assert not list(wrong_includes("streaming/call/live_call.h", '#include "engine/api/engine.h"'))

    print(*found, sep="\n")
    print(f"{files} files, {len(found)} forbidden includes")
    return 1 if found or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
