#!/usr/bin/env python3
"""Speed of the quantisers beside ggml's, on one thread.

    python tools/compare_quantizers.py BUILD/tests/bench/bench_kernels LIBGGML_BASE.so [TYPE ...]

LIBGGML_BASE.so is libggml-base.so of a llama.cpp build. Rounds alternate; the best of each counts.
"""

import ctypes
import json
import random
import subprocess
import sys
import time

TYPES = {"F16": 1, "BF16": 30, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12,
         "Q5_K": 13, "Q6_K": 14, "IQ4_NL": 20, "IQ4_XS": 23, "IQ3_S": 21, "IQ3_XXS": 18, "IQ2_S": 22, "IQ2_XS": 17,
         "IQ2_XXS": 16, "IQ1_S": 19, "IQ1_M": 29, "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40, "Q1_0": 41,
         "Q2_0": 42}  # fmt: skip
COLUMNS, ROWS = 1024, 64


class Ggml:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [
            ctypes.c_int64] * 3 + [ctypes.c_void_p]  # fmt: skip
        r = random.Random(1)
        n = COLUMNS * ROWS
        self.weights = (ctypes.c_float * n)(*(r.gauss(0, 0.02) for _ in range(n)))
        self.importance = (ctypes.c_float * COLUMNS)(*([1.0] * COLUMNS))
        self.out = ctypes.create_string_buffer(4 * n)

    def speed(self, type_id):
        """Bytes of float input a second."""

        def once():
            self.library.ggml_quantize_chunk(type_id, self.weights, self.out, 0, ROWS, COLUMNS, self.importance)

        once()
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < 0.2:
            once()
            n += 1
        return n * 4 * COLUMNS * ROWS / (time.perf_counter() - start)


def ours(bench, name):
    """The same of our fastest instruction set."""
    command = [bench, f"--benchmark_filter=encode/{name}/", "--benchmark_format=json", "--benchmark_min_time=0.2"]
    rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    return max(row["float GB/s"] * 1e9 for row in rows["benchmarks"])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ggml = Ggml(sys.argv[2])
    print("| type | llmgen MB/s | ggml MB/s | ratio |")
    print("|---|---|---|---|")
    for name in sys.argv[3:] or TYPES:
        a = b = 0
        for _ in range(2):
            a, b = max(a, ours(sys.argv[1], name)), max(b, ggml.speed(TYPES[name]))
        print(f"| {name} | {a / 1e6:.0f} | {b / 1e6:.0f} | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()
