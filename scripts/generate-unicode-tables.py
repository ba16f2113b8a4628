#!/usr/bin/env python3
"""Writes Sources/CUnicode/UnicodeTables.c, the character tables of the tokenizer.

The tokenizer promises the tokens of Hugging Face `tokenizers`, which takes its character properties
from several Rust crates, each frozen at another version of Unicode:

  removed, non-spacing mark, punctuation   crate unicode_categories 0.1       (Unicode 8 era data)
  canonical decomposition, combining class crate unicode-normalization-alignments 0.1, Unicode 9.0
  lower case, white space                  Rust's standard library
  word character (single-word tokens)      crate regex, `\\w`

No single Unicode version therefore gives the right answers. This script asks the peer itself about
every code point, one property at a time, writes the answers down, and prints how they differ from the
`unicodedata` of the Python that runs it. Needs: pip install tokenizers==0.23.3

  scripts/generate-unicode-tables.py            writes the tables
  scripts/generate-unicode-tables.py --report   prints the comparison only
"""

import sys
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

LIMIT = 0x110000
BLOCK = 128
REMOVED, SPACE, IDEOGRAPH, MARK, PUNCTUATION, DECOMPOSES, LOWERS, REORDERS = (1 << i for i in range(8))

# The ranges BERT surrounds with spaces. 0x2B820..0x2B91F is missing in BERT's own list, and so here.
IDEOGRAPHS = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
              (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


def code_points():
    return (c for c in range(LIMIT) if not 0xD800 <= c < 0xE000)


def bert(clean=False, ideographs=False, strip=False, lower=False):
    return normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=ideographs,
                                      strip_accents=strip, lowercase=lower).normalize_str


def probe():
    """Asks the peer; returns flags per code point and the three maps."""
    flags = bytearray(LIMIT)
    decompositions, lowers, classes = {}, {}, {}
    clean, strip, lower, ideographs = bert(clean=True), bert(strip=True), bert(lower=True), bert(ideographs=True)
    nfd = normalizers.NFD().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    white = pre_tokenizers.WhitespaceSplit().pre_tokenize_str
    for c in code_points():
        s = chr(c)
        cleaned = clean(s)
        if cleaned == "":
            flags[c] |= REMOVED
        if not white(s):
            flags[c] |= SPACE
            assert cleaned in ("", " "), hex(c)
        else:
            assert cleaned in ("", s), hex(c)
            if len(split("a" + s + "b")) == 3:
                flags[c] |= PUNCTUATION
        if ideographs(s) != s:
            flags[c] |= IDEOGRAPH
            assert ideographs(s) == " " + s + " "
        assert bool(flags[c] & IDEOGRAPH) == any(a <= c <= b for a, b in IDEOGRAPHS), hex(c)
        decomposed = nfd(s)
        if decomposed != s:
            flags[c] |= DECOMPOSES
            if not 0xAC00 <= c <= 0xD7A3:
                decompositions[c] = [ord(d) for d in decomposed]
        elif strip(s) == "":
            flags[c] |= MARK
        lowered = lower(s)
        if lowered != s:
            flags[c] |= LOWERS
            lowers[c] = [ord(d) for d in lowered]
        # A mark with a class above 0 goes before U+0345 (class 240) or is U+0345.
        if c == 0x345 or nfd("a\u0345" + s)[1] != "\u0345":
            if not flags[c] & DECOMPOSES:
                flags[c] |= REORDERS
    # A combining class shows only in the order of marks. One known mark for each class orders the rest.
    known = {}
    for c in code_points():
        if flags[c] & REORDERS and unicodedata.combining(chr(c)):
            known.setdefault(unicodedata.combining(chr(c)), chr(c))
    for c in code_points():
        if flags[c] & REORDERS:
            expected = unicodedata.combining(chr(c))
            below = [k for k, mark in known.items() if nfd("a" + chr(c) + mark) != "a" + chr(c) + mark]
            above = [k for k, mark in known.items() if nfd("a" + mark + chr(c)) != "a" + mark + chr(c)]
            assert all(k < expected for k in below) and all(k > expected for k in above), hex(c)
            assert len(below) + len(above) == len(known) - 1, hex(c)
            classes[c] = expected
    return flags, decompositions, lowers, classes


def probe_word_characters():
    """Code points before which the peer refuses a single-word token."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("~~", single_word=True, normalized=False)])
    found = []
    points = list(code_points())
    for at in range(0, len(points), 4096):
        part = [c for c in points[at:at + 4096] if c != ord("~")]
        text = "".join(chr(c) + "~~ " for c in part)
        taken = {s for i, (s, _) in zip(*(lambda e: (e.ids, e.offsets))(tokenizer.encode(text))) if i == 1}
        found += [c for k, c in enumerate(part) if k * 4 + 1 not in taken]
    return found


def ranges(points):
    out = []
    for p in sorted(points):
        if out and out[-1][1] == p - 1:
            out[-1][1] = p
        else:
            out.append([p, p])
    return out


def report(flags, decompositions, lowers, word):
    def compare(name, mine, theirs):
        extra, missing = sorted(mine - theirs), sorted(theirs - mine)
        print(f"{name}: {len(mine)} code points; against unicodedata {unicodedata.unidata_version}:"
              f" {len(extra)} more, {len(missing)} fewer")
        for label, part in (("more", extra), ("fewer", missing)):
            shown = [f"{a:04X}" + (f"-{b:04X}" if a != b else "") for a, b in ranges(part)]
            if shown:
                print(f"  {label}: {' '.join(shown[:24])}{' …' if len(shown) > 24 else ''}")

    everything = list(code_points())
    category = {c: unicodedata.category(chr(c)) for c in everything}
    def has(bit: int) -> set[int]:
        return {c for c in everything if flags[c] & bit}

    compare("removed", has(REMOVED), {c for c in everything if category[c][0] == "C" and c not in (9, 10, 13)})
    compare("white space", has(SPACE), {c for c in everything if chr(c).isspace()})
    compare("non-spacing mark", has(MARK), {c for c in everything if category[c] == "Mn"
                                            and unicodedata.normalize("NFD", chr(c)) == chr(c)})
    compare("punctuation", has(PUNCTUATION), {c for c in everything if category[c][0] == "P"})
    compare("decomposes", has(DECOMPOSES), {c for c in everything if unicodedata.normalize("NFD", chr(c)) != chr(c)})
    compare("combining class > 0", has(REORDERS), {c for c in everything if unicodedata.combining(chr(c))
                                                   and unicodedata.normalize("NFD", chr(c)) == chr(c)})
    compare("lower-cases", has(LOWERS), {c for c in everything if chr(c).lower() != chr(c)})
    compare("word", set(word), {c for c in everything if category[c][0] in "LM" or category[c] in ("Nd", "Nl", "Pc")})


def rows(values, width=100):
    line, out = " ", []
    for v in values:
        item = f" {v},"
        if len(line) + len(item) > width:
            out.append(line)
            line = " "
        line += item
    return "\n".join(out + [line])


def array(kind, name, values):
    return f"static const {kind} {name}[{len(values)}] = {{\n{rows(values)}\n}};\n"


def write(path, flags, decompositions, lowers, classes, word):
    blocks, first = [], []
    index = {}
    for at in range(0, LIMIT, BLOCK):
        block = bytes(flags[at:at + BLOCK])
        if block not in index:
            index[block] = len(blocks)
            blocks.append(block)
        first.append(index[block])
    assert len(blocks) < 65536
    keys, starts, targets = [], [], []
    for c in sorted(decompositions):
        keys.append(c)
        starts.append(len(targets))
        targets += decompositions[c]
    starts.append(len(targets))
    lower_keys, lower_values = sorted(lowers), []
    for c in lower_keys:
        # Only U+0130 grows: it becomes `i` and U+0307, which the reader of this table knows.
        assert len(lowers[c]) == 1 or (c == 0x130 and lowers[c] == [0x69, 0x307]), hex(c)
        lower_values.append(lowers[c][0])
    class_ranges = []
    for c in sorted(classes):
        if class_ranges and class_ranges[-1][1] == c - 1 and class_ranges[-1][2] == classes[c]:
            class_ranges[-1][1] = c
        else:
            class_ranges.append([c, c, classes[c]])
    body = f"""// Written by scripts/generate-unicode-tables.py from the answers of tokenizers {tokenizers.__version__};
// that script says which Unicode version each property comes from. Do not edit.
#include "CUnicode.h"

{array("uint16_t", "first", first)}
{array("uint8_t", "flags", [b for block in blocks for b in block])}
{array("uint32_t", "decomposition_keys", keys)}
{array("uint16_t", "decomposition_starts", starts)}
{array("uint32_t", "decomposition_targets", targets)}
{array("uint32_t", "lower_keys", lower_keys)}
{array("uint32_t", "lower_values", lower_values)}
{array("uint32_t", "class_ranges", [x for r in class_ranges for x in r])}
{array("uint32_t", "word_ranges", [x for r in ranges(word) for x in r])}
const sl_unicode_tables *slu_unicode(void) {{
  static const sl_unicode_tables tables = {{
    first,
    flags,
    decomposition_keys,
    decomposition_starts,
    decomposition_targets,
    {len(keys)},
    lower_keys,
    lower_values,
    {len(lower_keys)},
    class_ranges,
    {len(class_ranges)},
    word_ranges,
    {len(ranges(word))},
  }};
  return &tables;
}}
"""
    path.write_text(body)
    print(f"{path}: {len(blocks)} blocks, {len(keys)} decompositions, {len(lower_keys)} lower cases,"
          f" {len(class_ranges)} class ranges, {len(ranges(word))} word ranges")


def main():
    flags, decompositions, lowers, classes = probe()
    word = probe_word_characters()
    report(flags, decompositions, lowers, word)
    if "--report" not in sys.argv[1:]:
        root = Path(__file__).resolve().parent.parent
        write(root / "Sources/CUnicode/UnicodeTables.c", flags, decompositions, lowers, classes, word)


if __name__ == "__main__":
    main()
