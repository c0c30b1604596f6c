#!/usr/bin/env python3
"""Checks that every source of the library and the program compiles without what its neighbours in a unit include.

Usage: tools/compile_alone.py BUILD_DIR    (configured with CMAKE_UNITY_BUILD=OFF; nothing is written)
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def check(entry):
    """The compiler's complaints about one file; None if there are none."""
    words = shlex.split(entry["command"])
    at = words.index("-o")
    words = words[:at] + words[at + 2:] + ["-fsyntax-only", "-O0"]
    done = subprocess.run(words, cwd=entry["directory"], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    entries = json.loads((pathlib.Path(sys.argv[1]) / "compile_commands.json").read_text())
    ours = [e for e in entries if e["file"].startswith((f"{ROOT}/src/", f"{ROOT}/tools/"))]
    if not ours:
        sys.exit(f"{sys.argv[1]}: no source of src/ or tools/ is compiled alone there; configure with CMAKE_UNITY_BUILD=OFF")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [text for text in pool.map(check, ours) if text]
    print("".join(complaints), end="")
    print(f"{len(ours)} files, {len(complaints)} do not compile alone")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
