#!/usr/bin/env python3
"""Tokenizer speed beside llama.cpp, Hugging Face tokenizers and SentencePiece, on one thread.

    python tools/compare_tokenizers.py --bench BUILD/tests/bench/bench_tokenizer TEXT VOCABULARY.gguf ...

TEXT holds documents separated by byte 0x1e (`--make-text TEXT` writes 10 MB of mixed text first). Each vocabulary is a
GGUF file; the peers are built from its tokens. Our side is the program bench_tokenizer, which is built with the tests.
llama.cpp comes through the Python package llama_cpp (LLAMA_CPP_LIB_PATH names the folder of another build of its
libraries); a peer whose package is not there is left out. Rounds alternate between all sides; the best of each counts.
"""

import argparse
import ctypes
import json
import os
import random
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

# Split patterns of the original tokenizers, by tokenizer.ggml.pre.
PATTERNS = {
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def make_text(path: str, n_bytes: int = 10_000_000) -> None:
    """Prose-like words 45 %, code 30 %, Chinese 15 %, numbers 10 %."""
    r = random.Random(7)
    syllables = "the an in er on re ed ing or to it is ar te se me de ver com con ti al ly ness st tr pl".split()
    lexicon = ["".join(r.choice(syllables) for _ in range(r.randint(1, 4))) for _ in range(20_000)]
    weights = [1 / (i + 3) for i in range(len(lexicon))]
    hanzi = [chr(r.randrange(0x4E00, 0x9000)) for _ in range(1500)]
    documents, n = [], 0
    while n < n_bytes:
        kind = r.random()
        if kind < 0.45:
            text = "".join(w + r.choice([" "] * 9 + [", ", ". ", ".\n"]) for w in r.choices(lexicon, weights, k=700))
        elif kind < 0.75:
            names = r.choices(lexicon, weights, k=300)
            text = "".join(
                f"{'    ' * r.randint(0, 4)}{a}_{b} = {c}({r.randint(0, 999)}, '{a}');\n"
                for a, b, c in zip(names, names[1:], names[2:])
            )
        elif kind < 0.9:
            text = "".join("".join(r.choices(hanzi, k=r.randint(3, 12))) + r.choice("，。！；、") for _ in range(160))
        else:
            text = " ".join(f"{r.random() * 10 ** r.randint(0, 9):.{r.randint(0, 6)}f}" for _ in range(400))
        documents.append(text)
        n += len(text.encode())
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("\x1e".join(documents))


class Vocabulary:
    def __init__(self, path: str):
        import gguf

        fields = gguf.GGUFReader(path).fields
        self.path, self.fields = path, fields
        get = self.get
        self.model, self.pre = get("model"), get("pre", "default")
        self.tokens, self.kinds = get("tokens"), get("token_type")
        self.scores, self.merges = get("scores"), get("merges")

    def get(self, name, default=None):
        field = self.fields.get("tokenizer.ggml." + name)
        return default if field is None else field.contents()


def tokenizers_of(v: Vocabulary):
    """An encoder by `tokenizers`, or None."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    if v.model != "gpt2" or v.pre not in PATTERNS:
        return None
    ids = {token: i for i, token in enumerate(v.tokens)}
    merges = [tuple(merge.split(" ", 1)) for merge in v.merges]
    t = Tokenizer(models.BPE(vocab=ids, merges=merges, ignore_merges=v.pre == "llama-bpe"))
    split = pre_tokenizers.Split(Regex(PATTERNS[v.pre]), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    return lambda text: len(t.encode(text, add_special_tokens=False).ids)


def sentencepiece_of(v: Vocabulary):
    """An encoder by `sentencepiece`, or None."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb

    if v.model != "llama":
        return None
    model = pb.ModelProto()
    for token, score, kind in zip(v.tokens, v.scores, v.kinds):
        model.pieces.add(piece=token, score=score, type=kind)
    model.trainer_spec.model_type = pb.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.remove_extra_whitespaces = False
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return lambda text: len(sp.EncodeAsIds(text))


def llama_cpp_of(v: Vocabulary):
    """An encoder by llama.cpp."""
    import llama_cpp

    @llama_cpp.llama_log_callback
    def quiet(level, text, data):
        pass

    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    llama_cpp_of.keep = quiet
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    vocab = llama_cpp.llama_model_get_vocab(llama_cpp.llama_model_load_from_file(v.path.encode(), parameters))
    room = 1 << 20
    ids = (llama_cpp.llama_token * room)()

    def encode(text):
        data = text.encode()
        return llama_cpp.llama_tokenize(vocab, data, len(data), ids, room, False, False)

    return encode


def llmgen_run(bench: str, text: str, path: str):
    """(bytes a second, tokens, seconds to load) of one run of bench_tokenizer."""
    environment = dict(os.environ, LLM_BENCH_TEXT=text, LLM_BENCH_VOCABULARIES=path)
    command = [bench, "--benchmark_format=json", "--benchmark_filter=load|encode", "--benchmark_min_time=0.5"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rows = {row["name"].split("/")[0]: row for row in json.loads(done.stdout)["benchmarks"]}
    encode = rows["encode"]
    seconds = encode["real_time"] / 1e3
    tokens = encode["items_per_second"] * encode["cpu_time"] / 1e3
    return os.path.getsize(text) / seconds, round(tokens), rows["load"]["real_time"] / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="the program bench_tokenizer")
    parser.add_argument("--make-text", action="store_true", help="write TEXT first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("text")
    parser.add_argument("vocabularies", nargs="*")
    a = parser.parse_args()
    if a.make_text:
        make_text(a.text)
    if not a.vocabularies:
        return
    if not a.bench:
        parser.error("--bench is needed")
    documents = open(a.text, encoding="utf-8", newline="").read().split("\x1e")
    n_bytes = sum(len(d.encode()) for d in documents)
    print("| vocabulary | llmgen load ms | llmgen MB/s | llama.cpp | tokenizers / SentencePiece | ratio to the best peer |")
    print("|---|---|---|---|---|---|")
    for path in a.vocabularies:
        v = Vocabulary(path)
        peers = {}
        for name, make in (("llama.cpp", llama_cpp_of), ("tokenizers", tokenizers_of), ("sentencepiece", sentencepiece_of)):
            try:
                encode = make(v)
            except ImportError as error:
                print(f"(no {name}: {error})")
                continue
            if encode is not None:
                peers[name] = encode
        speed, counts, load = {}, {}, 1e9
        for _ in range(a.rounds):
            ours, counts["llmgen"], seconds = llmgen_run(a.bench, a.text, path)
            load = min(load, seconds)
            speed["llmgen"] = max(speed.get("llmgen", 0), ours)
            for name, encode in peers.items():
                start = time.perf_counter()
                counts[name] = sum(encode(d) for d in documents)
                speed[name] = max(speed.get(name, 0), n_bytes / (time.perf_counter() - start))
        best = max([speed[name] for name in peers], default=float("nan"))
        other = "tokenizers" if "tokenizers" in peers else "sentencepiece"
        cell = {name: f"{speed[name] / 1e6:.2f}" if name in speed else "-" for name in ("llama.cpp", other)}
        name = os.path.basename(path).removeprefix("ggml-vocab-").removesuffix(".gguf")
        print(
            f"| {name} ({len(v.tokens)} tokens) | {load * 1e3:.0f} | {speed['llmgen'] / 1e6:.1f} | {cell['llama.cpp']} "
            f"| {cell[other]} ({other}) | {speed['llmgen'] / best:.1f} |"
        )
        if len(set(counts.values())) != 1:
            print(f"(numbers of tokens: {counts})")


if __name__ == "__main__":
    main()
