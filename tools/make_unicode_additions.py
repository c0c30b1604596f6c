#!/usr/bin/env python3
"""Write src/tokenizer/unicode_additions.inc: general categories of characters that Unicode 15 and 16 added to 14.

Needs the PyPI package unicodedata2 16.0.0 and a Python whose own unicodedata is of version 14 (Python 3.11)."""
import pathlib
import unicodedata

import unicodedata2

NAMES = {"Lu": "kUpper", "Ll": "kLower", "Lt": "kTitle", "Lm": "kModifierLetter", "Lo": "kOtherLetter",
         "Mn": "kNonSpacingMark", "Mc": "kOtherMark", "Me": "kOtherMark", "Nd": "kDecimalDigit", "Nl": "kOtherNumber",
         "No": "kOtherNumber", "Cf": "kControl"}


def flag(category):
    return NAMES.get(category) or {"P": "kPunctuation", "S": "kSymbol"}[category[0]]


assert unicodedata.unidata_version.startswith("14.") and unicodedata2.unidata_version.startswith("16.")
ranges = []
for code in range(0x110000):
    old, new = unicodedata.category(chr(code)), unicodedata2.category(chr(code))
    if old == new:
        continue
    if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == flag(new):
        ranges[-1][1] = code
    else:
        ranges.append([code, code, flag(new)])
out = ["// Written by tools/make_unicode_additions.py from Unicode 16.0.", "// {first, last, category}"]
out += [f"{{0x{a:X}, 0x{b:X}, {c}}}," for a, b, c in ranges]
path = pathlib.Path(__file__).resolve().parent.parent / "src/tokenizer/unicode_additions.inc"
path.write_text("\n".join(out) + "\n")
print(len(ranges), "ranges")
