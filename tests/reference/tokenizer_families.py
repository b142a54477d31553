#!/usr/bin/env python3
"""What Llama 3's and Qwen2's own tokenizers make of 400 lines, for tests/text/tokenizer_family_test.cc.

    tokenizer_families.py <llama_models wheel> <qwen_agent wheel>

Needs the package tiktoken, and the wheels of llama-models 0.3.0 and qwen-agent 0.0.34 from PyPI, which ship the
vocabularies and the splitting expressions. The lines are every fifth of tokenizer_smollm2.bin that is UTF-8. Writes to
tests/reference/tokenizers, for each family, NAME/tokenizer.json (Hugging Face's form, with the original ids, but only
the tokens that are part of some line: no other can come up) and NAME/ids.bin (for each line u16 bytes, the bytes, u16
ids, the ids as u32; little-endian).
"""
import base64
import json
import pathlib
import re
import struct
import sys
import zipfile

import tiktoken

HERE = pathlib.Path(__file__).resolve().parent


def lines():
    data, at = (HERE / "tokenizer_smollm2.bin").read_bytes(), 4
    for number in range(struct.unpack_from("<I", data)[0]):
        size = struct.unpack_from("<BH", data, at)[1]
        line, at = data[at + 3:at + 3 + size], at + 3 + size
        at += 2 + 2 * struct.unpack_from("<H", data, at)[0]
        size = struct.unpack_from("<H", data, at)[0]
        at += 2 if size == 0xFFFF else 2 + size
        try:
            line.decode()
        except UnicodeDecodeError:
            continue
        if number % 5 == 0:
            yield line


def merged_from(token, ranks):
    """The two tokens that byte-pair encoding joins last; None for a token that it never makes (it stands for a
    whole piece alone: Llama 3 has some)."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        rank, i = min((ranks.get(parts[i] + parts[i + 1], 1 << 30), i) for i in range(len(parts) - 1))
        if rank >= ranks[token]:
            return None
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def family(name, ranks, pattern):
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    chosen = list(lines())
    within = {line[i:i + length] for line in chosen for i in range(len(line)) for length in range(1, 33)}
    kept = {token: rank for token, rank in ranks.items() if len(token) == 1 or token in within}
    longest = max(len(token) for token in kept)
    assert longest < 33, longest
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = iter(range(256))
    alphabet = [chr(b) if b in printable else chr(256 + next(others)) for b in range(256)]
    text = lambda token: "".join(alphabet[b] for b in token)
    pairs = (merged_from(token, ranks) for token in sorted(kept, key=kept.get) if len(token) > 1)
    merges = [[text(part) for part in pair] for pair in pairs if pair]
    folder = HERE / "tokenizers" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps({
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "model": {"type": "BPE", "ignore_merges": name == "llama3",
                  "vocab": {text(token): rank for token, rank in kept.items()}, "merges": merges}},
        ensure_ascii=False, separators=(",", ":")))
    out = bytearray()
    for line in chosen:
        ids = encoding.encode_ordinary(line.decode())
        assert all(encoding.decode_single_token_bytes(i) in kept for i in ids)
        out += struct.pack("<H", len(line)) + line + struct.pack(f"<H{len(ids)}I", len(ids), *ids)
    (folder / "ids.bin").write_bytes(out)
    print(name, len(chosen), "lines,", len(kept), "of", len(ranks), "tokens")


def read(wheel, ranks_file, source_file, pattern):
    with zipfile.ZipFile(wheel) as archive:
        rows = (line.split() for line in archive.read(ranks_file).splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in rows}
        return ranks, re.search(pattern, archive.read(source_file).decode())[1]


def main():
    family("llama3", *read(sys.argv[1], "llama_models/llama3/tokenizer.model", "llama_models/llama3/tokenizer.py",
                           r'pat_str = r"(.*)"'))
    family("qwen2", *read(sys.argv[2], "qwen_agent/utils/qwen.tiktoken", "qwen_agent/utils/tokenization_qwen.py",
                          r'PAT_STR = r"""(.*)"""'))


if __name__ == "__main__":
    main()
