#!/usr/bin/env python3
"""Speed of llmgen beside llama.cpp on one file, in alternating runs.

Needs the PyPI package llama-cpp-python built from source for this machine:
    CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python
Usage: compare_llama_cpp.py MODEL.gguf [-p 512] [-n 64] [-d 0] [-b 1] [-t 2] [-r 5] [--llmgen PATH] [--json]

Each pair runs both programs as processes of their own, one after the other; the table shows medians of tokens a second and
the median and range of the ratios llmgen / llama.cpp within pairs, the share of the read bandwidth that llmgen's weights took
(measured in the same run), and the peak of resident memory in MB. Run it with nothing else on the machine.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time


def peer(options):
    """One measurement of llama.cpp in this process; prints JSON."""
    import ctypes
    import resource
    import llama_cpp as lc

    interpreter_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lc.llama_backend_init()
    silent = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(silent, ctypes.c_void_p(0))
    params = lc.llama_model_default_params()
    params.n_gpu_layers = 0
    model = lc.llama_model_load_from_file(options.model.encode(), params)
    if not model:
        sys.exit("llama.cpp cannot load the file")
    n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    context = lc.llama_context_default_params()
    context.n_ctx = (options.depth + max(options.prompt, options.generate) + 16) * options.batch
    context.n_seq_max = options.batch
    context.n_batch = 2048
    context.n_ubatch = 512
    context.n_threads = context.n_threads_batch = options.threads
    context.no_perf = True
    ctx = lc.llama_init_from_model(model, context)
    memory = lc.llama_get_memory(ctx)
    state = 1

    def random_ids(n):
        nonlocal state
        ids = []
        for _ in range(n):
            state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            ids.append((state >> 33) % n_vocab)
        return ids

    batch = lc.llama_batch_init(2048, 0, 1)

    def decode(tokens):
        """tokens: list of (id, position, sequence, wants logits)"""
        for begin in range(0, len(tokens), 2048):
            part = tokens[begin:begin + 2048]
            batch.n_tokens = len(part)
            for i, (token, position, sequence, logits) in enumerate(part):
                batch.token[i] = token
                batch.pos[i] = position
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = sequence
                batch.logits[i] = logits
            if lc.llama_decode(ctx, batch) != 0:
                sys.exit("llama.cpp failed to decode")
        lc.llama_synchronize(ctx)

    def read(n, first):
        tokens = []
        for sequence in range(options.batch):
            ids = random_ids(n)
            tokens += [(token, first + i, sequence, i == n - 1) for i, token in enumerate(ids)]
        decode(tokens)

    def measure(n_prompt, n_generate):
        lc.llama_memory_clear(memory, True)
        if options.depth or n_generate:
            read(max(1, options.depth), 0)
        base = max(1, options.depth) if options.depth or n_generate else 0
        start = time.perf_counter()
        if n_prompt:
            read(n_prompt, base)
        for i in range(n_generate):
            decode([(token, base + i, sequence, True) for sequence, token in enumerate(random_ids(options.batch))])
        return options.batch * (n_prompt + n_generate) / (time.perf_counter() - start)

    result = {}
    if options.prompt:
        measure(min(64, options.prompt), 0)
        result["prompt"] = measure(options.prompt, 0)
    if options.generate:
        measure(0, 8)
        result["generate"] = measure(0, options.generate)
    result["peak_bytes"] = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - interpreter_kib)
    print(json.dumps(result))


def ours(options):
    command = [options.llmgen, "bench", "-m", options.model, "-p", str(options.prompt), "-n", str(options.generate), "-d", str(options.depth),
               "-b", str(options.batch), "-t", str(options.threads), "-r", "1", "--json", "-q"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    result = {"peak_bytes": report["peak_bytes"]}
    for row in report["results"]:
        result["prompt" if row["n_gen"] == 0 else "generate"] = row["tokens_per_second"]
        if row["n_gen"] != 0:
            result["percent_of_read_bandwidth"] = row["percent_of_read_bandwidth"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-p", "--prompt", type=int, default=512)
    parser.add_argument("-n", "--generate", type=int, default=64)
    parser.add_argument("-d", "--depth", type=int, default=0)
    parser.add_argument("-b", "--batch", type=int, default=1)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--repeat", type=int, default=5)
    parser.add_argument("--llmgen", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/tools/llmgen"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options)
        return
    pairs = []
    for _ in range(options.repeat):
        mine = ours(options)
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--peer"], check=True, stdout=subprocess.PIPE)
        pairs.append((mine, json.loads(done.stdout)))
    table = []
    for kind in ("prompt", "generate"):
        if kind not in pairs[0][0]:
            continue
        ratios = [a[kind] / b[kind] for a, b in pairs]
        table.append({"work": kind, "llmgen": statistics.median(a[kind] for a, _ in pairs), "llama_cpp": statistics.median(b[kind] for _, b in pairs),
                      "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)})
        if kind == "generate":
            table[-1]["percent_of_read_bandwidth"] = statistics.median(a["percent_of_read_bandwidth"] for a, _ in pairs)
    peaks = [max(side["peak_bytes"] for side in sides) for sides in zip(*pairs)]
    if options.json:
        print(json.dumps({"model": options.model, "depth": options.depth, "batch": options.batch, "pairs": options.repeat,
                          "file_bytes": pathlib.Path(options.model).stat().st_size, "peak_bytes": peaks[0], "llama_cpp_peak_bytes": peaks[1],
                          "table": table}))
        return
    print(f"{'work':<10}{'llmgen':>10}{'llama.cpp':>11}{'ratio':>8}   min-max of {options.repeat} pairs")
    for row in table:
        read = f"   {row['percent_of_read_bandwidth']:.0f} % of the read bandwidth" if "percent_of_read_bandwidth" in row else ""
        print(f"{row['work']:<10}{row['llmgen']:>10.1f}{row['llama_cpp']:>11.1f}{row['ratio']:>8.2f}   {row['ratio_min']:.2f}-{row['ratio_max']:.2f}{read}")
    print(f"{'peak MB':<10}{peaks[0] / 1e6:>10.0f}{peaks[1] / 1e6:>11.0f}{peaks[0] / peaks[1]:>8.2f}")


if __name__ == "__main__":
    main()
