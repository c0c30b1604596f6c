#!/usr/bin/env python3
"""Random texts through llmgen and through the library that a vocabulary comes from; prints what differs.

    python tools/compare_tokenizer_texts.py --llmgen build/test/tools/llmgen --texts 20000 VOCABULARY ...

VOCABULARY is a GGUF file (gpt2, llama, bert, t5, gemma4: rebuilt from its tokens with `tokenizers` or `sentencepiece`), a
folder with a tokenizer.json, a SentencePiece model or a tiktoken file with its JSON. Texts are drawn from all of Unicode:
unassigned characters, joiners, jamo, marks, controls, byte order marks, the texts of special tokens. Ends with status 1
if any ids or decoded texts differ.
"""

import argparse
import base64
import json
import os
import random
import sys
import unicodedata

from compare_tokenizers import PATTERNS, Vocabulary
from make_tokenizer_zoo import NASTY, WORDS, answers

CONTROL, USER_DEFINED = 3, 4
RANGES = [
    (0x20, 0x7F), (0x20, 0x7F), (0, 0x20), (0x80, 0x100), (0x100, 0x300), (0x300, 0x370), (0x370, 0x600), (0x600, 0x700),
    (0x900, 0xE00), (0xE00, 0x1000), (0x1100, 0x1200), (0x1200, 0x1AB0), (0x1AB0, 0x1F00), (0x1F00, 0x2000), (0x2000, 0x2070),
    (0x2070, 0x2E80), (0x2E80, 0x3400), (0x3400, 0xA000), (0xA000, 0xAC00), (0xAC00, 0xD7B0), (0xD7B0, 0xD800), (0xE000, 0xE010),
    (0xF900, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x12000), (0x16000, 0x17000), (0x1B000, 0x20000), (0x20000, 0x32400),
    (0xE0000, 0xE0200), (0x100000, 0x110000), (0, 0x110000),
]  # fmt: skip
MORE = ["\0", "\x1f", "\x9f", "\xad", "\u1100\u1161\u11a8", "\u1161", "\u11a8", "가\u11a8", "\u0301\u0323", "\u0344", "\u0f73", "か\u3099",
        "\u2800", "\u0378", "\U000105c9", "\U00016d67", "\ufffe", "\uffff", "\U000e0020", "\n \n", " \t", "123", "1234", "12345678"]  # fmt: skip

# Where one pattern cuts the pieces of another.
SEVERAL = {
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", PATTERNS["gpt-2"], "[0-9][0-9][0-9]"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+", r"\p{N}"],
}


def texts(r, n, extra):
    made = []
    while len(made) < n:
        parts = []
        for _ in range(r.choice([1, 2, 3, 4, 6, 9, 14])):
            kind = r.random()
            if kind < 0.45:
                parts.append(r.choice(r.choice([NASTY, MORE])))
            elif kind < 0.62:
                parts.append(r.choice(WORDS))
            elif kind < 0.7 and extra:
                parts.append(r.choice(extra))
            else:
                low, high = r.choice(RANGES)
                codes = [r.randrange(low, high) for _ in range(r.randint(1, 5))]
                parts.append("".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000))
            if r.random() < 0.25:
                parts.append(" ")
        text = "".join(parts)
        if text:
            made.append(text)
    return made


def added(v, tokenizer):
    from tokenizers import AddedToken

    for user, kinds in ((False, (2, CONTROL)), (True, (USER_DEFINED,))):
        tokens = [AddedToken(t, special=not user, normalized=False) for t, k in zip(v.tokens, v.kinds or []) if k in kinds]
        (tokenizer.add_tokens if user else tokenizer.add_special_tokens)(tokens)


def library_of_gguf(path):
    """(encode(text), whether texts are to be in NFC, texts that are not compared)."""
    v = Vocabulary(path)
    if v.model in ("llama", "t5"):
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2 as pb

        model = pb.ModelProto()
        model.trainer_spec.model_type = pb.TrainerSpec.BPE if v.model == "llama" else pb.TrainerSpec.UNIGRAM
        model.trainer_spec.byte_fallback = 6 in v.kinds
        model.normalizer_spec.add_dummy_prefix = v.get("add_space_prefix", True)
        model.normalizer_spec.remove_extra_whitespaces = v.get("remove_extra_whitespaces", False)
        model.normalizer_spec.precompiled_charsmap = bytes(x & 255 for x in v.get("precompiled_charsmap", []))
        unknown = v.kinds.index(2)
        model.trainer_spec.unk_piece = v.tokens[unknown]
        for i, (token, score, kind) in enumerate(zip(v.tokens, v.scores, v.kinds)):
            model.pieces.add(piece=token, score=score, type=CONTROL if kind == 2 and i != unknown else kind)
        # What the file types as user-defined becomes a control token if its text ends an answer.
        return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()).EncodeAsIds, False, ["</s>"]
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    if v.model == "bert":
        ids = {}
        for i, (token, kind) in enumerate(zip(v.tokens, v.kinds)):
            plain = kind == CONTROL or (token[0] == "[" and token[-1] == "]" and len(token) > 2)
            ids[token if plain else token[1:] if token[0] == "▁" else "##" + token] = i
        t = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
        t.normalizer = normalizers.BertNormalizer(
            lowercase=v.get("normalizer.lowercase", True), strip_accents=v.get("normalizer.strip_accents")
        )
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        ids = {token: i for i, token in enumerate(v.tokens)}
        merges = [(m[: m.index(" ", 1)], m[m.index(" ", 1) + 1 :]) for m in v.merges]
        if v.model == "gemma4":
            t = Tokenizer(models.BPE(vocab=ids, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
            t.normalizer = normalizers.Replace(" ", "▁")
        else:
            t = Tokenizer(models.BPE(vocab=ids, merges=merges, ignore_merges=v.pre == "llama-bpe"))
            patterns = SEVERAL.get(v.pre) or [PATTERNS[v.pre]]
            splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
            t.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    added(v, t)
    t.encode_special_tokens = True
    return lambda text: t.encode(text, add_special_tokens=False).ids, v.pre == "qwen2", []


class Comparison:
    def __init__(self, options, path):
        self.llmgen, self.path, self.n_texts, self.n_different = options.llmgen, path, 0, 0
        self.random, self.count = random.Random(f"{options.seed} {os.path.basename(path)}"), options.texts

    def check(self, what, inputs, wanted, command="tokenize", key="ids", flags=()):
        pairs = [(x, w) for x, w in zip(inputs, wanted) if not (isinstance(w, str) and "\ufffd" in w)]
        got = answers(self.llmgen, command, self.path, key, [x for x, _ in pairs], list(flags))
        wrong = [(x, w, g) for (x, w), g in zip(pairs, got) if w != g]
        self.n_texts += len(pairs)
        self.n_different += len(wrong)
        if wrong:
            print(self.path, what, *(json.dumps(x)[:300] for x in min(wrong, key=lambda w: len(w[0]))), sep="\n  ")

    def gguf(self):
        encode, nfc, left_out = library_of_gguf(self.path)
        inputs = [unicodedata.normalize("NFC", t) if nfc else t for t in texts(self.random, self.count, [])]
        inputs = [t for t in inputs if not any(x in t for x in left_out)]
        self.check("ids", inputs, map(encode, inputs))

    def huggingface(self):
        from tokenizers import Tokenizer

        file = os.path.join(self.path, "tokenizer.json")
        t = Tokenizer.from_file(file)
        contents = [a["content"] for a in json.load(open(file, encoding="utf-8"))["added_tokens"]]
        inputs = texts(self.random, self.count, contents)
        for raw, special, flags in ((True, False, []), (False, False, ["--parse-special"]), (False, True, ["--parse-special", "--add-special"])):
            t.encode_special_tokens = raw
            ids = [e.ids for e in t.encode_batch(inputs, add_special_tokens=special)]
            self.check(" ".join(flags) or "ids", inputs, ids, flags=flags)
        for skip, flags in ((True, []), (False, ["--special"])):
            self.check("decoded", ids, t.decode_batch(ids, skip_special_tokens=skip), "detokenize", "text", flags)

    def sentencepiece(self):
        import sentencepiece

        sp = sentencepiece.SentencePieceProcessor(model_file=self.path)
        pieces = [sp.IdToPiece(i) for i in range(min(60, sp.GetPieceSize()))]
        inputs = [t.replace("\0", "") for t in texts(self.random, self.count, pieces)]
        ids = [sp.EncodeAsIds(t) for t in inputs]
        self.check("ids", inputs, ids)
        self.check("decoded", ids, [sp.DecodeIds(i) for i in ids], "detokenize", "text")

    def tiktoken(self):
        import tiktoken

        settings = json.load(open(os.path.splitext(self.path)[0] + ".json", encoding="utf-8"))
        ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(self.path, "rb") if line.strip())}
        specials = settings["special_tokens"]
        encoding = tiktoken.Encoding("own", pat_str=settings["pat_str"], mergeable_ranks=ranks, special_tokens=specials)
        inputs = texts(self.random, self.count, list(specials))
        self.check("ids", inputs, map(encoding.encode_ordinary, inputs))
        self.check("--parse-special", inputs, [encoding.encode(t, allowed_special="all") for t in inputs], flags=["--parse-special"])

    def run(self):
        kinds = {".gguf": self.gguf, ".model": self.sentencepiece, ".tiktoken": self.tiktoken}
        kinds.get(os.path.splitext(self.path)[1], self.huggingface)()
        print(f"{os.path.basename(os.path.normpath(self.path))}: {self.n_texts} compared, {self.n_different} differ", flush=True)
        return self.n_different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llmgen", required=True)
    parser.add_argument("--texts", type=int, default=20_000, help="of each vocabulary")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("vocabularies", nargs="+")
    options = parser.parse_args()
    sys.exit(1 if sum(Comparison(options, path).run() for path in options.vocabularies) else 0)


if __name__ == "__main__":
    main()
