"""Prints the table of deploy/coverage. Reads what `llvm-cov export -summary-only` writes.

  coverage_table.py SOURCE < summary.json
"""

import collections
import json
import os
import pathlib
import sys

# Folders whose subfolders have lines of their own in the table.
SPLIT = ("clients", "engine", "streaming")
FOLDERS = ("base", "clients", "engine", "proto", "server", "streaming")


def folder(name):
    parts = pathlib.PurePosixPath(name).parts[:-1]
    return "/".join(parts[:2] if parts[0] in SPLIT else parts[:1])


def read_summary(summary, tree):
    """File of the tree -> (lines run, lines with code). A name may go through the build folder: build/../base/clock.cc."""
    covered = {}
    for file in summary["data"][0]["files"]:
        name = os.path.relpath(os.path.normpath(file["filename"]), tree)
        if name.split("/")[0] in FOLDERS:
            lines = file["summary"]["lines"]
            covered[name] = (lines["covered"], lines["count"])
    return covered


def table(covered, sources):
    """`covered`: file -> (lines run, lines with code). `sources`: the .cc files of the tree. Returns lines of text."""
    sums = collections.defaultdict(lambda: [0, 0])
    for name, (run, lines) in covered.items():
        for row in (folder(name), "all"):
            sums[row][0] += run
            sums[row][1] += lines
    yield f"{'folder':<24}{'lines':>8}{'run':>8}{'%':>8}"
    for row in [*sorted(sums.keys() - {"all"}), "all"]:
        run, lines = sums[row]
        yield f"{row:<24}{lines:>8}{run:>8}{100 * run / lines if lines else 0:>8.1f}"
    absent = sorted(source for source in sources if source not in covered)
    if absent:
        yield f"not in the build, and not counted: {', '.join(absent)}"


def main():
    tree = pathlib.Path(sys.argv[1])
    covered = read_summary(json.load(sys.stdin), str(tree))
    if not covered:
        sys.exit("deploy/coverage: the counts are of no source of this tree")
    sources = [path.relative_to(tree).as_posix() for name in FOLDERS for path in (tree / name).rglob("*.cc")]
    print("\n".join(table(covered, sources)))


if __name__ == "__main__":
    main()
