#include "model/naming.h"

#include <algorithm>

namespace llm::model {
namespace {

constexpr TensorName common[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"output", "^lm_head"},
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
    {"ffn_up_exps", "mlp.experts.{}.up_proj"},
    {"ffn_down_exps", "mlp.experts.{}.down_proj"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"},
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
};

constexpr std::string_view inert_endings[] = {
    "rotary_emb.inv_freq",
    "attn.masked_bias",
    "attn.bias",
    "attention.masked_bias",
    "attention.bias",
    "position_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    "pooler.weight",
    "pooler.bias",
    // Encoder-decoders: further copies of one table of tokens, tables of sinusoids, distances in cross attention.
    "model.shared.weight",
    "coder.embed_tokens.weight",
    "coder.embed_positions.weights",
    "coder.embed_positions.weight",
    "EncDecAttention.relative_attention_bias.weight",
    "cross_attn_rel_b.weight",
};

}  // namespace

std::span<const TensorName> common_names() {
  return common;
}

bool is_inert_tensor(std::string_view name) {
  return std::any_of(std::begin(inert_endings), std::end(inert_endings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace llm::model
