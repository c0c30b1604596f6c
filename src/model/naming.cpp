#include "model/naming.h"

#include <fmt/format.h>

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
    // of heads for masked tokens: the same numbers again
    "predictions.decoder.bias",
    "predictions.decoder.weight",
    "lm_head.decoder.bias",
    "lm_head.decoder.weight",
    "generator_lm_head.weight",
    "vocab_projector.weight",
    // of other tasks
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
    "sop_classifier.classifier.weight",
    "sop_classifier.classifier.bias",
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

std::string fill_number(std::string_view pattern, int number) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), number, pattern.substr(at + 2));
}

std::vector<std::string> all_renamed(std::span<const TensorName> names, std::string_view scope, std::string_view name,
                                     int number) {
  const std::size_t dot = name.rfind('.');
  std::vector<std::string> results;
  for (const bool is_whole : {true, false}) {
    for (const TensorName& known : names) {
      if (known.canonical != (is_whole ? name : name.substr(0, dot))) continue;
      std::string result = fill_number(known.actual, number);
      if (!is_whole) result += name.substr(dot);
      results.push_back(result.starts_with('^') ? result.substr(1) : std::string(scope) + result);
    }
    if (!results.empty()) break;
  }
  return results;
}

std::string renamed(std::span<const TensorName> names, std::string_view scope, std::string_view name, int number) {
  std::vector<std::string> all = all_renamed(names, scope, name, number);
  return all.empty() ? std::string() : std::move(all.front());
}

std::string gguf_name(const Family& family, std::string_view scope, std::string_view name) {
  std::string own = renamed(family.gguf_names, scope, name, 0);
  return own.empty() ? std::string(scope) + std::string(name) : own;
}

std::span<const TensorName> common_names() {
  return common;
}

bool is_inert_tensor(std::string_view name) {
  // Projections of joined vectors: not part of the forward pass.
  if (name.starts_with("dense_2.") || name.starts_with("dense_3.")) return true;
  if (name == "decoder.weight" || name.starts_with("discriminator_predictions.")) return true;
  return std::any_of(std::begin(inert_endings), std::end(inert_endings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace llm::model
