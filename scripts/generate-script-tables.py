#!/usr/bin/env python3
"""Writes Sources/CUnicode/ScriptTables.c: which script each code point belongs to.

Patterns in RE2's syntax name scripts (`\\p{Greek}`). The data is Unicode's Scripts.txt as fontTools
carries it. Needs: pip install fonttools==4.68.0

  scripts/generate-script-tables.py
"""

from pathlib import Path

from fontTools import unicodedata
from fontTools.unicodedata import Scripts

TARGET = Path(__file__).resolve().parent.parent / "Sources" / "CUnicode" / "ScriptTables.c"


def main():
    codes = sorted(set(Scripts.VALUES) - {"Zzzz"})
    names = [unicodedata.script_name(code).replace(" ", "_") for code in codes]
    ranges = []
    ends = [*(start - 1 for start in Scripts.RANGES[1:]), 0x10FFFF]
    for first, last, code in zip(Scripts.RANGES, ends, Scripts.VALUES):
        if code != "Zzzz":
            ranges.append((codes.index(code), first, last))
    ranges.sort()
    lines = [
        "// Written by scripts/generate-script-tables.py; do not edit.",
        '#include "CUnicode.h"',
        "",
        "static const char *const names[] = {",
        *(f'  "{name}",' for name in names),
        "};",
        "",
        "static const sl_script_range ranges[] = {",
        *(f"  {{{index}, 0x{first:X}, 0x{last:X}}}," for index, first, last in ranges),
        "};",
        "",
        "const sl_script_tables *slu_scripts(void) {",
        "  static const sl_script_tables tables = {",
        f"      names, {len(names)}, ranges, {len(ranges)}}};",
        "  return &tables;",
        "}",
        "",
    ]
    TARGET.write_text("\n".join(lines))
    print(f"{len(names)} scripts, {len(ranges)} ranges")


if __name__ == "__main__":
    main()
