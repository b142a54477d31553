#!/usr/bin/env python3
"""Fails when a file uses a word that retired_words.tsv has retired: a name that was coined where the field has a word.

A line of the table: the word, a tab, the folders or files that are held to it (comma-separated; `-` before a name takes
it out again), a tab, what to write instead. A word of small letters is found in any case, as a whole word and as a part
of a name (tower: tower, audio_tower, AudioTower); one with capitals as it stands.
"""

import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "bench", "clients", "cmake", "deploy", "docs", "engine", "proto", "server", "streaming", "tests")
TABLE = pathlib.Path(__file__).with_suffix(".tsv")


def pattern(word):
    if not word.islower():
        return re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![a-z0-9])")
    inner = re.escape(word)
    # Words of small letters between anything that is no letter; or a capital that begins one, in CamelCase.
    return re.compile(rf"(?<![A-Za-z]){inner}(?![a-z])|{re.escape(word[0].upper() + word[1:])}(?![a-z])")


def read_table(text):
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 3:
            raise SystemExit(f"{TABLE.name}:{number}: {len(fields)} columns; it takes word, scope, instead")
        word, scope, instead = fields
        names = [name.strip() for name in scope.split(",")]
        yield word, [n for n in names if n[0] != "-"], [n[1:] for n in names if n[0] == "-"], instead


def holds(path, names):
    return any(name == "." or path == name or path.startswith(name + "/") for name in names)


def findings(rules, path, text):
    for word, inside, outside, instead in rules:
        if not holds(path, inside) or holds(path, outside):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern(word).search(line):
                yield f"{path}:{number}: '{word}' is retired: {instead}"


def main():
    rules = list(read_table(TABLE.read_text()))
    found, read = [], 0
    for file in sorted([SOURCE / "README.md", *(file for top in FOLDERS for file in (SOURCE / top).rglob("*"))]):
        path = file.relative_to(SOURCE).as_posix()
        if not file.is_file() or "__pycache__" in path or file in (TABLE, pathlib.Path(__file__).resolve()):
            continue
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue  # weights, pictures, sound
        read += 1
        found += findings(rules, path, text)

    # The rule itself: what it must find, and what it must not.
    tower = [("tower", ["engine"], ["engine/bundle"], "encoder"), ("TakeUp", ["."], [], "Resume")]
    assert list(findings(tower, "engine/a.h", "std::string audio_tower;"))
    assert list(findings(tower, "engine/a.h", "class AudioTower;"))
    assert list(findings(tower, "base/b.h", "void TakeUp();"))
    assert not list(findings(tower, "engine/bundle/manifest.h", "audio_tower"))
    assert not list(findings(tower, "engine/a.h", "towers towering; TakeUpdates()"))

    print(*found, sep="\n")
    print(f"{read} files, {len(rules)} words, {len(found)} uses")
    return 1 if found or read == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
