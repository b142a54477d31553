#!/usr/bin/env python3
"""Fails when a C++ file is not as clang-format-14 with the tree's .clang-format would write it."""

import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "bench", "clients", "cmake", "engine", "proto", "server", "streaming", "tests")


def main():
    files = sorted(str(file.relative_to(SOURCE)) for folder in FOLDERS for file in (SOURCE / folder).rglob("*")
                   if file.suffix in (".h", ".cc"))
    result = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *files], cwd=SOURCE, text=True,
                            stderr=subprocess.PIPE)
    wrong = sorted({line.split(":")[0] for line in result.stderr.splitlines() if ": error:" in line})
    print(*wrong, sep="\n")
    print(f"{len(files)} files, {len(wrong)} to format: clang-format-14 -i FILE")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
