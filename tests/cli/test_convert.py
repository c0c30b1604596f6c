"""convert, fill, embed: folders as GGUF files, masks, vectors; settings that a model recommends."""
import json
import math
import pathlib
import random
import shutil
import struct
import tempfile
import unittest

import llmgen
from llmgen import DATA, json_lines, run, run_json

GOLDEN = DATA / "golden"


def safetensors(path):
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]]) for name, t in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def words(count, special):
    """A tokenizer.json of whole words w0, w1 ...; `special`: id -> text."""
    vocab = {special.get(i, f"w{i}"): i for i in range(count)}
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, text in special.items()]
    return {"version": "1.0", "added_tokens": added, "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}}


class Convert(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def copy(self, entry):
        target = self.folder / entry
        target.mkdir()
        for name in ("config.json", "model.safetensors"):
            shutil.copy(GOLDEN / entry / name, target)
        return target

    def test_file_computes_what_the_folder_does(self):
        done = run("convert", GOLDEN / "llama-gqa", "-o", self.folder / "m.gguf")
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        results = []
        for model in (GOLDEN / "llama-gqa", self.folder / "m.gguf"):
            out = self.folder / "logits.safetensors"
            done = run("logits", "-m", model, "--ids", "1,5,9,20,33", "--exact", "--kv-type", "f32", "-o", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            data = safetensors(out)["logits"][2]
            results.append(struct.unpack(f"<{len(data) // 4}f", data))
        # Rows of q and k lie in another order in the file: sums over a head are rounded in another order.
        for folder, file in zip(*results):
            self.assertAlmostEqual(folder, file, delta=1e-4)

    def test_types(self):
        for name, shown in (("f32", "F32"), ("f16", "F16"), ("bf16", "BF16"), ("q8_0", "Q8_0")):
            done = run("convert", GOLDEN / "llama-gqa", "-o", self.folder / "m.gguf", "--type", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            types = {t["type"] for t in run_json("inspect", self.folder / "m.gguf", "--json")["types"]}
            self.assertIn(shown, types)
        done = run("convert", GOLDEN / "llama-gqa", "-o", self.folder / "m.gguf", "--type", "q9")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"q9", done.stderr)

    def test_says_what_it_wrote(self):
        done = run_json("convert", GOLDEN / "mixtral", "-o", self.folder / "m.gguf", "--json")
        self.assertEqual(done, {"output": str(self.folder / "m.gguf"), "architecture": "llama", "vocabulary": "", "left_out": [], "unread_elsewhere": []})

    def test_refusals_leave_nothing_behind(self):
        for model, code, text in ((GOLDEN / "albert", 5, b"albert"), (GOLDEN / "llama-gqa/model.gguf", 2, b"GGUF"), (self.folder / "no", 4, b"no"),
                                  (GOLDEN / "llama-rope-dynamic", 5, b"rope"), (GOLDEN / "qwen2-swa", 5, b"window")):
            done = run("convert", model, "-o", self.folder / "m.gguf")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1)
            self.assertEqual(list(self.folder.glob("m.gguf*")), [])

    def masked_bert(self):
        target = self.copy("bert")
        (target / "tokenizer.json").write_text(json.dumps(words(80, {0: "[PAD]", 1: "[CLS]", 2: "[SEP]", 3: "[MASK]", 4: "[UNK]"})))
        (target / "tokenizer_config.json").write_text(json.dumps({"mask_token": "[MASK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]"}))
        tensors = safetensors(target / "model.safetensors")
        draw = random.Random(1)
        def numbers(*shape, mean=0.0):
            n = 1
            for d in shape:
                n *= d
            return "F32", list(shape), struct.pack(f"<{n}f", *(mean + draw.gauss(0, 0.3) for _ in range(n)))
        tensors.update({"cls.predictions.transform.dense.weight": numbers(32, 32), "cls.predictions.transform.dense.bias": numbers(32),
                        "cls.predictions.transform.LayerNorm.weight": numbers(32, mean=1.0), "cls.predictions.transform.LayerNorm.bias": numbers(32),
                        "cls.predictions.bias": numbers(80)})
        write_safetensors(target / "model.safetensors", tensors)
        return target

    def test_two_embeddings_do_not_become_one_tensor(self):
        folder = self.copy("t5-gated-gelu")
        tensors = safetensors(folder / "model.safetensors")
        dtype, shape, data = tensors.pop("shared.weight")
        for other, code in ((data, 0), (data[2:] + data[:2], 5)):
            write_safetensors(folder / "model.safetensors", {**tensors, "encoder.embed_tokens.weight": (dtype, shape, data),
                                                             "decoder.embed_tokens.weight": (dtype, shape, other)})
            done = run("convert", folder, "-o", self.folder / "m.gguf")
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(b"two different tensors would be token_embd.weight", done.stderr)

    def test_fill(self):
        model = self.masked_bert()
        answer = run_json("fill", "-m", model, "-p", "w10 [MASK] w11 <mask>", "--top", "3", "--json")
        self.assertEqual([m["position"] for m in answer["masks"]], [2, 4])
        for mask in answer["masks"]:
            self.assertEqual(len(mask["candidates"]), 3)
            probabilities = [c["probability"] for c in mask["candidates"]]
            self.assertEqual(probabilities, sorted(probabilities, reverse=True))
            self.assertEqual(set(mask["candidates"][0]), {"id", "text", "token", "probability", "logprob"})
        done = run("fill", "-m", model, "-p", "w10 [MASK] w11 <mask>", "--top", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().split("\n")
        self.assertEqual([len(line.split("\t")) for line in lines], [2, 2, 1, 2, 2, 1])
        self.assertEqual(lines[0].split("\t")[1], answer["masks"][0]["candidates"][0]["text"])
        everything = run_json("fill", "-m", model, "-p", "[MASK]", "--top", "0", "--json")["masks"][0]["candidates"]
        self.assertAlmostEqual(sum(c["probability"] for c in everything), 1, places=5)

    def test_masked_models_do_not_generate(self):
        model = self.masked_bert()
        done = run("-m", model, "-p", "w10 w11")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"expected one that generates text", done.stderr)

    def test_fill_refusals(self):
        for args, code, text in ((("-m", self.masked_bert(), "-p", "w10 w11"), 2, b"[MASK]"), (("-m", GOLDEN / "bert", "--ids", "1,2"), 5, b"no head"),
                                 (("-m", GOLDEN / "llama-gqa", "--ids", "1,2"), 5, b"masked tokens")):
            done = run("fill", *args)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)

    def test_vocabulary_goes_with_the_model(self):
        model = self.masked_bert()
        done = run_json("convert", model, "-o", self.folder / "m.gguf", "--json")
        self.assertEqual(done["vocabulary"], "WordPiece")
        self.assertIn("output.bias", done["left_out"])
        vectors = [run_json("embed", "-m", m, "-p", "w10 w11, w12", "--exact", "--kv-type", "f32")["embedding"] for m in (model, self.folder / "m.gguf")]
        self.assertEqual(vectors[0], vectors[1])

    def test_embed_forms(self):
        model = self.masked_bert()
        lines = "w10 w11\nw12\n\nw13 w14 w15\n"
        out = run("embed", "-m", model, input=lines)
        rows = json_lines(out.stdout)
        self.assertEqual([r["index"] for r in rows], list(range(len(rows))))
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertAlmostEqual(sum(x * x for x in row["embedding"]), 1, places=5)
        one = run_json("embed", "-m", model, "-p", "w12")
        self.assertEqual(one["embedding"], rows[1]["embedding"])
        raw = run("embed", "-m", model, "--format", "raw", input=lines).stdout
        self.assertEqual(len(raw), 3 * 32 * 4)
        self.assertEqual(list(struct.unpack("<32f", raw[:128])), [struct.unpack("<f", struct.pack("<f", x))[0] for x in rows[0]["embedding"]])
        pooled = {p: run_json("embed", "-m", model, "-p", "w10 w11", "--pooling", p, "--no-normalize") for p in ("mean", "cls", "last", "none")}
        each = pooled["none"]["embeddings"]
        self.assertEqual(len(each), 4)
        self.assertEqual((pooled["cls"]["embedding"], pooled["last"]["embedding"]), (each[0], each[3]))
        for k in range(32):
            self.assertAlmostEqual(pooled["mean"]["embedding"][k], sum(row[k] for row in each) / 4, places=5)

    def test_embed_pooling_of_the_folder(self):
        model = self.masked_bert()
        (model / "1_Pooling").mkdir()
        for mode, name in (("pooling_mode_cls_token", "cls"), ("pooling_mode_mean_tokens", "mean"), ("pooling_mode_lasttoken", "last")):
            (model / "1_Pooling/config.json").write_text(json.dumps({mode: True}))
            self.assertEqual(run_json("embed", "-m", model, "-p", "w10 w11"), run_json("embed", "-m", model, "-p", "w10 w11", "--pooling", name))
            run("convert", model, "-o", self.folder / "m.gguf")
            self.assertEqual(run_json("embed", "-m", self.folder / "m.gguf", "-p", "w10 w11", "--exact"), run_json("embed", "-m", model, "-p", "w10 w11", "--exact"))
        (model / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
        done = run("embed", "-m", model, "-p", "w10")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"'max'", done.stderr)
        self.assertEqual(run("embed", "-m", model, "-p", "w10", "--pooling", "mean").returncode, 0)

    def with_projection(self, activation):
        model = self.masked_bert()
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
        (model / "modules.json").write_text(json.dumps([{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
                                                        for i, (path, kind) in enumerate(modules)]))
        for path, _ in modules[1:]:
            (model / path).mkdir()
        (model / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
        (model / "2_Dense/config.json").write_text(json.dumps({"in_features": 32, "out_features": 5, "bias": True, "activation_function": activation}))
        draw = random.Random(3)
        weight, bias = [draw.gauss(0, 1) for _ in range(5 * 32)], [draw.gauss(0, 1) for _ in range(5)]
        write_safetensors(model / "2_Dense/model.safetensors", {"linear.weight": ("F32", [5, 32], struct.pack("<160f", *weight)),
                                                                "linear.bias": ("F32", [5], struct.pack("<5f", *bias))})
        return model, weight, bias

    def test_embed_projects_as_the_modules_of_the_folder_say(self):
        model, weight, bias = self.with_projection("torch.nn.modules.activation.Tanh")
        rows = run_json("embed", "-m", model, "-p", "w10 w11", "--pooling", "none", "--no-normalize")["embeddings"]
        mean = [sum(column) / len(rows) for column in zip(*rows)]
        expected = [math.tanh(bias[k] + sum(w * x for w, x in zip(weight[32 * k:], mean))) for k in range(5)]
        found = run_json("embed", "-m", model, "-p", "w10 w11", "--no-normalize")["embedding"]
        self.assertEqual(len(found), 5)
        length = math.sqrt(sum(x * x for x in expected))
        unit = run_json("embed", "-m", model, "-p", "w10 w11")["embedding"]
        for k in range(5):
            self.assertAlmostEqual(found[k], expected[k], places=5)
            self.assertAlmostEqual(unit[k], expected[k] / length, places=5)
        self.assertEqual(len(run("embed", "-m", model, "-p", "w10 w11", "--format", "raw").stdout), 20)
        # GGUF files of bert have no place for the projection.
        done = run("convert", model, "-o", self.folder / "m.gguf")
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"Dense", done.stderr)

    def test_embed_refuses_modules_that_are_not_there(self):
        model, _, _ = self.with_projection("torch.nn.modules.activation.SELU")
        done = run("embed", "-m", model, "-p", "w10")
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"SELU", done.stderr)
        self.assertEqual(run("embed", "-m", model, "-p", "w10", "--pooling", "none").returncode, 0)
        modules = json.loads((model / "modules.json").read_text())
        modules[2]["type"] = "sentence_transformers.models.CNN"
        (model / "modules.json").write_text(json.dumps(modules))
        self.assertIn(b"models.CNN", run("embed", "-m", model, "-p", "w10").stderr)

    def test_says_what_other_engines_do_not_read(self):
        done = run("convert", GOLDEN / "mistral-swa", "-o", self.folder / "m.gguf", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["unread_elsewhere"], ["attention.sliding_window 8"])
        self.assertIn(b"other engines do not read attention.sliding_window 8", done.stderr)

    def test_recommended_settings_give_way_to_flags(self):
        model = self.copy("llama-gqa")
        (model / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.3, "top_k": 7, "top_p": 0.5}))
        run("convert", model, "-o", self.folder / "m.gguf")
        for path in (model, self.folder / "m.gguf"):
            said = run("-m", path, "--prompt-ids", "1,2,3", "-n", "2", "-v").stderr.decode()
            for text in ("--temperature 0.3", "--top-k 7", "--top-p 0.5"):
                self.assertIn(text, said)
            said = run("-m", path, "--prompt-ids", "1,2,3", "-n", "2", "-v", "--temp", "0.9", env={"LLMGEN_TOP_K": "3"}).stderr.decode()
            self.assertNotIn("--temperature", said)
            self.assertNotIn("--top-k", said)
            self.assertIn("--top-p 0.5", said)
        (model / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_p": 7}))
        done = run("-m", model, "--prompt-ids", "1,2,3", "-n", "2")
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"--top-p", done.stderr)
        self.assertEqual(run("-m", model, "--prompt-ids", "1,2,3", "-n", "2", "--top-p", "0.9").returncode, 0)


if __name__ == "__main__":
    llmgen.main()
