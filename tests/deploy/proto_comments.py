#!/usr/bin/env python3
"""Fails when the wire contract leaves something unsaid, or says it twice: a message or a field without a comment; a
number that a client may set in a configuration without its range and its default, by the field's rules or in words; a
range or a default in words beside the rules that state it."""

import pathlib
import re
import sys

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto/parley/v1/parley.proto"
CONFIGURATION = "SessionConfig"
FIELD = re.compile(r"(?:optional |repeated )?(map<.*>|[\w.]+) (\w+) = \d+\s*(?:\[\(rules\) = \{(.*)\}\])?;\s*(//.*)?$")
NUMBERS = {"float", "uint32", "uint64"}
RANGE_RULE = re.compile(r"\b(?:(?:exclusive_)?minimum|maximum|values):")
DEFAULT_RULE = re.compile(r"\bdefault_\w+:")
RANGE_IN_WORDS = re.compile(r"\d to \d|\d to Limits\.|above \d|[Aa]ny value")
DEFAULT_IN_WORDS = re.compile(r"[Dd]efault (?:\d|true|false|[A-Z]{2})|\b0 (?:means|=)")


class Field:
    def __init__(self, message, name, kind, rules, comment, where):
        self.message, self.name, self.kind, self.rules, self.comment, self.where = message, name, kind, rules, comment, where


def statements(text):
    """The lines, those of a statement that goes over several joined, each with the number of its first."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if joined else number
        joined = f"{joined} {line.strip()}".strip()
        code = joined.split("//")[0].rstrip()
        if not code or code.endswith((";", "{", "}")) or joined.startswith("//"):
            yield first, joined
            joined = ""


def read(text):
    """The fields, and the messages that have no comment."""
    comment, scopes, fields, found = "", [], [], []
    for number, line in statements(text):
        opened = re.match(r"(message|enum|oneof|service) (\w+) \{", line)
        field = FIELD.match(line)
        where = f"{PROTO.name}:{number}: " + ".".join(name for _, name in scopes if name)
        if opened:
            if opened[1] == "message" and not comment and not line.endswith("{}"):
                found.append(f"{where}{opened[2]}: no comment")
            if not line.endswith("}"):
                scopes.append((opened[1], opened[2]))
        elif field and scopes and scopes[-1][0] == "message":
            fields.append(Field(scopes[-1][1], field[2], field[1], field[3] or "", comment + (field[4] or ""),
                                f"{where}.{field[2]}"))
        elif line.startswith("}"):
            scopes.pop()
        comment = comment + line if line.startswith("//") else ""
    return fields, found


def reached_from(message, fields):
    reached, todo = set(), [message]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [field.kind for field in fields if field.message == name]
    return reached


def problems(text):
    fields, found = read(text)
    configuration = reached_from(CONFIGURATION, fields)
    for field in fields:
        by_rules, in_words = RANGE_RULE.search(field.rules), RANGE_IN_WORDS.search(field.comment)
        default_by_rules, default_in_words = DEFAULT_RULE.search(field.rules), DEFAULT_IN_WORDS.search(field.comment)
        required = "equired" in field.comment
        if not field.comment:
            found.append(f"{field.where}: no comment")
        elif field.message in configuration and field.kind in NUMBERS:
            if not by_rules and not in_words:
                found.append(f"{field.where}: no range")
            if not default_by_rules and not default_in_words and not required:
                found.append(f"{field.where}: no default")
        if by_rules and in_words:
            found.append(f"{field.where}: its range is in its rules and in words: {in_words[0]}")
        if default_by_rules and default_in_words:
            found.append(f"{field.where}: its default is in its rules and in words: {default_in_words[0]}")
    return found, len(fields)


def main():
    text = PROTO.read_text()
    # The check itself: what is unsaid, or said twice, is seen.
    seen, _ = problems("""// G.
message SessionConfig {
  uint32 a = 1;
  // B.
  float b = 2;
  // 1 to 2. Default 1.
  float c = 3
      [(rules) = {maximum: 2 default_number: 1}];
  // D.
  D d = 4;
  // E.
  uint32 e = 5 [(rules) = {unit: "ms"}];
  // F.
  uint32 f = 6 [(rules) = {exclusive_minimum: 0 default_number: 1}];
  // 1 to 2. Default 1.
  float g = 7;
}
// D.
message D {
  // A.
  uint64 a = 1;
}
// Not of a configuration.
message E {
  // A.
  uint64 a = 1;
}
""")
    assert [line.split(": ", 1)[1] for line in seen] == [
        "SessionConfig.a: no comment", "SessionConfig.b: no range", "SessionConfig.b: no default",
        "SessionConfig.c: its range is in its rules and in words: 1 to 2",
        "SessionConfig.c: its default is in its rules and in words: Default 1",
        "SessionConfig.e: no range", "SessionConfig.e: no default", "D.a: no range", "D.a: no default"], seen
    found, fields = problems(text)
    print(*found, sep="\n")
    print(f"{fields} fields, {len(found)} things unsaid or said twice")
    return bool(found) or fields < 100


if __name__ == "__main__":
    sys.exit(main())
