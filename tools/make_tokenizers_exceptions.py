#!/usr/bin/env python3
"""Writes src/tokenizer/tokenizers_exceptions.inc: where the older tables inside the `tokenizers` library differ from
Unicode 16.

    python tools/make_tokenizers_exceptions.py > src/tokenizer/tokenizers_exceptions.inc

Needs the packages `tokenizers` and unicodedata2 16.0.0. The library asks several sources for a character's category:
those of its BERT parts, of StripAccents and of its normal forms are older than the rest.
"""

import tokenizers
import unicodedata2 as unicode16
from tokenizers import normalizers, pre_tokenizers

CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CLEAN = normalizers.BertNormalizer(True, False, False, False)
ACCENTS = normalizers.BertNormalizer(False, False, True, False)
STRIP, COMPATIBLE, CANONICAL = normalizers.StripAccents(), normalizers.NFKD(), normalizers.NFD()
LOW_MARK, HIGH_MARK = "\u0334", "\u0345"  # of the combining classes 1 and 240
PUNCTUATION = pre_tokenizers.Punctuation()


def category(c: int) -> str:
    return unicode16.category(chr(c))


def dropped(normalizer, text: str) -> bool:
    return text not in normalizer.normalize_str(f"a{text}b")


def differs(c: int):
    text, kind = chr(c), category(c)
    if c >= 0x80 and (len(PUNCTUATION.pre_tokenize_str("a" + text)) > 1) != (kind[0] == "P"):
        yield "punctuation"
    if kind[0] == "C" or c < 0x32000:
        control = kind in ("Cc", "Cf", "Co") and text not in "\t\n\r"
        if control != dropped(CLEAN, text) and c not in (0, 9, 10, 13, 0xFFFD) and not text.isspace():
            yield "control"
    decomposed = unicode16.normalize("NFD", text)
    if len(decomposed) == 1 and dropped(ACCENTS, decomposed) != (kind == "Mn"):
        yield "accent"
    if dropped(STRIP, text) != (kind[0] == "M"):
        yield "mark"
    whole = unicode16.normalize("NFKD", text)
    if whole != text and COMPATIBLE.normalize_str(text) == text:
        yield "compatible"
    order = unicode16.combining(text)
    if order > 0:
        marks = text + LOW_MARK if order > 1 else HIGH_MARK + text
        if len(decomposed) == 1 and CANONICAL.normalize_str("a" + marks) == "a" + marks:
            yield "order"


def main() -> None:
    found = {}
    for c in CHARACTERS:
        for kind in differs(c):
            ranges = found.setdefault(kind, [])
            if ranges and ranges[-1][1] == c - 1:
                ranges[-1][1] = c
            else:
                ranges.append([c, c])
    print(f"// Written by tools/make_tokenizers_exceptions.py with tokenizers {tokenizers.__version__}.")
    for kind in sorted(found):
        print(f"constexpr CharacterRange k{kind.capitalize()}Exceptions[] = {{")
        line = "   "
        for first, last in found[kind]:
            item = f" {{0x{first:X}, 0x{last:X}}},"
            if len(line) + len(item) > 118:
                print(line)
                line = "   "
            line += item
        print(line + "\n};")


if __name__ == "__main__":
    main()
