#!/usr/bin/env python3
"""Writes cases.json: beam searches of transformers over the models of tests/data/golden, with random options.

Needs torch and transformers (made with 5.23). Run in this folder: python make_cases.py
"""
import json
import pathlib
import random

import torch
import transformers
from safetensors.torch import load_file

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
MODELS = ["t5", "t5-uneven", "marian", "marian-split-vocab", "bart-scale", "mbart", "pegasus", "m2m_100", "llama-gqa",
          "gpt2"]
N_CASES = 9  # of each model


def options(rng, vocab):
    o = {"num_beams": rng.choice([2, 3, 4, 6]), "max_new_tokens": rng.choice([1, 5, 9, 14]),
         "length_penalty": rng.choice([1.0, 0.0, 0.6, 2.0, -1.0]), "early_stopping": rng.choice([False, True, "never"]),
         "eos_token_id": rng.sample(range(2, vocab), rng.choice([1, 2, 4, 12]))}
    if rng.random() < 0.3: o["forced_bos_token_id"] = rng.randrange(2, vocab)
    if rng.random() < 0.3: o["forced_eos_token_id"] = o["eos_token_id"][0]
    if rng.random() < 0.3: o["min_new_tokens"] = rng.choice([2, 4])
    if rng.random() < 0.4: o["no_repeat_ngram_size"] = rng.choice([1, 2, 3])
    if rng.random() < 0.3:
        o["bad_words_ids"] = [rng.sample([t for t in range(2, vocab) if t not in o["eos_token_id"]], n)
                              for n in (1, 1, 2)]
    return o


def main():
    rng = random.Random(20)
    cases = []
    for name in MODELS:
        folder = GOLDEN / name
        config = json.loads((folder / "config.json").read_text())
        model = getattr(transformers, config["architectures"][0]).from_pretrained(folder, dtype=torch.float32).eval()
        model.double()
        expected = load_file(str(folder / "expected.safetensors"))
        ids = expected["input_ids"].long()[None]
        vocab = expected["logits"].shape[1]
        for _ in range(N_CASES):
            o = options(rng, vocab)
            o["num_return_sequences"] = o["num_beams"]
            if not model.config.is_encoder_decoder: o.pop("forced_bos_token_id", None)
            if o.get("forced_bos_token_id") in o["eos_token_id"]: continue  # it goes on beyond the only answer
            g = transformers.GenerationConfig(**o, do_sample=False, pad_token_id=model.config.pad_token_id or 0,
                                              bos_token_id=0, use_cache=False,
                                              decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None))
            with torch.no_grad():
                out = model.generate(ids, generation_config=g, return_dict_in_generate=True, output_scores=True,
                                     attention_mask=torch.ones_like(ids))
            start = 1 if model.config.is_encoder_decoder else ids.shape[1]
            beams = []
            for row, score, used in zip(out.sequences.tolist(), out.sequences_scores.tolist(), out.beam_indices):
                n = int((used >= 0).sum())
                beams.append({"ids": row[start:start + n], "score": score})
            del o["num_return_sequences"]
            cases.append({"model": name, "options": o, "beams": beams})
    lines = ",\n".join(json.dumps(c) for c in cases)
    (pathlib.Path(__file__).parent / "cases.json").write_text("[\n" + lines + "\n]\n")


main()
