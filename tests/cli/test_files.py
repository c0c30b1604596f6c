"""inspect, synth, quantize: what a file holds, and files made for measuring."""
import os
import pathlib
import struct
import subprocess
import tempfile
import time
import unittest

import llmgen
from llmgen import PROGRAM, SMOLLM2, run, run_json

F16, F32 = 1, 0


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def sparse_llama_70b(path):
    """A llama model of 70 billion F16 parameters whose data are a hole in the file."""
    n_embd, n_ff, n_layer, n_vocab, n_kv = 8192, 28672, 80, 32000, 1024
    keys = [("general.architecture", 8, string("llama")), ("llama.block_count", 4, struct.pack("<I", n_layer)),
            ("llama.context_length", 4, struct.pack("<I", 4096)), ("llama.embedding_length", 4, struct.pack("<I", n_embd)),
            ("llama.feed_forward_length", 4, struct.pack("<I", n_ff)), ("llama.attention.head_count", 4, struct.pack("<I", 64)),
            ("llama.attention.head_count_kv", 4, struct.pack("<I", 8)), ("llama.vocab_size", 4, struct.pack("<I", n_vocab)),
            ("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)), ("tokenizer.ggml.model", 8, string("none"))]
    tensors = [("token_embd.weight", F16, (n_embd, n_vocab)), ("output_norm.weight", F32, (n_embd,)), ("output.weight", F16, (n_embd, n_vocab))]
    for i in range(n_layer):
        b = f"blk.{i}."
        tensors += [(b + "attn_norm.weight", F32, (n_embd,)), (b + "ffn_norm.weight", F32, (n_embd,)), (b + "attn_q.weight", F16, (n_embd, n_embd)),
                    (b + "attn_k.weight", F16, (n_embd, n_kv)), (b + "attn_v.weight", F16, (n_embd, n_kv)),
                    (b + "attn_output.weight", F16, (n_embd, n_embd)), (b + "ffn_gate.weight", F16, (n_embd, n_ff)),
                    (b + "ffn_up.weight", F16, (n_embd, n_ff)), (b + "ffn_down.weight", F16, (n_ff, n_embd))]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, kind, value in keys:
        head += string(key) + struct.pack("<I", kind) + value
    offset = 0
    for name, kind, dims in tensors:
        head += string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
        n = 1
        for d in dims:
            n *= d
        offset += n * (2 if kind == F16 else 4)
        offset += -offset % 32
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32))
        file.truncate(file.tell() + offset)


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_inspect_shows_a_model(self):
        facts = run_json("inspect", SMOLLM2, "--json", "-c", "2048")
        self.assertEqual(facts["architecture"], "llama")
        self.assertEqual(facts["parameters"], 134515008)
        self.assertEqual((facts["layers"], facts["embedding_length"], facts["heads"], facts["kv_heads"], facts["vocabulary"]), (30, 576, 9, 3, 49152))
        self.assertIn("im_start", facts["chat_template"])
        self.assertEqual(facts["memory"]["context"], 2048)
        text = run("inspect", SMOLLM2).stdout.decode()
        for word in ("llama", "134.5 million", "Q4_1", "memory", "BPE"):
            self.assertIn(word, text)

    def test_a_140_gb_file_is_inspected_at_once_and_refused_before_it_starts(self):
        path = self.folder / "70b.gguf"
        sparse_llama_70b(path)
        self.assertGreater(os.stat(path).st_size, 137e9)
        seconds = []
        for _ in range(5):
            start = time.monotonic()
            facts = run_json("inspect", path, "--json")
            seconds.append(time.monotonic() - start)
        self.assertGreater(facts["parameters"], 68e9)
        self.assertGreater(facts["memory"]["total"], 137e9)
        if b"asan" not in pathlib.Path(PROGRAM).read_bytes():
            self.assertLess(min(seconds), 0.2)
        done = run("-m", path, "--ids", "1", "-n", "1")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn(b"available", done.stderr)

    def test_synthetic_and_quantised_models_run(self):
        model, smaller = self.folder / "m.gguf", self.folder / "q.gguf"
        self.assertEqual(run("synth", "--arch", "qwen2", "--preset", "tiny", "--type", "f16", "-o", model).returncode, 0)
        ids = ("--ids", "1,2,3,4", "-n", "8", "--temp", "0", "--ignore-eos", "--json")
        exact = run_json("-m", model, *ids)["ids"]
        self.assertEqual(run("quantize", model, smaller, "--type", "q8_0").returncode, 0)
        self.assertLess(os.stat(smaller).st_size, 0.6 * os.stat(model).st_size)
        self.assertEqual(run_json("-m", smaller, *ids)["ids"][:1], exact[:1])
        self.assertEqual(run("quantize", model, smaller, "--type", "q9").returncode, 2)

    def test_announced_memory_is_kept(self):
        """Peak resident memory stays within file + cache + 10 % + 30 MB."""
        if b"asan" in pathlib.Path(PROGRAM).read_bytes():
            allowed = float("inf")
        else:
            plan = run_json("inspect", SMOLLM2, "--json", "-c", "2048")["memory"]
            allowed = 1.1 * (os.stat(SMOLLM2).st_size + plan["state"]) + 30e6
        process = subprocess.Popen([PROGRAM, "-m", str(SMOLLM2), "-c", "2048", "-p", "word " * 600, "-n", "32", "--ignore-eos", "-q"],
                                   stdout=subprocess.DEVNULL, env=llmgen.environment(), stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertLess(usage.ru_maxrss * 1024, allowed)

    def test_bench_profile_tells_where_a_step_goes(self):
        picture = self.folder / "profile.svg"
        report = run_json("bench", "-m", SMOLLM2, "-p", "16", "-n", "4", "-r", "1", "--profile", "--svg", picture, "--json")
        for row in report["results"]:
            profile = row["profile"]
            self.assertGreater(profile["steps"], 0)
            total = sum(o["percent"] for o in profile["operations"])
            self.assertGreater(total, 50)  # the rest is between operations, and what else the machine does
            self.assertLess(total, 100.5)
            names = {(o["part"], o["operation"]) for o in profile["operations"]}
            self.assertLessEqual({("feed-forward", "product"), ("mixer", "attention"), ("output", "product")}, names)
        self.assertTrue(picture.read_text().startswith("<svg"))
        chart = run("bench", "-m", SMOLLM2, "-p", "0", "-n", "4", "-r", "1", "--profile").stdout.decode()
        self.assertIn("feed-forward product", chart)
        self.assertIn("GB/s", chart)

    def test_bench_prints_rows_of_their_own(self):
        report = run_json("bench", "-m", SMOLLM2, "-p", "16", "-n", "4", "-r", "1", "--json")
        rows = [(r["n_prompt"], r["n_gen"]) for r in report["results"]]
        self.assertEqual(rows, [(16, 0), (0, 4)])
        for row in report["results"]:
            self.assertGreater(row["tokens_per_second"], 0)

    def test_completions_and_manual_name_every_command(self):
        helped = run("--help").stdout.decode()
        for shell in ("bash", "zsh", "fish"):
            script = run("completion", shell).stdout.decode()
            for name in ("tokenize", "batch", "--top-k"):
                self.assertIn(name.strip("-"), script)
        self.assertEqual(subprocess.run(["bash", "-n"], input=run("completion", "bash").stdout).returncode, 0)
        manual = run("man").stdout.decode()
        for word in ("tokenize", "perplexity", "inspect"):
            self.assertIn(word, helped)
            self.assertIn(word, manual)


if __name__ == "__main__":
    llmgen.main()
