#!/usr/bin/env python3
"""Long texts of one character: time must be linear, memory at most 12 times the text, the stack flat.

    python tools/soak_tokenizer.py build/release/tools/llmgen VOCABULARY ... [--megabytes 100]

Tokenizes each text at a quarter of the size and at the whole size, with a stack of 256 KB, and prints a table. Ends with
status 1 if a bound is broken.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile

# "marks": in the wrong canonical order
TEXTS = {"letters": "a", "spaces": " ", "digits": "7", "accents": "\u0301", "marks": "\u0301\u0323"}
MOST_MEMORY, MOST_GROWTH = 12, 6.0  # times the text; of the time, for four times the text


def run(command):
    """Seconds of processor time and greatest resident bytes."""

    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, 256 << 10))

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=limit)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("llmgen")
    parser.add_argument("vocabularies", nargs="+")
    a = parser.parse_args()
    broken = False
    print("| vocabulary | text | seconds | MB/s | time for 4 x the text | memory / text |")
    print("|---|---|---|---|---|---|")
    for vocabulary in a.vocabularies:
        for name, character in TEXTS.items():
            seconds, memory = [], 0
            with tempfile.NamedTemporaryFile() as file:
                for size in (a.megabytes * 250_000, a.megabytes * 1_000_000):
                    file.seek(0)
                    file.truncate()
                    data = character.encode()
                    for _ in range(0, size, 1_000_000):
                        file.write(data * (1_000_000 // len(data)))
                    file.flush()
                    used, memory = run([a.llmgen, "tokenize", "-m", vocabulary, "-f", file.name, "--ids"])
                    seconds.append(used)
            growth, share = seconds[1] / seconds[0], memory / (a.megabytes * 1e6)
            bad = growth > MOST_GROWTH or share > MOST_MEMORY
            broken |= bad
            label = os.path.basename(os.path.normpath(vocabulary)).removeprefix("ggml-vocab-").removesuffix(".gguf")
            speed = a.megabytes / seconds[1]
            print(
                f"| {label} | {name} | {seconds[1]:.1f} | {speed:.1f} | {growth:.1f} | {share:.1f} |"
                + (" **broken**" if bad else ""),
                flush=True,
            )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
