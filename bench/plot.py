#!/usr/bin/env python3
"""Draws benchmark figures as PNG files; run it by bench/plot, which says what is drawn."""

import argparse
import json
import pathlib
import sys

import matplotlib.pyplot as plt

OURS, PLAIN, PEER = "#1f6f8b", "#7fb7be", "#c8553d"
STAGES = ["speech_queue", "speech_encode", "prefill_queue", "prefill", "first_token", "first_write"]


def read(paths):
    figures = []
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                figures.append(json.loads(line))
            except json.JSONDecodeError as error:
                sys.exit(f"plot: {path}:{number}: {error}")
    return figures


def ratios(figures):
    """Every figure with a peer: how many times better ours is."""
    compared = [f for f in figures if f.get("ratio")]
    if not compared:
        return None
    compared.reverse()  # the first one on top
    names = [f"{f['suite']} {f['figure']}" for f in compared]
    values = [f["ratio"] for f in compared]
    picture, axes = plt.subplots(figsize=(9, 0.32 * len(names) + 1.4))
    axes.barh(names, [value - 1 for value in values], left=1, color=[OURS if value >= 1 else PEER for value in values])
    for y, value in enumerate(values):
        axes.text(max(value, 1), y, f" {value:,.0f}" if value >= 100 else f" {value:.3g}", va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times better than the peer")
    axes.set_title(compared[0].get("cpu", ""))
    axes.margins(x=0.15)
    return picture


def first_token(figures):
    """Where a turn's time goes after its end was decided, stage by stage."""
    rows = []
    for figure in figures:
        if figure["suite"] != "first_token" or figure["figure"].endswith("_p95"):
            continue
        plain = figure["figure"].endswith("_without_speculation")
        question = figure["figure"].removesuffix("_without_speculation")
        rows.append((f"{question}, {'without speculation' if plain else 'ours'}", figure["setting"]["ours"], plain))
        if plain:
            rows.append((f"{question}, composition", figure["setting"]["composition"], True))
    if not rows:
        return None
    rows.reverse()
    picture, axes = plt.subplots(figsize=(9, 0.4 * len(rows) + 1.6))
    left = [0.0] * len(rows)
    for stage, colour in zip(STAGES, plt.cm.viridis([i / len(STAGES) for i in range(len(STAGES))])):
        # A held answer's stages were over before the end of turn: nothing of them is waited for.
        widths = [side["stages_ms"][stage] if counts or stage == "first_write" else 0 for _, side, counts in rows]
        axes.barh([row[0] for row in rows], widths, left=left, color=colour, label=stage.replace("_", " "))
        left = [a + b for a, b in zip(left, widths)]
    for y, (_, side, _) in enumerate(rows):
        axes.text(left[y], y, f" {side['p50_ms']:.3g} ms", va="center", fontsize=8)
    axes.set_xlabel("ms after the end of turn was decided, medians")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes.margins(x=0.12)
    return picture


def load(figures):
    """Latency by percentile, for each load that was measured."""
    curves = []
    for figure in figures:
        if figure["suite"] != "load" or figure["figure"] == "calls_1s":  # drawn for one objective
            continue
        if "first_token" in figure:  # a line of parley-load
            curves.append((f"{figure['setting']['calls']:g} calls", figure, OURS, "-"))
            continue
        for side, colour in (("ours", OURS), ("composition", PEER)):
            for what, style in (("at_most", "-"), ("too_many", ":")):
                run = figure["setting"][side][what]
                if run:
                    curves.append((f"{side}, {run['setting']['calls']:g} calls", run, colour, style))
    if not curves:
        return None
    picture, both = plt.subplots(1, 2, figsize=(11, 4.2))
    for axes, key, title, limit in ((both[0], "first_token", "first token after the end of turn was due", 300),
                                    (both[1], "token_gap", "between tokens", 100)):
        for name, run, colour, style in curves:
            # Percentiles by how many nines they have, as HDR histograms are read.
            points = [(1 / max(1 - q, 1e-3), max(ms, 0.1)) for q, ms in run[key]["quantiles_ms"]]
            axes.plot(*zip(*points), label=name, color=colour, linestyle=style, marker=".")
        axes.axhline(limit, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([1, 2, 10, 100, 1000], ["0", "50", "90", "99", "99.9"])
        axes.set_xlabel("percentile")
        axes.set_ylabel("ms")
        axes.set_title(title)
        axes.grid(alpha=0.3)
    both[0].legend(fontsize=8)
    return picture


def memory(figures):
    """Resident memory and pages over an hour of camera."""
    series = {f["figure"]: f for f in figures if f["suite"] == "memory"}
    if "rss_growth" not in series or "kv_bytes" not in series:
        return None
    picture, axes = plt.subplots(figsize=(8, 4))
    bytes_by_minute = series["rss_growth"]["setting"]["bytes_by_minute"]
    minutes = range(1, len(bytes_by_minute) + 1)
    axes.plot(minutes, [b / 2**20 for b in bytes_by_minute], color=OURS, label="resident memory")
    axes.set_xlabel("minutes of camera")
    axes.set_ylabel("MiB")
    axes.set_ylim(bottom=0)
    pages = axes.twinx()
    pages.plot(minutes, series["kv_bytes"]["setting"]["pages_by_minute"], color=PEER, label="KV pages in use")
    pages.set_ylabel("pages")
    pages.set_ylim(bottom=0)
    picture.legend(loc="lower right", bbox_to_anchor=(0.88, 0.15))
    return picture


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    figures = read(arguments.files)
    drawn = 0
    for draw in (ratios, first_token, load, memory):
        picture = draw(figures)
        if picture is None:
            continue
        path = arguments.out / f"{draw.__name__}.png"
        picture.savefig(path, dpi=120, bbox_inches="tight")
        print(path)
        drawn += 1
    if drawn == 0:
        sys.exit("plot: there is nothing to draw in these files")


if __name__ == "__main__":
    main()
