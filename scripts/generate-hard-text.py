#!/usr/bin/env python3
"""Makes strings that are hard on a tokenizer, the same ones for the same seed.

Each string is a few pieces from different makers: words and log text, scripts from all over Unicode,
stacked combining marks (also out of canonical order), emoji sequences, white space and control
characters of every kind, private use, unassigned and non-characters, ideographs in and next to BERT's
ranges, Hangul in both forms, letters whose case mapping is special, punctuation, very long words, and
special tokens of BERT in and out of place.

  scripts/generate-hard-text.py [--count 20000] [--seed 42] [--format json|framed] > FILE

json: one JSON array of strings. framed: for each string its UTF-8 length as a little-endian 32-bit
number, then its UTF-8. As a module: `hard_texts(count, seed)`.
"""

import argparse
import json
import random
import struct
import sys

SCRIPTS = [
    (0x00A0, 0x024F), (0x0250, 0x02FF), (0x0370, 0x03FF), (0x0400, 0x052F), (0x0530, 0x058F),
    (0x0590, 0x05FF), (0x0600, 0x06FF), (0x0700, 0x07FF), (0x0900, 0x0DFF), (0x0E00, 0x0FFF),
    (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1200, 0x139F), (0x13A0, 0x13FF), (0x1680, 0x16FF),
    (0x1780, 0x18AF), (0x1C80, 0x1CFF), (0x1D00, 0x1DBF), (0x1E00, 0x1FFF), (0x2C00, 0x2DFF),
    (0x3040, 0x30FF), (0xA000, 0xA4CF), (0xA640, 0xA6FF), (0xAB30, 0xABFF), (0xFB00, 0xFDFF),
    (0xFE70, 0xFEFF), (0xFF00, 0xFFEF), (0x10000, 0x100FF), (0x10400, 0x1044F), (0x11000, 0x1107F),
    (0x11100, 0x111FF), (0x1D400, 0x1D7FF), (0x1E900, 0x1E95F),
]
MARKS = [(0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05BD), (0x064B, 0x065F), (0x0F71, 0x0F84),
         (0x1AB0, 0x1ABE), (0x1DC0, 0x1DFF), (0x20D0, 0x20F0), (0x302A, 0x302F), (0xFE20, 0xFE2F),
         (0x1D165, 0x1D172), (0x16FF0, 0x16FF1)]
SPACES = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x2010), 0x2028,
          0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
CONTROLS = [*range(0x00, 0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, *range(0x200B, 0x2010),
            *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFD]
ODD = [0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF, 0xF0000, 0x100000, 0x0378, 0x05FF,
       0xE0001, 0xE007F, 0xE0100, 0x2FE0]
IDEOGRAPHS = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B91F),
              (0x2B920, 0x2CEAF), (0x2CEB0, 0x2EBE0), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F), (0x30000, 0x3134A),
              (0x2E80, 0x2FDF), (0x3000, 0x303F)]
SPECIAL_CASES = "İıſßẞΣσςǅǈǋǲŉǰΐΰևẖẗẘẙẚᾼῼKÅΩϴℵﬁﬂﬀſtⅣⓐꞌᲐᏸꭰ𐐀𞤀"
EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "☺️", "🧑‍💻", "❤️‍🔥", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "😀"]
LOG = ["2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster:", "0x7fffdeadbeef",
       "/var/log/nginx/error.log", "java.lang.NullPointerException", "at com.example.Foo$Bar.<init>(Foo.java:42)",
       "user=root rhost=218.188.2.4", "blk_-1608999687919862906", "HTTP/1.1\" 503", "E11000 duplicate key",
       "connection_pool_timeout", "naïve café résumé", "don't", "C++/C#", "a.b.c.d", "___", "--", "..."]
TOKENS = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[cls]", "[ SEP ]", "[[MASK]]", "[unused0]", "##ing", "##"]


def pick(rng, ranges):
    low, high = rng.choice(ranges)
    return chr(rng.randint(low, high))


def makers():
    def several(one, low, high):
        return lambda rng: "".join(one(rng) for _ in range(rng.randint(low, high)))

    def script(rng):
        low, high = rng.choice(SCRIPTS)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))

    def stacked(rng):
        base = rng.choice(["a", "E", "é", "Ω", "и", "ב", "क", "가", "", " ", "-", "中", "ệ", "Ǻ", "\u0344", "\u0f73"])
        return base + "".join(pick(rng, MARKS) for _ in range(rng.randint(1, 6)))

    def anything(rng):
        c = rng.randint(0, 0x10FFFF - 0x800)
        return chr(c if c < 0xD800 else c + 0x800)

    def hangul(rng):
        if rng.random() < 0.5:
            return chr(rng.randint(0xAC00, 0xD7A3))
        return pick(rng, [(0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2), (0xA960, 0xA97C), (0xD7B0, 0xD7FB)])

    def long_word(rng):
        unit = rng.choice(["a", "xyz", "é", "中", "ab1", "\u0301", "e\u0301", "İ", "한"])
        return unit * (rng.randint(95, 105) // max(1, len(unit)) + rng.randint(0, 3))

    def word(rng):
        letters = "etaoinshrdlucmfwypvbgkjqxzETAOIN0123456789"
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, 12)))

    return [
        (6, word), (6, lambda rng: rng.choice(LOG)), (5, script), (5, stacked),
        (3, lambda rng: rng.choice(EMOJI)), (4, several(lambda rng: chr(rng.choice(SPACES)), 1, 3)),
        (3, several(lambda rng: chr(rng.choice(CONTROLS)), 1, 3)), (2, lambda rng: chr(rng.choice(ODD))),
        (3, several(lambda rng: pick(rng, IDEOGRAPHS), 1, 4)), (2, several(hangul, 1, 5)),
        (2, several(lambda rng: rng.choice(SPECIAL_CASES), 1, 4)), (3, several(anything, 1, 6)),
        (4, several(lambda rng: chr(rng.randint(0x21, 0x2F)), 1, 4)),
        (2, several(lambda rng: pick(rng, [(0x2010, 0x205E), (0x3001, 0x303F), (0xFE10, 0xFE6B)]), 1, 3)),
        (1, long_word), (3, lambda rng: rng.choice(TOKENS)),
    ]


def hard_texts(count=20000, seed=42):
    rng = random.Random(seed)
    weights, functions = zip(*makers())
    edge = ["", " ", "\0", "\u0301", "[CLS]", "a" * 100, "a" * 101, "é" * 100, "中", "\u200d", "\ufeffa", "\r\n"]
    texts = edge[:count]
    while len(texts) < count:
        glue = rng.choice(["", " ", " ", "  "])
        texts.append(glue.join(rng.choices(functions, weights)[0](rng) for _ in range(rng.randint(1, 14))))
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--format", choices=["json", "framed"], default="json")
    options = parser.parse_args()
    texts = hard_texts(options.count, options.seed)
    if options.format == "json":
        json.dump(texts, sys.stdout)
        return
    for text in texts:
        encoded = text.encode()
        sys.stdout.buffer.write(struct.pack("<I", len(encoded)) + encoded)


if __name__ == "__main__":
    main()
