#!/usr/bin/env python3
"""Writes src/kernels/iq_grids.cpp, the lookup tables of the IQ weight types, from grids.safetensors.

    tools/make_iq_grids.py tests/data/quants/grids.safetensors > src/kernels/iq_grids.cpp

The tables come from the gguf package (MIT licence). A grid row is written as one word whose bytes, lowest first, are
the row's entries, so that a row is one load.
"""
import json
import struct
import sys

NAMES = {  # tensor: (variable, bytes a row)
    "iq1_s.grid": ("iq1_grid", 8),
    "iq2_xxs.grid": ("iq2_xxs_grid", 8),
    "iq2_xs.grid": ("iq2_xs_grid", 8),
    "iq2_s.grid": ("iq2_s_grid", 8),
    "iq3_xxs.grid": ("iq3_xxs_grid", 4),
    "iq3_s.grid": ("iq3_s_grid", 4),
    "iq2_xxs.signs": ("iq_signs", 1),
}


def main():
    with open(sys.argv[1], "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    print('#include "kernels/iq_grids.h"\n')
    print("// Written by tools/make_iq_grids.py.\n")
    print("namespace llm::kernels {\n")
    print("// clang-format off")
    for tensor, (name, width) in NAMES.items():
        begin, end = header[tensor]["data_offsets"]
        kind, code = {8: ("std::uint64_t", "Q"), 4: ("std::uint32_t", "I"), 1: ("std::uint8_t", "B")}[width]
        words = struct.unpack(f"<{(end - begin) // width}{code}", data[begin:end])
        print(f"const {kind} {name}[{len(words)}] = {{")
        per_line = {8: 5, 4: 9, 1: 16}[width]
        for i in range(0, len(words), per_line):
            print("    " + ", ".join(f"0x{w:0{2 * width}x}" for w in words[i:i + per_line]) + ",")
        print("};\n")
    print("// clang-format on\n")
    print("}  // namespace llm::kernels")


main()
