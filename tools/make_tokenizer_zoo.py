#!/usr/bin/env python3
"""Random small tokenizers with cases: the options of tokenizer.json and SentencePiece models against their libraries.

    python tools/make_tokenizer_zoo.py --json 120 --sentencepiece 60 tests/data/tokenizers/zoo.json
    python tools/make_tokenizer_zoo.py --json 500 --seed 1000 --llmgen build/test/tools/llmgen /tmp/zoo.json

Needs the packages `tokenizers` and `sentencepiece`. Each entry holds a tokenizer ("tokenizer": the JSON, or
"sentencepiece": base 64 of the model) and "cases" with the fields of hf/*/cases.json. With --llmgen nothing is kept: the
program's answers are compared at once and what differs is printed.
"""

import argparse
import base64
import io
import json
import random
import subprocess
import tempfile

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

WORDS = (
    "the quick brown fox jumps over lazy dog Hello World hello world don't I'm we'll they've it's He'D naïve café Straße"
    " ĳ İstanbul ΑΒΓ ΣΊΣΥΦΟΣ привет МИР مرحبا שלום 你好 世界 日本語 ひらがな カタカナ 한국어 ไทย देवनागरी ১২৩ १२३ 123 4567 3.14"
    " 1,000 0x1F x2 iPhone15ProMax foo_bar __init__ a-b http://example.com/a?b=c&d=e <mask> <s> </s> [CLS] [UNK]"
    " <|endoftext|> <|im_start|> tok0 TOK1 ab<t2>cd"
).split()
NASTY = (
    ["é", "e\u0301", "\u0301", "a\u0300\u0316\u0301", "\u200d", "\u200c", "👨\u200d👩\u200d👧", "👍🏽", "🇩🇪🇫🇷", "ﬁ", "①", "Ⅷ"]
    + ["ｆｕｌｌ", "　", "\u00a0", "\u2009", "\u2028", "\u0085", "\x01", "\x7f", "\ufeff", "\ufffd", "▁", "▁▁", "##", "Ġ"]
    + ["ſ", "ß", "ẞ", "Ω", "K", "Å", "ﷺ", "가", "각", "\U0001f600", "\U0010ffff", "\U000e0001", "\U0001d400", "ǅ", "ŉ"]
    + ["\r\n", "\n\n", "\t", "  ", "   ", "...", "!?", "¿", "«»", "。", "、", "'", "’", "''", "`", "$", "+", "^", "~", "_"]
    + ["\\", "\u1680", "\u180e", "\u3164", "\u115f", "ा", "क्षि", "กำ", "\u0345", "\U00011930", "\U0001e900", "\uab70"]
    + ["<0x41>", "</w>", "\u034f", "\u2060", "²", "½", "٣", "〇", "㊿", "ⅷ", "\u061d", "\u2e55", "\u1c89", "\u32ff"]
)
REGEXES = [
    r"\s+", r"\d+", r"\p{N}", r"[0-9]{2}", r"\w+|[^\w\s]+", r"(?=\p{Lu})", r"[^\n]+|[\n]+", r"\b", r"[A-Z][a-z]*",
    r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"[\p{P}\p{S}]", r"\p{Han}+", r"[^\s\p{L}]", r"$", r"^",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?<=\d)(?=(\d{3})+(?!\d))", r".", r"[[:punct:]]", r"\h+", r"\R", r"\X", r"[\p{L}&&[^\p{Lu}]]+", r"\S+", r"\W+",
    r"\p{Lu}\p{Ll}*|\p{Ll}+", r"[^\W\d_]+", r"\p{^L}+", r"\P{L}+", r"[\u4e00-\u9fff]+", r"[\x{4e00}-\x{9fff}]+", r"\s{2,}",
    r"(\s)", r"(?<word>[a-z]+)", r"\d{1,3}(?=(?:\d{3})*\b)", r"[ \t]+|\n", r"\p{Greek}", r"[[a-z][0-9]]+", r"\D+", r"\x41",
    r"[a-z&&[^aeiou]]+", r"\p{L}+\Z", r"\A.", r"\p{Hiragana}|\p{Katakana}", r"(?i)the", r"(?m:.+)", r"[^\S\n]+", r"[\]\[]",
    r"(?>a+)b", r"(a|b)\1", r"[[:alnum:]]+", r"[^[:space:]]+", r"\p{Uppercase_Letter}", r"x{2}+", r"o{,2}l", r"\B", r"\H",
    r"[\w-]+", r"[\p{L}-]+", r"[^[a-m]]",
]  # fmt: skip
ADDED = ["<s>", "</s>", "<mask>", "[CLS]", "<|im_start|>", "<|endoftext|>", "tok0", "TOK1", "<t2>", "é", "Straße", "the"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def character(r):
    while True:
        top = r.choice([0x7F, 0x7F, 0x800, 0x3100, 0x10000, 0x20000, 0x110000])
        c = r.randrange(0x20, top)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def text(r, extra=()):
    parts = []
    mode = r.random()
    for _ in range(r.choice([0, 1, 1, 2, 3, 5, 8, 13, 20])):
        k = r.random() * (0.5 if mode < 0.3 else 1)
        if k < 0.45:
            parts.append(r.choice(WORDS))
        elif k < 0.5:
            parts.append(r.choice(["the", "qu", "er", "ing", "Th"]) * r.randrange(1, 4))
        elif k < 0.7:
            parts.append(r.choice(NASTY))
        elif k < 0.78 and extra:
            parts.append(r.choice(extra))
        elif k < 0.85:
            parts.append("".join(character(r) for _ in range(r.randrange(1, 5))))
        elif k < 0.9:
            parts.append(r.choice("0123456789") * r.randrange(1, 9))
        elif k < 0.93:
            parts.append(r.choice(NASTY) * r.randrange(1, 12))
        else:
            parts.append(r.choice(" \n\t\r ") * r.randrange(1, 6))
        if r.random() < 0.5:
            parts.append(" ")
    if r.random() < 0.01:
        parts.append(r.choice(WORDS) * 60)
    return "".join(parts)


class JsonZoo:
    """Tokenizers of random parts."""

    def __init__(self, r, charsmaps):
        self.r, self.charsmaps = r, charsmaps

    def flag(self, p=0.5):
        return self.r.random() < p

    def pattern(self):
        if self.flag(0.3):
            return {"String": self.r.choice([" ", "▁", "a", "the", "ab", " the", "\n", "."])}
        return {"Regex": self.r.choice(REGEXES)}

    def normalizer(self, inner=False):
        kinds = ["BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Nmt", "Replace"]
        kinds += ["Prepend"] + (["Precompiled"] if self.charsmaps else [])
        kind = self.r.choice(kinds if inner else kinds + [None, None, "Sequence", "ByteLevel"])
        if kind is None:
            return None
        part = {"type": kind}
        if kind == "Sequence":
            part["normalizers"] = [self.normalizer(True) for _ in range(self.r.randrange(1, 4))]
        elif kind == "BertNormalizer":
            part.update(clean_text=self.flag(), handle_chinese_chars=self.flag(), lowercase=self.flag())
            part["strip_accents"] = self.r.choice([None, True, False])
        elif kind == "Strip":
            part.update(strip_left=self.flag(), strip_right=self.flag())
        elif kind == "Replace":
            part.update(pattern=self.pattern(), content=self.r.choice(["", " ", "▁", "xy", "é"]))
        elif kind == "Prepend":
            part["prepend"] = self.r.choice(["▁", " ", "ab"])
        elif kind == "Precompiled":
            part["precompiled_charsmap"] = self.r.choice(self.charsmaps)
        return part

    def pre_tokenizer(self, inner=False):
        kinds = ["ByteLevel", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Metaspace", "CharDelimiterSplit"]
        kinds += ["Punctuation", "Split", "Split", "Split", "Digits", "UnicodeScripts", "FixedLength"]
        kind = self.r.choice(kinds if inner else kinds + [None, "Sequence", "Sequence"])
        if kind is None:
            return None
        part = {"type": kind}
        if kind == "Sequence":
            part["pretokenizers"] = [self.pre_tokenizer(True) for _ in range(self.r.randrange(1, 4))]
        elif kind == "ByteLevel":
            part.update(add_prefix_space=self.flag(), trim_offsets=True, use_regex=self.flag())
        elif kind == "Metaspace":
            part.update(replacement="▁", prepend_scheme=self.r.choice(["always", "first", "never"]), split=self.flag())
        elif kind == "CharDelimiterSplit":
            part["delimiter"] = self.r.choice([" ", "a", "▁", "é"])
        elif kind == "Punctuation":
            part["behavior"] = self.r.choice(BEHAVIORS)
        elif kind == "Split":
            part.update(pattern=self.pattern(), behavior=self.r.choice(BEHAVIORS), invert=self.flag())
        elif kind == "Digits":
            part["individual_digits"] = self.flag()
        elif kind == "FixedLength":
            part["length"] = self.r.choice([1, 2, 5])
        return part

    def decoder(self, inner=False):
        kinds = ["ByteLevel", "WordPiece", "Metaspace", "CTC", "BPEDecoder", "Replace", "Fuse", "Strip", "ByteFallback"]
        kind = self.r.choice(kinds if inner else kinds + [None] + ["Sequence"] * 4)
        if kind is None:
            return None
        part = {"type": kind}
        if kind == "Sequence":
            part["decoders"] = [self.decoder(True) for _ in range(self.r.randrange(1, 5))]
        elif kind == "WordPiece":
            part.update(prefix="##", cleanup=self.flag())
        elif kind == "Metaspace":
            part.update(replacement="▁", prepend_scheme=self.r.choice(["always", "first", "never"]), split=self.flag())
        elif kind == "CTC":
            part.update(pad_token="<pad>", word_delimiter_token="|", cleanup=self.flag())
        elif kind == "BPEDecoder":
            part["suffix"] = "</w>"
        elif kind == "Replace":
            part.update(pattern=self.pattern(), content=self.r.choice(["", " ", "▁", "x"]))
        elif kind == "Strip":
            part.update(content=self.r.choice([" ", "▁", "a"]), start=self.r.randrange(3), stop=self.r.randrange(2))
        return part

    def post_processor(self, ids):
        byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": self.flag(), "use_regex": True}
        kind = self.r.choice([None, "Template", "BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence"])
        if kind is None or not ids:
            return None
        start, end = self.r.choice(list(ids)), self.r.choice(list(ids))
        if kind == "ByteLevel":
            return byte_level
        if kind in ("BertProcessing", "RobertaProcessing"):
            part = {"type": kind, "sep": [end, ids[end]], "cls": [start, ids[start]]}
            if kind == "RobertaProcessing":
                part.update(trim_offsets=self.flag(), add_prefix_space=self.flag())
            return part
        special = {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (start, end)}
        a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
        s, e = {"SpecialToken": {"id": start, "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}
        single = self.r.choice([[s, a], [s, a, e], [a, e], [a]])
        part = {"type": "TemplateProcessing", "single": single, "pair": [s, a, e, b, e], "special_tokens": special}
        return part if kind == "Template" else {"type": "Sequence", "processors": [byte_level, part]}

    def model(self, tokenizer, corpus):
        kind = self.r.choice(["BPE", "BPE", "BPE", "Unigram", "WordPiece", "WordLevel"])
        size = self.r.choice([150, 300, 600])
        if kind == "BPE":
            affixes = {}
            if self.flag(0.2):
                affixes["continuing_subword_prefix"] = "##"
            if self.flag(0.2):
                affixes["end_of_word_suffix"] = "</w>"
            unknown = self.r.choice([None, "<unk>", "<unk>"])
            alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) if self.flag() else []
            tokenizer.model = models.BPE(**affixes)
            trainer = trainers.BpeTrainer(
                vocab_size=size + 300, initial_alphabet=alphabet, show_progress=False,
                special_tokens=["<unk>"] if unknown else [], **affixes)  # fmt: skip
        elif kind == "Unigram":
            tokenizer.model = models.Unigram()
            trainer = trainers.UnigramTrainer(
                vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)  # fmt: skip
        elif kind == "WordPiece":
            tokenizer.model = models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=self.r.choice([100, 20]))
            trainer = trainers.WordPieceTrainer(
                vocab_size=size + 300, special_tokens=["[UNK]"], show_progress=False,
                continuing_subword_prefix=self.r.choice(["##", "##", "@@"]))  # fmt: skip
        else:
            tokenizer.model = models.WordLevel(unk_token="[UNK]")
            trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["[UNK]"], show_progress=False)
        tokenizer.train_from_iterator(corpus, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        if kind == "BPE":
            model.update(unk_token=unknown, fuse_unk=self.flag(), ignore_merges=self.flag(0.3))
            if self.flag(0.3):
                model["byte_fallback"] = True
                for b in range(256):
                    model["vocab"].setdefault(f"<0x{b:02X}>", len(model["vocab"]))
        elif kind == "Unigram" and self.flag(0.3):
            model["byte_fallback"] = True
            model["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        return model

    def make(self):
        root = json.loads(Tokenizer(models.BPE()).to_str())
        root["normalizer"], root["pre_tokenizer"] = self.normalizer(), self.pre_tokenizer()
        corpus = [text(self.r) + " " + " ".join(self.r.choices(WORDS, k=20)) for _ in range(150)]
        root["model"] = self.model(Tokenizer.from_str(json.dumps(root)), corpus)
        vocab = root["model"]["vocab"]
        known = {x[0]: i for i, x in enumerate(vocab)} if isinstance(vocab, list) else dict(vocab)
        if max(known.values()) + 1 != len(vocab):
            raise ValueError("a vocabulary with gaps")
        ids, added, n = {}, [], len(vocab)
        for token in ADDED + ["<unk>", "[UNK]"]:
            if self.flag(0.3) or (token[0] in "<[" and "unk" in token.lower() and token not in known):
                continue
            ids[token] = known.get(token, n)
            n += token not in known
            special = self.flag() and token not in ("é", "the")
            plain = "unk" in token.lower()
            added.append({
                "id": ids[token], "content": token, "special": special or plain,
                "single_word": not plain and self.flag(0.25), "lstrip": not plain and self.flag(0.25),
                "rstrip": not plain and self.flag(0.25), "normalized": not plain and self.flag(0.1 if special else 0.5),
            })  # fmt: skip
        root["added_tokens"] = sorted(added, key=lambda a: a["id"])
        root["post_processor"], root["decoder"] = self.post_processor(ids), self.decoder()
        return root


def guarded(f, *arguments, **options):
    """The library ends some calls with a panic: then there is no answer to compare with."""
    try:
        return f(*arguments, **options)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def json_entry(r, charsmaps, n_cases):
    root = JsonZoo(r, charsmaps).make()
    t = Tokenizer.from_str(json.dumps(root))
    contents = [a["content"] for a in root["added_tokens"]]
    cases = []
    for _ in range(n_cases):
        case = {"text": text(r, contents)}
        for name, special, raw in (("ids", False, False), ("ids_special", True, False), ("ids_raw", False, True)):
            t.encode_special_tokens = raw
            encoding = guarded(t.encode, case["text"], add_special_tokens=special)
            case[name] = None if encoding is None else encoding.ids
        t.encode_special_tokens = False
        if None in case.values():
            continue
        for name, ids, skip in (("decoded", "ids", False), ("decoded_skip", "ids_special", True)):
            case[name] = guarded(t.decode, case[ids], skip_special_tokens=skip)
            # Bytes that are no UTF-8 stay as they are here.
            if case[name] is None or "\ufffd" in case[name]:
                del case[name]
        cases.append(case)
    return {"tokenizer": root, "cases": cases}


def sentencepiece_entry(r, n_cases):
    def flag(p=0.5):
        return r.random() < p

    kind = r.choice(["unigram", "unigram", "bpe", "bpe", "char", "word"])
    names = ["<sep>", "<cls>", "foo bar", " sp", "▁x", "é", "[X]", "ab"]
    user_defined = r.sample(names, r.randrange(4)) if flag() else []
    control = r.sample(["<ctl>", "<|im_start|>", "<mask>"], r.randrange(3)) if flag() else []
    lines = [" ".join(text(r).replace("\0", "").split()) + " " + " ".join(r.choices(WORDS, k=12)) for _ in range(150)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type=kind, vocab_size=r.choice([900, 1200]),
        character_coverage=r.choice([0.98, 0.995, 1.0]), byte_fallback=flag() and kind in ("unigram", "bpe"),
        add_dummy_prefix=flag(0.7), remove_extra_whitespaces=flag(), split_digits=flag(0.3), hard_vocab_limit=False,
        normalization_rule_name=r.choice(["identity"] * 4 + ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf"]),
        treat_whitespace_as_suffix=flag(0.2), split_by_whitespace=flag(0.8), allow_whitespace_only_pieces=flag(0.3),
        split_by_unicode_script=flag(), split_by_number=flag(), user_defined_symbols=user_defined,
        control_symbols=control, unk_surface=r.choice([" ⁇ ", "<U>"]), use_all_vocab=kind in ("char", "word"),
        minloglevel=3)  # fmt: skip
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    cases = []
    for _ in range(n_cases):
        case = {"text": text(r, user_defined + control).replace("\0", "")}
        case["ids"] = sp.encode(case["text"])
        decoded = sp.decode(case["ids"])
        if "\ufffd" not in decoded:
            case["decoded"] = decoded
        cases.append(case)
    return {"sentencepiece": base64.b64encode(model.getvalue()).decode(), "cases": cases}


def answers(llmgen, command, path, key, inputs, flags):
    lines = "".join(json.dumps({"text" if command == "tokenize" else "ids": x}) + "\n" for x in inputs)
    run = subprocess.run(
        [llmgen, command, "-m", path, "--jsonl", *flags], input=lines, capture_output=True, text=True, errors="replace"
    )
    if run.returncode != 0:
        raise ValueError(run.stderr.strip())
    return [json.loads(line)[key] for line in run.stdout.split("\n") if line]


def compare(llmgen, name, entry):
    """Prints the first difference of each kind; returns whether there was one."""
    is_json = "tokenizer" in entry
    suffix, data = ".json", json.dumps(entry.get("tokenizer")).encode()
    if not is_json:
        suffix, data = ".model", base64.b64decode(entry["sentencepiece"])
    checks = [("tokenize", "ids", "text", "ids", ["--parse-special"] if is_json else [])]
    if is_json:
        checks.append(("tokenize", "ids", "text", "ids_raw", []))
        checks.append(("tokenize", "ids", "text", "ids_special", ["--parse-special", "--add-special"]))
        checks.append(("detokenize", "text", "ids_special", "decoded_skip", []))
    checks.append(("detokenize", "text", "ids", "decoded", ["--special"] if is_json else []))
    different = False
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        for command, key, source, field, flags in checks:
            cases = [c for c in entry["cases"] if field in c]
            try:
                got = answers(llmgen, command, file.name, key, [c[source] for c in cases], flags)
            except ValueError as error:
                print(name, error)
                return True
            wrong = [(c[source], c[field], g) for c, g in zip(cases, got) if c[field] != g]
            if wrong:
                print(name, field, *(json.dumps(x)[:300] for x in min(wrong, key=lambda w: len(w[0]))), sep="\n  ")
                different = True
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=int, default=0, help="number of tokenizer.json files")
    parser.add_argument("--sentencepiece", type=int, default=0, help="number of SentencePiece models")
    parser.add_argument("--cases", type=int, default=25, help="texts of each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--charsmaps", nargs="*", default=[], help="tokenizer.json files to take character maps from")
    parser.add_argument("--llmgen", help="compare at once")
    parser.add_argument("output")
    a = parser.parse_args()
    charsmaps = []
    for path in a.charsmaps:
        parts = json.load(open(path, encoding="utf-8"))["normalizer"]
        for part in parts.get("normalizers", [parts]):
            charsmaps += [part["precompiled_charsmap"]] if part["type"] == "Precompiled" else []
    entries, n_different, n_done = [], 0, 0
    plan = [("json", i) for i in range(a.json)] + [("sentencepiece", i) for i in range(a.sentencepiece)]
    for kind, i in plan:
        r = random.Random(f"{kind} {a.seed + i}")
        try:
            entry = json_entry(r, charsmaps, a.cases) if kind == "json" else sentencepiece_entry(r, a.cases)
        except Exception as error:  # parts that the library does not take, vocabularies that it cannot train
            if a.llmgen is None:
                print(kind, a.seed + i, "left out:", str(error)[:100])
            continue
        n_done += 1
        if a.llmgen:
            n_different += compare(a.llmgen, f"{kind} {a.seed + i}", entry)
        else:
            entries.append(entry)
    if a.llmgen:
        print(f"{n_done} tokenizers, {n_different} with differences")
    else:
        with open(a.output, "w", encoding="utf-8") as file:
            json.dump(entries, file, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
