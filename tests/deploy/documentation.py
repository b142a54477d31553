#!/usr/bin/env python3
"""Fails when the pages for people (README.md, docs/) say what is not so: a link that leads nowhere, a path in the tree that
is not there, a flag, a metric or an error code that docs/OPERATIONS.md leaves out, makes up, or gives another default."""

import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
OPERATIONS = "docs/OPERATIONS.md"

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.MULTILINE)
# A path from the top of the tree, of a source, a script or a folder; without what the build makes.
TOPS = r"(?:\.ci|base|bench|clients|cmake|deploy|docs|engine|proto|server|streaming|tests)"
PATH = re.compile(rf"{TOPS}/[\w./*-]*")


def heading_anchors(text):
    """As GitHub makes them of headings."""
    anchors, seen = set(), {}
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        anchors.add(anchor if count == 0 else f"{anchor}-{count}")
    return anchors


def wrong_links(page, text, read):
    """`read`: a path in the tree -> its text, "" for a folder, None where there is nothing."""
    for target in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue  # the web's
        path, _, anchor = target.partition("#")
        linked = page if not path else (pathlib.PurePosixPath(page).parent / path).as_posix()
        linked = re.sub(r"(?:^|(?<=/))[^/.]+/\.\./", "", linked)
        there = text if linked == page else read(linked)
        if there is None:
            yield f"{page}: the link to {target} leads nowhere"
        elif anchor and anchor not in heading_anchors(there):
            yield f"{page}: {target}: there is no such heading"


def wrong_paths(page, text, exists):
    for code in CODE.findall(FENCE.sub("", text)):
        word = code.split(" ")[0].removeprefix("./")
        if PATH.fullmatch(word) and not exists(word):
            yield f"{page}: there is no {word}"


def rows(text, heading):
    """The rows of the tables under this heading and those below it: first cell -> the others."""
    level = heading.index(" ")
    begin = re.search(rf"^{re.escape(heading)}$", text, re.MULTILINE)
    if not begin:
        return {}
    rest = text[begin.end():]
    end = re.search(rf"^#{{1,{level}}} ", rest, re.MULTILINE)
    found = {}
    for name, cells in ROW.findall(rest[:end.start()] if end else rest):
        found[name] = [cell.strip() for cell in cells.split("|")]
    return found


def differences(what, documented, real):
    """`real`, `documented`: name -> default, "" for none."""
    for name in sorted(real.keys() - documented.keys()):
        yield f"{OPERATIONS}: {what} {name} is missing"
    for name in sorted(documented.keys() - real.keys()):
        yield f"{OPERATIONS}: there is no {what} {name}"
    for name in sorted(real.keys() & documented.keys()):
        if documented[name] != real[name]:
            yield f"{OPERATIONS}: {what} {name}: the default is {real[name] or 'none'}, not {documented[name] or 'none'}"


def server_flags():
    """By deploy/server.toml, which a test of the server holds to --help; a file cannot set --config."""
    flags = {"--config": ""}
    for comment, name, value in re.findall(r"^(# )?([a-z-]+) = (.*)$", (SOURCE / "deploy/server.toml").read_text(),
                                           re.MULTILINE):
        flags[f"--{name}"] = "" if comment else value.strip('"')
    return flags


def edge_flags():
    usage = subprocess.run([sys.executable, SOURCE / "deploy/envoy/run.py", "envoy", "--help"], check=True, text=True,
                           capture_output=True, env={"COLUMNS": "1000"}).stdout
    flags = {}
    for name, text in re.findall(r"^  (--[a-z-]+)(.*(?:\n {8}.*)*)$", usage, re.MULTILINE):
        default = re.search(r"\(default (.*)\)$", text)
        flags[name] = default[1] if default else ""
    flags["--threads"] = "2"  # or the one processor that there is
    return flags


def metrics():
    text = "".join((SOURCE / "server" / file).read_text() for file in ("metrics.cc", "scraped_metrics.cc"))
    return {name: "" for name in re.findall(r'"(parley_\w+)"', text)}


def codes():
    proto = (SOURCE / "proto/parley/v1/parley.proto").read_text()
    values = re.search(r"^enum Code \{(.*?)^\}", proto, re.MULTILINE | re.DOTALL)[1]
    return {name: "" for name in re.findall(r"^  ([A-Z]\w*) = [1-9]", values, re.MULTILINE)}


def operations(text):
    def table(heading, cell=None):
        return {name: "" if cell is None else cells[cell].strip("`") for name, cells in rows(text, heading).items()}

    server = {name: default for name, default in table("## Flags", 0).items() if name.startswith("--")}
    yield from differences("flag", server, server_flags())
    edge = {name: default for name, default in table("## In public: the edge", 0).items()}
    yield from differences("flag of deploy/edge", edge, edge_flags())
    shown = {name: "" for name in table("## Metrics") if name.startswith("parley_")}
    yield from differences("metric", shown, metrics())
    yield from differences("code", table("## Errors that a client sees"), codes())


def check_itself():
    tree = {"docs/a.md": "# One thing\n", "base/clock.h": ""}
    page = "[a](a.md#one-thing) [b](../base/clock.h) [web](https://example.com) `[x](y)`"
    assert not list(wrong_links("docs/b.md", page, tree.get))
    assert len(list(wrong_links("docs/b.md", "[a](a.md#two) [b](c.md) [c](#none)", tree.get))) == 3
    assert not list(wrong_paths("docs/b.md", "`base/clock.h` `./base/clock.h --now` `build/x` `<x>/y`", tree.__contains__))
    assert list(wrong_paths("docs/b.md", "`base/clok.h`", tree.__contains__))
    table = "## A\n| `x` | 1 | u |\n### B\n| `y` | 2 | u |\n## C\n| `z` | 3 | u |\n"
    assert rows(table, "## A") == {"x": ["1", "u"], "y": ["2", "u"]}
    assert len(list(differences("flag", {"x": "1", "y": ""}, {"x": "2", "z": ""}))) == 3


def main():
    check_itself()

    def read(path):
        file = SOURCE / path
        return file.read_text() if file.is_file() else "" if file.is_dir() else None

    def exists(path):
        return any(SOURCE.glob(path)) if "*" in path else (SOURCE / path).exists()

    found = []
    pages = {page.relative_to(SOURCE).as_posix(): page.read_text()
             for page in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]}
    for page, text in pages.items():
        found.extend(wrong_links(page, text, read))
        found.extend(wrong_paths(page, text, exists))
    found.extend(operations(pages[OPERATIONS]))
    print(*found, sep="\n")
    print(f"{len(pages)} pages, {len(found)} things that are not so")
    return bool(found) or len(server_flags()) < 40 or len(edge_flags()) < 15 or len(metrics()) < 40 or len(codes()) < 15


if __name__ == "__main__":
    sys.exit(main())
