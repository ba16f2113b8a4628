#!/usr/bin/env python3
"""Writes Tests/TextTests/Golden/*.json: what Hugging Face `tokenizers` makes of hard text.

The vocabulary is small and made here: the usual special tokens, letters, pieces and words, some of
them outside ASCII, so that most words of the text come out in pieces. Files:

  <variant>.tokenizer.json   a tokenizer file
  <variant>.cases.json       texts, some with a second one, options, and the peer's answers
  code-points.json           for each 4,096 code points c a hash over ids and offsets of "acb" for all c

Needs: pip install tokenizers==0.23.3
"""

import importlib.util
import json
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "Tests/TextTests/Golden"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the error failed to connect connection timeout at in of java lang null pointer exception info warn
 main org apache hadoop 2015 10 18 root user blk http naive cafe resume don can not x0 abc""".split()
PIECES = "##s ##ed ##ing ##er ##ion ##out ##at ##0 ##00 ##01 ##18 ##ab ##de ##ff ##null".split()
OTHER = "αβγδεζηθικλμνξοπρστυφχψωабвгдежзийклмнопрстуфхцчшщ中国日本人のアイ가나אבגابتकखਕกขßıłøđþæœſ✓😀€£©®°²…–—“”«»¿¡、。！？ᄀᄂ한ᅡᆨ"


def vocabulary():
    ascii_marks = [chr(c) for c in range(0x21, 0x7F) if not "A" <= chr(c) <= "Z"]
    letters = [c for c in ascii_marks if c.isalnum()]
    tokens = SPECIAL + ascii_marks + ["##" + c for c in letters] + WORDS + PIECES
    other = [c for c in OTHER]
    tokens += other + ["##" + c for c in other[::2]] + ["error的", "##é", "É", "##E", "E", "A", "I", "##I", "##N", "##F", "##O"]
    return {t: i for i, t in enumerate(dict.fromkeys(tokens))}


def make(lowercase=True, strip=None, clean=True, ideographs=True, added=(), template=True):
    vocab = vocabulary()
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=ideographs, strip_accents=strip,
                                              lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(SPECIAL)
    t.add_tokens(list(added))
    if template:
        t.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    else:
        t.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return t


VARIANTS = {
    "uncased": lambda: make(),
    "cased": lambda: make(lowercase=False, template=False),
    "raw": lambda: make(lowercase=True, strip=False, clean=False, ideographs=False),
    "added": lambda: make(added=[
        AddedToken("NullPointer", normalized=True), AddedToken("0x", single_word=True, normalized=False),
        AddedToken("<mask>", lstrip=True, rstrip=True, special=True, normalized=False),
        AddedToken("org.", normalized=False), AddedToken("org.apache", normalized=False, rstrip=True),
        AddedToken("--", rstrip=True, normalized=False), AddedToken("é", lstrip=True, normalized=True),
        AddedToken("at", single_word=True, normalized=True)]),
}
OPTIONS = [
    {}, {"special": False}, {"max": 12}, {"max": 12, "side": "left"}, {"max": 2}, {"pair": True}, {"pair": True, "max": 16},
    {"pair": True, "max": 17, "side": "left"}, {"pair": True, "special": False}, {"pad": 8}, {"pad": 8, "side": "left"},
]


def answer(t, text, second, o):
    t.no_truncation()
    t.no_padding()
    side = o.get("side", "right")
    if "max" in o:
        t.enable_truncation(o["max"], direction=side)
    if "pad" in o:
        t.enable_padding(direction=side, pad_to_multiple_of=o["pad"])
    e = t.encode(text, second, add_special_tokens=o.get("special", True))
    offsets = [x for pair in e.offsets for x in pair]
    return {"text": text, **({"second": second} if second is not None else {}), **o, "ids": e.ids, "types": e.type_ids,
            "mask": e.attention_mask, "specials": e.special_tokens_mask, "offsets": offsets,
            "decoded": t.decode(e.ids)}


def code_points(t):
    hashes, h = [], 0
    for block in range(0, 0x110000, 256):
        text = " ".join("a" + chr(c) + "b" for c in range(block, block + 256) if not 0xD800 <= c < 0xE000)
        e = t.encode(text, add_special_tokens=False)
        for v in [x for i, o in zip(e.ids, e.offsets) for x in (i, *o)]:
            h = ((h ^ v) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        if block % 4096 == 4096 - 256:
            hashes.append(f"{h:016x}")
            h = 0
    return hashes


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / name
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(path.relative_to(ROOT), path.stat().st_size)


def main():
    spec = importlib.util.spec_from_file_location("hard", ROOT / "scripts/generate-hard-text.py")
    hard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hard)
    texts = hard.hard_texts(420, seed=20)
    for name, build in VARIANTS.items():
        t = build()
        t.no_truncation()
        t.no_padding()
        write(f"{name}.tokenizer.json", json.loads(t.to_str()))
        cases = []
        for i in range(0, 320 if name == "uncased" else 160):
            o = OPTIONS[i % len(OPTIONS)]
            second = texts[i + 100] if o.get("pair") else None
            cases.append(answer(t, texts[i], second, {k: v for k, v in o.items() if k != "pair"}))
        write(f"{name}.cases.json", cases)
    write("code-points.json", code_points(VARIANTS["uncased"]()))


if __name__ == "__main__":
    main()
