#!/usr/bin/env python3
"""Figures of llmgen batch that take too long for the tests; exits 1 if one misses its goal.

  tools/batch_figures.py memory MODEL    100,000 short lines: resident memory while they run
  tools/batch_figures.py prefix MODEL    1,000 lines with one prefix of 1,000 tokens beside the same lines without it

MODEL is any model file; LLMGEN names the program (build/test/tools/llmgen).
"""
import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LLMGEN = os.environ.get("LLMGEN", str(ROOT / "build/test/tools/llmgen"))


def n_vocab(model):
    info = json.loads(subprocess.run([LLMGEN, "inspect", "-m", model, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    return info["vocabulary"]


def anonymous_kb(pid):
    """Resident memory that is no file."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def memory(args):
    random_ids, vocab = random.Random(1), n_vocab(args.model)
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        command = [LLMGEN, "batch", "-m", args.model, "-q", "-c", str(args.context), "-o", str(out), *args.more]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        started, samples = time.monotonic(), []
        for i in range(args.lines):
            line = {"id": i, "prompt_ids": [random_ids.randrange(vocab) for _ in range(random_ids.randrange(1, 12))], "n": random_ids.randrange(1, 12)}
            process.stdin.write(json.dumps(line).encode() + b"\n")
            if i % (args.lines // 20) == args.lines // 20 - 1:
                process.stdin.flush()
                samples.append((i + 1, anonymous_kb(process.pid)))
                print(f"{i + 1:>8} lines  {samples[-1][1] / 1000:8.1f} MB  {time.monotonic() - started:7.1f} s", flush=True)
        process.stdin.close()
        code = process.wait()
        n_results = sum(1 for _ in open(out))
    early, late = max(kb for _, kb in samples[4:8]), max(kb for _, kb in samples[-4:])
    print(f"exit {code}, {n_results} results; after 20 to 40 % of the lines {early / 1000:.1f} MB, at the end {late / 1000:.1f} MB")
    return code == 0 and n_results == args.lines and late <= early * 1.02 + 1000


def timed(model, lines, more):
    """Seconds, and how many tokens were evaluated and written."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as source:
        source.write("\n".join(map(json.dumps, lines)) + "\n")
        source.flush()
        done = subprocess.run([LLMGEN, "batch", "-m", model, "-i", source.name, "-o", "/dev/null", "--temp", "0", *more], stderr=subprocess.PIPE, check=True)
    seconds, n_read, n_written = re.search(r"lines in ([0-9.]+) s, 0 failed; (\d+) tokens evaluated, (\d+) written", done.stderr.decode()).groups()
    return float(seconds), int(n_read), int(n_written)


def prefix(args):
    random_ids, vocab = random.Random(2), n_vocab(args.model)
    common = [random_ids.randrange(vocab) for _ in range(args.prefix)]
    own = [[random_ids.randrange(vocab) for _ in range(args.own)] for _ in range(args.lines)]
    make = lambda prompts: [{"prompt_ids": p, "n": args.n, "ignore_eos": True} for p in prompts]
    ok = True
    for round_ in range(args.repeat):
        without, n_without, _ = timed(args.model, make(own), args.more)
        alone, n_alone, _ = timed(args.model, make([common]), args.more)
        with_, n_with, _ = timed(args.model, make([common + o for o in own]), args.more)
        tokens, seconds = n_with / (n_without + n_alone), with_ / (without + alone)
        print(f"evaluated {n_with} tokens beside {n_without} + {n_alone}: {tokens:.3f}; {with_:.1f} s beside {without:.1f} + {alone:.1f}: {seconds:.2f}", flush=True)
        ok = ok and tokens <= 1.2
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("memory")
    one.add_argument("model")
    one.add_argument("--lines", type=int, default=100_000)
    one.add_argument("--context", type=int, default=64)
    one.set_defaults(run=memory)
    two = commands.add_parser("prefix")
    two.add_argument("model")
    two.add_argument("--lines", type=int, default=1000)
    two.add_argument("--prefix", type=int, default=1000)
    two.add_argument("--own", type=int, default=32)
    two.add_argument("-n", type=int, default=8)
    two.add_argument("--repeat", type=int, default=1)
    two.set_defaults(run=prefix)
    args, args.more = parser.parse_known_args()
    return 0 if args.run(args) else 1


if __name__ == "__main__":
    sys.exit(main())
