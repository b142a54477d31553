#!/usr/bin/env python3
"""What Hugging Face `tokenizers` makes of 2,000 lines, for tests/text/tokenizer_parity_test.cc.

    tokenizer_reference.py <SmolLM2.gguf> <output file>

Needs the Python packages gguf and tokenizers. The reference tokenizer is built from the GGUF's own vocabulary and
merges, with SmolLM2's pre-tokenizer (digits split singly, then GPT-2's pattern). The lines come from a fixed seed:
sentences of many scripts, random characters of every block, digits, emoji, code, white space, names of special
tokens (with and without recognising them), and bytes that are not UTF-8. `tokenizers` takes no such bytes: there the
reference follows the definition in engine/text/tokenizer.h, each stretch through `tokenizers` on its own.

Output, little-endian: u32 count, then for each line u8 (1: special tokens are recognised), u16 bytes, the bytes,
u16 ids, the ids (u16 each), u16 bytes, the text that `tokenizers` decodes the ids to (0xFFFF and nothing: the line
itself). Then u32 count, and lists of random ids in the same form, with empty lines, for decoding alone.
"""
import random
import re
import struct
import sys
import unicodedata

import gguf
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

LINES = 2000
RANDOM_IDS = 200

SENTENCES = """The quick brown fox jumps over the lazy dog; it's 12:45 and they're late, aren't we?
Größe, Straße, Übermut und 3,14 Äpfel kosten 1.299,00 €.
Ça va très bien, l'été arrive à grands pas — n'est-ce pas ?
¿Dónde está la biblioteca? ¡Mañana será otro día!
Быстрая коричневая лиса перепрыгивает через ленивую собаку.
Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.
素早い茶色の狐がのろまな犬を飛び越える。カタカナとひらがな、漢字。
敏捷的棕色狐狸跳过了懒狗。今天是二〇二六年十一月。
빠른 갈색 여우가 게으른 개를 뛰어넘는다.
الثعلب البني السريع يقفز فوق الكلب الكسول ١٢٣٤٥.
השועל החום המהיר קופץ מעל הכלב העצלן.
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है १२३।
สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ ๑๒๓
Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng.
ተኩላው በሰነፍ ውሻ ላይ ዘለለ።
ქართული ენა და Հայերեն լեզու ერთად.""".split("\n")

CODE = ["def f(x):\n\treturn x**2  # squared", "for (int i = 0; i < 10; ++i) { a[i] += b[i] * 0x1F; }",
        "SELECT * FROM t WHERE a='b' AND c >= 1e-9;", "#include <vector>\r\n\r\nint main() {}\r\n",
        "<div class=\"x\">&nbsp;</div><!-- y -->", "if err != nil { return fmt.Errorf(\"x: %w\", err) }",
        "git commit -m 'it's' && echo $?", "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\"}", "x=>y?.z??[...w]"]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "👍🏽", "❤️", "☎", "1️⃣", "🧑🏿‍🚀", "🫠"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u180e", "\u200b", "\u0085", "\x0b",
          "\ufeff", "\u2028", "\u1680", "\u202f"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<|im_start|", "|im_end|>", "<empty_output>"]
DIGITS = ["0123456789", "٠١٢٣", "०१२", "Ⅷ", "½", "²³", "㊿", "1,000,000.50", "3e8", "0xDEADBEEF", "٣.١٤", "𝟘𝟙"]
BROKEN = [b"\xff", b"\xfe\xfe", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80\x80",
          b"\xf4\x90\x80\x80", b"\xe0\x80\xaf", b"\xf0\x80", b"\xe6\x97", b"\xa9", b"\xc3\xc3\xa9"]

CHARACTERS = [chr(c) for c in list(range(0x20, 0x3000)) + list(range(0xA000, 0xD800, 7)) +
              list(range(0xF900, 0x10000)) + list(range(0x3000, 0xA000, 61)) + list(range(0x10000, 0x20000, 17))
              if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def make_line(rng, number):
    """The line's bytes; every tenth line or so of each kind that needs care."""
    def piece():
        kind = rng.randrange(9)
        if kind <= 2:
            words = rng.choice(SENTENCES).split(" ")
            first = rng.randrange(len(words))
            return " ".join(words[first:first + rng.randint(1, 8)])
        if kind == 3:
            return rng.choice(CODE)
        if kind == 4:
            return rng.choice(EMOJI) * rng.randint(1, 2)
        if kind == 5:
            return rng.choice(SPACES) * rng.randint(1, 3)
        if kind == 6:
            return rng.choice(DIGITS)
        if kind == 7:
            return "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 12)))
        return rng.choice(["'s", "'LL", "'t", "don't", "I'D", "''", "...", "!?", "a" * rng.randint(1, 40), "-", "_"])

    parts = [piece() for _ in range(rng.randint(1, 5))]
    if number % 8 == 3:
        parts.insert(rng.randint(0, len(parts)), rng.choice(SPECIAL))
    glue = rng.choice(["", " ", " ", "  "])
    line = glue.join(parts).encode()[:400]
    line = line.decode(errors="ignore").encode()
    if number % 6 == 5:
        at = rng.randint(0, len(line))
        line = line[:at] + rng.choice(BROKEN) + line[at:]
    return line


def main():
    fields = gguf.GGUFReader(sys.argv[1]).fields
    names = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]

    def build(with_special):
        tokenizer = tokenizers.Tokenizer(models.BPE(vocab={n: i for i, n in enumerate(names)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        tokenizer.decoder = decoders.ByteLevel()
        if with_special:
            tokenizer.add_special_tokens(
                [tokenizers.AddedToken(n, special=True, normalized=False) for n, k in zip(names, kinds) if k == 3])
        return tokenizer

    plain, special = build(False), build(True)
    alphabet = byte_alphabet()

    def encode(line, tokenizer):
        ids = []
        # Bytes that are not UTF-8 come out as U+DC80 and on.
        for stretch in re.findall("[\udc80-\udcff]+|[^\udc80-\udcff]+", line.decode(errors="surrogateescape")):
            if "\udc80" <= stretch[0] <= "\udcff":
                raw = "".join(alphabet[ord(c) - 0xDC00] for c in stretch)
                ids += [token.id for token in tokenizer.model.tokenize(raw)]
            else:
                ids += tokenizer.encode(stretch, add_special_tokens=False).ids
        return ids

    rng = random.Random(20)
    out = bytearray(struct.pack("<I", LINES))
    for number in range(LINES):
        line = make_line(rng, number)
        recognise = number % 16 == 3
        ids = encode(line, special if recognise else plain)
        write(out, recognise, line, ids, plain.decode(ids, skip_special_tokens=False).encode())
    out += struct.pack("<I", RANDOM_IDS)
    normal = [i for i, k in enumerate(kinds) if k == 1]
    partial = [i for i in normal if any(alphabet_is_partial(names[i], alphabet))]
    for _ in range(RANDOM_IDS):
        ids = [rng.choice(partial if rng.random() < 0.6 else normal) for _ in range(rng.randint(1, 12))]
        write(out, False, b"", ids, plain.decode(ids, skip_special_tokens=False).encode())
    with open(sys.argv[2], "wb") as file:
        file.write(out)


def byte_alphabet():
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = iter(range(256))
    return [chr(b) if b in printable else chr(256 + next(others)) for b in range(256)]


def alphabet_is_partial(name, alphabet):
    """Yields True when the token's bytes are not UTF-8 on their own."""
    back = {c: b for b, c in enumerate(alphabet)}
    try:
        bytes(back[c] for c in name).decode()
    except UnicodeDecodeError:
        yield True


def write(out, recognise, line, ids, text):
    out += struct.pack("<BH", recognise, len(line)) + line
    out += struct.pack("<H", len(ids)) + struct.pack(f"<{len(ids)}H", *ids)
    if text == line:
        out += struct.pack("<H", 0xFFFF)
    else:
        out += struct.pack("<H", len(text)) + text


if __name__ == "__main__":
    main()
