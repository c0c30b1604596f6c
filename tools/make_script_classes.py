#!/usr/bin/env python3
"""Writes src/tokenizer/script_classes.inc: the scripts that the pre-tokenizer UnicodeScripts tells apart.

    python tools/make_script_classes.py > src/tokenizer/script_classes.inc

Needs the Python package `tokenizers`, whose own table (an older Unicode than the rest of it uses) is the reference:
two characters are of one class if it does not cut between them. Class 0 is what never cuts.
"""

import textwrap

import tokenizers
from tokenizers.pre_tokenizers import UnicodeScripts

KANJI = "\u4e00"


def cuts(left: str, right: str) -> bool:
    """A letter before and behind, so that neither of the two is first."""
    pieces = UnicodeScripts().pre_tokenize_str(left + right)
    return len(pieces) > 1


def is_any(c: str) -> bool:
    """Neither Latin nor Han: a character that cuts from neither is of no script."""
    return not cuts("a", c) and not cuts(KANJI, c)


def main() -> None:
    characters = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    ranges = []  # first, last
    for c in characters:
        if ranges and ranges[-1][1] == c - 1:
            before = chr(c - 1)
            same = is_any(chr(c)) == is_any(before) and not cuts(before, chr(c))
            if same:
                ranges[-1][1] = c
                continue
        ranges.append([c, c])
    classes = []  # a character of each
    lines = []
    for first, last in ranges:
        c = chr(first)
        if is_any(c):
            continue
        number = next((i for i, other in enumerate(classes) if not cuts(other, c)), None)
        if number is None:
            number = len(classes)
            classes.append(c)
        if lines and lines[-1][2] == number + 1 and lines[-1][1] == first - 1:
            lines[-1][1] = last
        else:
            lines.append([first, last, number + 1])
    print(f"// Written by tools/make_script_classes.py with tokenizers {tokenizers.__version__}: first, last, class.")
    items = [f"{{0x{first:X},0x{last:X},{number}}}," for first, last, number in lines]
    print("\n".join(textwrap.wrap(" ".join(items), 118)))


if __name__ == "__main__":
    main()
