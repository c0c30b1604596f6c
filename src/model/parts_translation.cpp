#include "model/parts_translation.h"

#include <fmt/format.h>

#include <cmath>

namespace llm::model {
namespace {

constexpr std::int64_t max_translation_width = 1 << 24;

Attention translation_attention(const Hyper& h, StackRole role) {
  const Key heads =
      role == StackRole::encoder ? Key{"", {"encoder_attention_heads"}} : Key{"", {"decoder_attention_heads"}};
  Attention a;
  a.n_head = a.n_head_kv = static_cast<int>(h.integer(heads, 1, 1 << 16));
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_translation_width);
  if (n_embd % a.n_head != 0) h.fail(heads, fmt::format("{}", a.n_head), fmt::format("a divisor of {}", n_embd));
  a.head_dim = static_cast<int>(n_embd / a.n_head);
  a.qkv_bias = a.output_bias = Presence::yes;
  return a;
}

}  // namespace

Norm translation_norm() {
  return {.kind = NormKind::layer, .eps = 1e-5f, .bias = Presence::yes};
}

Layer translation_layer(const Hyper& h, StackRole role, bool norms_before, Activation act) {
  const bool decodes = role == StackRole::decoder;
  const Key width = decodes ? Key{"", {"decoder_ffn_dim"}} : Key{"", {"encoder_ffn_dim"}};
  Attention a = translation_attention(h, role);
  a.causal = decodes;
  Layer layer{.mixers = {a},
              .ffn = Mlp{.width = static_cast<int>(h.integer(width, 1, max_translation_width)),
                         .activation = act,
                         .gated = false,
                         .bias = Presence::yes}};
  if (decodes) {
    layer.cross = translation_attention(h, role);
    layer.cross->cross = true;
  }
  const Norm norm = translation_norm();
  (norms_before ? layer.pre_mixer : layer.after_mixer) = norm;
  if (decodes) (norms_before ? layer.pre_cross : layer.after_cross) = norm;
  (norms_before ? layer.pre_ffn : layer.after_ffn) = norm;
  return layer;
}

void set_translation_embedding(const Hyper& h, ModelSpec& m, Positions positions, int position_offset,
                               bool scale_by_default) {
  m.n_position_max = h.integer(keys::n_context, 1, 1 << 24);
  for (Embedding* e : {&m.encoder.embedding, &m.decoder.embedding}) {
    if (h.flag_or({"", {"scale_embedding"}}, scale_by_default)) e->scale = std::sqrt(static_cast<float>(m.n_embd));
    e->positions = positions;
    e->position_offset = position_offset;
    e->n_positions = static_cast<int>(m.n_position_max) + position_offset;
  }
}

Naming translation_naming(StackRole role) {
  const bool decodes = role == StackRole::decoder;
  return {.prefixes = decodes ? std::vector<std::string_view>{"model.decoder.", "decoder."}
                              : std::vector<std::string_view>{"model.encoder.", "encoder."},
          .names = {{"token_embd", "embed_tokens"},
                    {"token_embd", "^model.shared"},
                    {"token_embd", "^shared"},
                    {"position_embd", "embed_positions"},
                    {"token_embd_norm", "layernorm_embedding"},
                    {"output_norm", "layer_norm"},
                    {"final_logits_bias.bias", "^final_logits_bias"},
                    {"attn_norm", "self_attn_layer_norm"},
                    {"attn_output_norm", "self_attn_layer_norm"},
                    {"attn_output", "self_attn.out_proj"},
                    {"cross_attn_norm", "encoder_attn_layer_norm"},
                    {"cross_attn_output_norm", "encoder_attn_layer_norm"},
                    {"cross_attn_q", "encoder_attn.q_proj"},
                    {"cross_attn_k", "encoder_attn.k_proj"},
                    {"cross_attn_v", "encoder_attn.v_proj"},
                    {"cross_attn_output", "encoder_attn.out_proj"},
                    {"ffn_norm", "final_layer_norm"},
                    {"layer_output_norm", "final_layer_norm"},
                    {"ffn_up", "fc1"},
                    {"ffn_down", "fc2"}}};
}

}  // namespace llm::model
