"""Runs the real program for the CLI tests."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ.get("LLM_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = os.environ.get("LLMGEN", str(SOURCE / "build/test/tools/llmgen"))
BUILD = pathlib.Path(os.environ.get("LLM_BUILD", SOURCE / "build/test"))
DATA = SOURCE / "tests/data"
VALID = DATA / "gguf/valid.gguf"
SANITIZERS = os.environ.get("LLM_SANITIZE", "")  # of the program, such as "address,undefined"
SMOLLM2 = pathlib.Path(os.environ.get("LLM_TEST_MODEL", SOURCE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))


def environment(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLMGEN")}
    env.update(extra)
    return env


def run(*args, input=None, timeout=120, env=None, **kwargs):
    """The finished process; its output as bytes."""
    if input is None and "stdin" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    if isinstance(input, str):
        input = input.encode()
    return subprocess.run([PROGRAM, *map(str, args)], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env=environment(**(env or {})), **kwargs)


def run_json(*args, **kwargs):
    done = run(*args, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{args}: exit {done.returncode}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def json_lines(data):
    return [json.loads(line) for line in data.decode().splitlines()]


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=1)
