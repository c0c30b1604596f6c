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
    {"name": "llama-embeddings", "model": "llama-gqa", "gguf": True, "config": {
        "r": 4, "lora_alpha": 8, "target_modules": ["embed_tokens", "lm_head", "q_proj"]}},
    {"name": "gemma2-embeddings", "model": "gemma2", "config": {
        "r": 3, "lora_alpha": 2, "target_modules": ["embed_tokens", "v_proj"]}},
]
# Adapters of single experts, as PEFT wrote them before transformers joined the matrices of all experts: the tensors are
# made here, and the logits are those of the model with scale * B A added to its weights.
EXPERT_CASES = [
    {"name": "mixtral-experts", "model": "mixtral", "gguf": True, "r": 4, "alpha": 6,
     "modules": ["block_sparse_moe.gate", "self_attn.q_proj"] + [f"block_sparse_moe.experts.{e}.{w}" for e in range(4) for w in ("w1", "w2", "w3")]},
    {"name": "qwen3_moe-some-experts", "model": "qwen3_moe", "r": 3, "alpha": 3,
     "modules": ["mlp.experts.1.gate_proj", "mlp.experts.2.down_proj", "mlp.experts.3.down_proj", "mlp.experts.0.up_proj"]},
]


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=ids[None]).logits[0].contiguous()


def write_gguf(case, folder, out, args):
    if case.get("gguf") and args.convert:
        subprocess.run([sys.executable, args.convert, "--base", str(folder), "--outtype", "f32", "--outfile", str(out / "adapter.gguf"), str(out)], check=True)


def write_expert_case(case, args):
    folder = ROOT / "tests/data/golden" / case["model"]
    out = ROOT / "tests/data/lora" / case["name"]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.manual_seed(7)
    weights = load_file(folder / "model.safetensors")
    scale, adapter = case["alpha"] / case["r"], {}
    for name in sorted(weights):
        module = name.removesuffix(".weight")
        if not module.startswith("model.layers.") or module.split(".", 3)[3] not in case["modules"]:
            continue
        weight = weights[name].float()
        a, b = torch.randn(case["r"], weight.shape[1]) * 0.2, torch.randn(weight.shape[0], case["r"]) * 0.2
        adapter[f"base_model.model.{module}.lora_A.weight"] = a
        adapter[f"base_model.model.{module}.lora_B.weight"] = b
        weights[name] = weight + scale * b @ a
    ids = load_file(folder / "expected.safetensors")["input_ids"].long()
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(folder / "config.json", work)
        save_file({name: weight.float().contiguous() for name, weight in weights.items()}, pathlib.Path(work) / "model.safetensors", metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(work, dtype=torch.float32, attn_implementation="eager").eval()
        save_file({"input_ids": ids.int(), "logits": logits_of(model, ids)}, out / "expected.safetensors")
    save_file(adapter, out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"base_model_name_or_path": case["model"], "lora_alpha": case["alpha"], "peft_type": "LORA", "r": case["r"],
              "target_modules": sorted({module.rsplit(".", 1)[1] for module in case["modules"]}), "task_type": "CAUSAL_LM"}
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    write_gguf(case, folder, out, args)
    (out / "model.txt").write_text(case["model"] + "\n")
    print(case["name"], sorted(p.name for p in out.iterdir()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convert")
    parser.add_argument("--only", action="append", help="names of cases; all without it")
    args = parser.parse_args()
    for case in EXPERT_CASES:
        if not args.only or case["name"] in args.only:
            write_expert_case(case, args)
    for case in CASES:
        if args.only and case["name"] not in args.only:
            continue
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
        logits = logits_of(adapted, ids)
        with tempfile.TemporaryDirectory() as work:
            adapted.save_pretrained(work)
            out.mkdir(parents=True)
            shutil.copy(pathlib.Path(work) / "adapter_model.safetensors", out)
            config = json.loads((pathlib.Path(work) / "adapter_config.json").read_text())
            config["base_model_name_or_path"] = case["model"]
            (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        save_file({"input_ids": ids.int(), "logits": logits}, out / "expected.safetensors")
        write_gguf(case, folder, out, args)
        (out / "model.txt").write_text(case["model"] + "\n")
        print(case["name"], sorted(p.name for p in out.iterdir()))


if __name__ == "__main__":
    main()
