#!/usr/bin/env python3
"""Fails when the wire contract leaves something unsaid: a message or a field without a comment, a number that a
client may set in a configuration without its range and its default."""

import pathlib
import re
import sys

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto/parley/v1/parley.proto"
# What SessionConfig is made of.
CONFIGURATION = {"AudioFormat", "TurnConfig", "Interruption", "GenerationConfig", "VideoPolicy"}
FIELD = re.compile(r"(optional |repeated )?(map<.*>|[\w.]+) (\w+) = \d+;\s*(//.*)?$")


def problems(text):
    comment, scopes, found, fields = "", [], [], 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        opened = re.match(r"(message|enum|oneof|service) (\w+) \{", line)
        field = FIELD.match(line)
        where = f"{PROTO.name}:{number}: " + ".".join(name for _, name in scopes if name)
        if opened:
            if opened[1] == "message" and not comment and not line.endswith("{}"):
                found.append(f"{where}{opened[2]}: no comment")
            if not line.endswith("}"):
                scopes.append((opened[1], opened[2]))
        elif field and scopes and scopes[-1][0] == "message":
            fields += 1
            said = comment + (field[4] or "")
            name = f"{where}.{field[3]}"
            if not said:
                found.append(f"{name}: no comment")
            elif scopes[-1][1] in CONFIGURATION and field[2] in ("uint32", "uint64", "float"):
                if not re.search(r"\d to |\) to | or |[Aa]ny value", said):
                    found.append(f"{name}: no range")
                if not re.search(r"[Dd]efault|means", said):
                    found.append(f"{name}: no default")
        elif line.startswith("}"):
            scopes.pop()
        comment = comment + line if line.startswith("//") else ""
    return found, fields


def main():
    text = PROTO.read_text()
    # The check itself: what has no comment is seen.
    seen, _ = problems('// G.\nmessage GenerationConfig {\n  uint32 a = 1;\n  // B.\n  float b = 2;\n}\n')
    assert [line.split(": ")[-1] for line in seen] == ["no comment", "no range", "no default"], seen
    found, fields = problems(text)
    print(*found, sep="\n")
    print(f"{fields} fields, {len(found)} things unsaid")
    return bool(found) or fields < 100


if __name__ == "__main__":
    sys.exit(main())
