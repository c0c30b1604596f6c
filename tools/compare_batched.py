#!/usr/bin/env python3
"""Many sequences at once beside llama.cpp's llama-batched-bench, in alternating runs on one file.

Usage: compare_batched.py MODEL.gguf --peer llama-batched-bench [-p 64] [-n 64] [-b 1,16] [-t 2] [-r 3] [--llmgen PATH] [--json]

Total tokens a second: batch * (prompt + output) / (time to read all prompts + time to write all outputs), as
llama-batched-bench counts. Each pair runs both programs one after the other; the table shows medians, the ratio of each
batch size to the smallest one, and the median and range of the ratios llmgen / llama.cpp within pairs. Run it with nothing
else on the machine. Without --peer only llmgen is measured.
"""
import argparse
import json
import pathlib
import statistics
import subprocess


def ours(options):
    sizes = [str(b) for b in options.batch]
    done = subprocess.run([options.llmgen, "bench", "-m", options.model, "-p", str(options.prompt), "-n", str(options.generate), "-b", ",".join(sizes), "-t",
                           str(options.threads), "-r", "1", "--json", "-q"], check=True, stdout=subprocess.PIPE)
    speeds = {}
    for row in json.loads(done.stdout)["results"]:
        speeds.setdefault(row["batch"], {})["read" if row["n_gen"] == 0 else "write"] = row["tokens_per_second"]
    for s in speeds.values():
        s["total"] = (options.prompt + options.generate) / (options.prompt / s["read"] + options.generate / s["write"])
    return speeds


def peer(options):
    n_context = max(options.batch) * (options.prompt + options.generate)
    done = subprocess.run([options.peer, "-m", options.model, "-c", str(n_context), "-b", "2048", "-ub", "512", "-npp", str(options.prompt), "-ntg",
                           str(options.generate), "-npl", ",".join(map(str, options.batch)), "-t", str(options.threads), "--output-format", "jsonl"],
                          check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    speeds = {}
    for line in done.stdout.decode().splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            speeds[row["pl"]] = {"read": row["speed_pp"], "write": row["speed_tg"], "total": row["speed"]}
    return speeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--peer")
    parser.add_argument("-p", "--prompt", type=int, default=64)
    parser.add_argument("-n", "--generate", type=int, default=64)
    parser.add_argument("-b", "--batch", type=lambda text: [int(x) for x in text.split(",")], default=[1, 16])
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--repeat", type=int, default=3)
    parser.add_argument("--llmgen", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/tools/llmgen"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pairs = []
    for _ in range(options.repeat):
        mine = ours(options)
        pairs.append((mine, peer(options) if options.peer else None))
    table = []
    for batch in options.batch:
        for kind in ("read", "write", "total"):
            row = {"batch": batch, "work": kind, "llmgen": statistics.median(a[batch][kind] for a, _ in pairs),
                   "to_smallest_batch": statistics.median(a[batch][kind] / a[min(options.batch)][kind] for a, _ in pairs)}
            if options.peer:
                ratios = [a[batch][kind] / b[batch][kind] for a, b in pairs]
                row |= {"llama_cpp": statistics.median(b[batch][kind] for _, b in pairs), "ratio": statistics.median(ratios), "ratio_min": min(ratios),
                        "ratio_max": max(ratios)}
            table.append(row)
    if options.json:
        print(json.dumps({"model": options.model, "prompt": options.prompt, "generate": options.generate, "pairs": options.repeat, "table": table}))
        return
    print(f"{'batch':<7}{'work':<7}{'llmgen':>9}{'to b ' + str(min(options.batch)):>9}{'llama.cpp':>11}{'ratio':>8}   min-max of {options.repeat} pairs")
    for row in table:
        text = f"{row['batch']:<7}{row['work']:<7}{row['llmgen']:>9.1f}{row['to_smallest_batch']:>9.2f}"
        if options.peer:
            text += f"{row['llama_cpp']:>11.1f}{row['ratio']:>8.2f}   {row['ratio_min']:.2f}-{row['ratio_max']:.2f}"
        print(text)


if __name__ == "__main__":
    main()
