#!/usr/bin/env python3
"""Converts Hugging Face folders with llmgen and evaluates the GGUF files with llama.cpp: do other engines load them and
compute the same?

Needs the PyPI packages llama-cpp-python (0.3.36 was used) and numpy.
Usage: check_converted.py [FOLDER ...] [--llmgen PATH] [--type f32] [--json]

Without folders: every entry of tests/data/golden. A folder holds expected.safetensors (see tests/data/golden/README.md). Each line
is a folder: the architecture written, and the greatest difference from the expected results as a multiple of their standard
deviation; or what llmgen refuses to write; or that llama.cpp does not load the file, with its last words; or ("told") that it differs or
does not load for a reason that llmgen named. Exit status 1 if a
file does not load, or differs by more than --bound (llama.cpp computes with float16 products in places).
"""
import argparse
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    kinds = {"F32": numpy.float32, "I32": numpy.int32}
    arrays = {}
    for name, item in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = item["data_offsets"]
            arrays[name] = numpy.frombuffer(data[8 + size + begin:8 + size + end], kinds[item["dtype"]]).reshape(item["shape"])
    return arrays


class LlamaCpp:
    """One file in llama.cpp."""

    def __init__(self, path, encoder, log):
        import llama_cpp as lc

        self.lc = lc
        self.lines = []
        self.log = lc.llama_log_callback(lambda level, text, data: log.append(text.decode(errors="replace")))
        lc.llama_log_set(self.log, ctypes.c_void_p(0))
        params = lc.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = False
        self.model = lc.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise RuntimeError("does not load")
        context = lc.llama_context_default_params()
        context.n_ctx = 256
        context.n_batch = context.n_ubatch = 256
        context.n_threads = context.n_threads_batch = 1
        context.type_k = context.type_v = 0
        context.flash_attn_type = 0
        context.embeddings = encoder
        context.pooling_type = 0 if encoder else -1
        self.context = lc.llama_init_from_model(self.model, context)
        if not self.context:
            raise RuntimeError("makes no context")
        self.n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.n_embd = lc.llama_model_n_embd(self.model)

    def batch(self, ids):
        batch = self.lc.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = int(token)
            batch.pos[i] = i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = 1
        return batch

    def logits(self, ids):
        if self.lc.llama_decode(self.context, self.batch(ids)) != 0:
            raise RuntimeError("does not decode")
        return numpy.array([self.lc.llama_get_logits_ith(self.context, i)[:self.n_vocab] for i in range(len(ids))])

    def hidden(self, ids):
        run = self.lc.llama_encode if self.lc.llama_model_has_encoder(self.model) else self.lc.llama_decode
        if run(self.context, self.batch(ids)) != 0:
            raise RuntimeError("does not encode")
        return numpy.array([self.lc.llama_get_embeddings_ith(self.context, i)[:self.n_embd] for i in range(len(ids))])

    def translated(self, source, ids):
        if self.lc.llama_encode(self.context, self.batch(source)) != 0:
            raise RuntimeError("does not encode")
        return self.logits(ids)


def evaluate(path, folder):
    """Runs in a process of its own: llama.cpp ends it when it does not like a file."""
    expected = read_safetensors(folder / "expected.safetensors")
    log = []
    try:
        encoder = "last_hidden" in expected
        engine = LlamaCpp(path, encoder, log)
        if encoder:
            right, found = expected["last_hidden"], engine.hidden(expected["input_ids"])
        elif "decoder_input_ids" in expected:
            right, found = expected["logits"], engine.translated(expected["input_ids"], expected["decoder_input_ids"])
        else:
            right, found = expected["logits"], engine.logits(expected["input_ids"])
    except RuntimeError as error:
        errors = [line.strip() for line in "".join(log).splitlines() if "error" in line.lower() or "missing" in line]
        return {"error": f"{error}: {' | '.join(errors[:2])[-300:]}"}
    if found.shape != right.shape:
        return {"error": f"shape {found.shape}, expected {right.shape}"}
    return {"difference": float(numpy.abs(found - right).max() / right.std())}


def check(folder, options, scratch):
    path = scratch / (folder.name + ".gguf")
    command = [options.llmgen, "convert", str(folder), "-o", str(path), "-q", "--json"] + (["--type", options.type] if options.type else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return {"refused": json.loads(done.stdout)["error"]["message"] if done.stdout else done.stderr.strip()}
    written = json.loads(done.stdout)
    result = {"architecture": written["architecture"], "unread_elsewhere": written["unread_elsewhere"]}
    run = subprocess.run([sys.executable, __file__, "--evaluate", str(path), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    path.unlink()
    if run.returncode != 0:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        return result | {"error": f"ends with status {run.returncode}: {(lines or [''])[0][-200:]}"}
    result |= json.loads(run.stdout.splitlines()[-1])
    # What llama.cpp makes of the file that its own converter wrote is as near as it comes.
    if result.get("difference", 0) > options.bound and (folder / "model.gguf").exists():
        run = subprocess.run([sys.executable, __file__, "--evaluate", str(folder / "model.gguf"), str(folder)], stdout=subprocess.PIPE, text=True)
        result["bound"] = 1.2 * json.loads(run.stdout.splitlines()[-1])["difference"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--llmgen", default=str(ROOT / "build/release/tools/llmgen"))
    parser.add_argument("--type", default="")
    parser.add_argument("--bound", type=float, default=0.02)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--evaluate", nargs=2, type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.evaluate:
        print(json.dumps(evaluate(*options.evaluate)))
        return
    folders = options.folders or sorted(path.parent for path in (ROOT / "tests/data/golden").glob("*/expected.safetensors"))
    failed = 0
    results = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        for folder in folders:
            result = results[folder.name] = check(folder, options, pathlib.Path(scratch))
            bad = "error" in result or result.get("difference", 0) > result.get("bound", options.bound)
            told = bad and bool(result["unread_elsewhere"])
            bad = bad and not told
            failed += bad
            if not options.json:
                text = result.get("refused") or result.get("error") or f"{result['difference']:.1e}"
                kind = "refused" if "refused" in result else "WRONG" if bad else "told" if told else "same"
                if told:
                    text = f"other engines do not read {', '.join(result['unread_elsewhere'])}"
                print(f"{folder.name:<32}{result.get('architecture', ''):<16}{kind:<9}{text}", flush=True)
    if options.json:
        print(json.dumps(results, indent=1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
