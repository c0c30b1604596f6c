#include <bit>
#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

// The factor of ALiBi goes through bfloat16 in the original code.
float rounded(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

Layer layer(const Hyper& h, int i) {
  const bool grouped = h.flag_or({"", {"new_decoder_architecture"}}, false);
  const bool one_head = h.flag_or({"", {"multi_query"}}, true), alibi = h.flag_or({"", {"alibi"}}, false);
  const bool parallel = h.flag_or({"", {"parallel_attn"}}, true);
  if (grouped && !parallel) h.fail({"", {"parallel_attn"}}, "false", "true with new_decoder_architecture");
  Attention a = attention(h, i, {.has_rope = !alibi});
  a.gguf_reorders_qkv = true;
  h.use(keys::rope_base);
  if (!h.gguf()) {
    const std::int64_t n_kv = h.integer_or({"", {"num_kv_heads"}}, a.n_head, 1, a.n_head);
    a.n_head_kv = grouped ? static_cast<int>(n_kv) : one_head ? 1 : a.n_head;
    if (a.n_head % a.n_head_kv != 0) h.fail({"", {"num_kv_heads"}}, "no divisor of the heads", "a divisor");
    a.fused_order = !grouped && one_head ? QkvOrder::blocks : QkvOrder::per_head;
  }
  if (alibi) {
    a.alibi_slopes = alibi_slopes(a.n_head);
    for (float& s : a.alibi_slopes) s = rounded(s) / std::sqrt(static_cast<float>(a.head_dim));
  }
  const Presence bias = by_key(h, {"", {"bias"}}, false);
  a.qkv_bias = a.output_bias = bias;
  const int width = 4 * static_cast<int>(h.integer(keys::n_embd));
  Mlp m = mlp(h, i, activation(h, Activation::gelu_erf), false,
              static_cast<int>(h.integer_or({"", {"ffn_hidden_size"}}, width, 1, 1 << 24)));
  m.bias = bias;
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .ffn = m, .parallel = parallel, .shared_norm = true};
  const bool two_norms = h.gguf() ? h.file().find_tensor("blk.0.attn_norm_2.weight") != nullptr
                                  : grouped && h.integer_or({"", {"num_ln_in_parallel_attn"}}, 2, 1, 2) == 2;
  if (two_norms) {
    l.shared_norm = false;
    l.pre_ffn = norm(h);
    l.pre_mixer->tensor = "attn_norm_2";
    l.pre_ffn->tensor = "ln_mlp";
  } else if (!parallel) {
    l.pre_ffn = norm(h);
  }
  return l;
}

}  // namespace

const Family falcon_family{.name = "falcon",
                           .gguf = {"falcon"},
                           .hugging_face = {"falcon"},
                           .special = "parallel block with one or two norms, one or few key/value heads; or ALiBi",
                           .defaults = {.tied = true},
                           .norm = norm,
                           .layer = layer,
                           .naming = {.prefixes = {"transformer.", ""},
                                      .layer = "h.{}.",
                                      .names = {{"token_embd", "word_embeddings"},
                                                {"output_norm", "ln_f"},
                                                {"attn_norm", "input_layernorm"},
                                                {"attn_norm_2", "ln_attn"},
                                                {"attn_qkv", "self_attention.query_key_value"},
                                                {"attn_output", "self_attention.dense"},
                                                {"ffn_norm", "post_attention_layernorm"},
                                                {"ffn_up", "mlp.dense_h_to_4h"},
                                                {"ffn_down", "mlp.dense_4h_to_h"}}},
                           .gguf_names = {{"ln_mlp", "attn_norm"}}};

}  // namespace llm::model
