#!/usr/bin/env python3
"""Writes the adapters of tests/data/lora and what PEFT computes with them.

  make_lora_cases.py [--convert LLAMA_CPP/convert_lora_to_gguf.py]

The models are those of tests/data/golden. Needs torch, transformers and peft; with --convert the adapters that llama.cpp
can represent are written as GGUF too. Numbers are random with a fixed seed."""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = [
    {"name": "llama-all", "model": "llama-gqa", "gguf": True, "config": {"r": 4, "lora_alpha": 6, "target_modules": LINEAR}},
    {"name": "llama-head-rslora", "model": "llama-gqa", "config": {
        "r": 3, "lora_alpha": 5, "use_rslora": True, "target_modules": ["q_proj", "v_proj", "lm_head"],
        "rank_pattern": {"layers.1.self_attn.q_proj": 20}, "alpha_pattern": {"v_proj": 2.5}}},
    {"name": "gpt2-fused", "model": "gpt2", "config": {
        "r": 2, "lora_alpha": 4, "fan_in_fan_out": True, "target_modules": ["c_attn", "c_proj", "c_fc"]}},
    {"name": "qwen3", "model": "qwen3", "gguf": True, "config": {"r": 8, "lora_alpha": 8, "target_modules": LINEAR}},
    {"name": "phi3-fused", "model": "phi3", "gguf": True, "config": {
        "r": 5, "lora_alpha": 9, "target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}},
    {"name": "gpt_neox-fused", "model": "gpt_neox", "config": {
        "r": 4, "lora_alpha": 4, "target_modules": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]}},
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convert")
    args = parser.parse_args()
    for case in CASES:
        folder = ROOT / "tests/data/golden" / case["model"]
        if not folder.exists():
            print("no", folder, file=sys.stderr)
            continue
        out = ROOT / "tests/data/lora" / case["name"]
        shutil.rmtree(out, ignore_errors=True)
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **case["config"])).eval()
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        ids = load_file(folder / "expected.safetensors")["input_ids"].long()
        with torch.no_grad():
            logits = adapted(input_ids=ids[None]).logits[0]
        with tempfile.TemporaryDirectory() as work:
            adapted.save_pretrained(work)
            out.mkdir(parents=True)
            shutil.copy(pathlib.Path(work) / "adapter_model.safetensors", out)
            config = json.loads((pathlib.Path(work) / "adapter_config.json").read_text())
            config["base_model_name_or_path"] = case["model"]
            (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        save_file({"input_ids": ids.int(), "logits": logits.contiguous()}, out / "expected.safetensors")
        if case.get("gguf") and args.convert:
            subprocess.run([sys.executable, args.convert, "--base", str(folder), "--outtype", "f32", "--outfile", str(out / "adapter.gguf"), str(out)], check=True)
        (out / "model.txt").write_text(case["model"] + "\n")
        print(case["name"], sorted(p.name for p in out.iterdir()))


if __name__ == "__main__":
    main()
