#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "formats/quote.h"
#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

constexpr Key logits_cap{"", {"logits_soft_cap"}};

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// The kinds of a block, repeated over the layers.
bool is_recurrent(const Hyper& h, int i) {
  const Key key{"", {"block_types"}};
  const std::vector<std::string> kinds =
      h.texts(key).value_or(std::vector<std::string>{"recurrent", "recurrent", "attention"});
  if (kinds.empty()) h.fail(key, "an empty array", "recurrent or attention");
  for (const std::string& kind : kinds) {
    if (kind != "recurrent" && kind != "attention") h.fail(key, formats::quote(kind), "recurrent or attention");
  }
  return kinds[static_cast<std::size_t>(i) % kinds.size()] == "recurrent";
}

RecurrentUnit recurrent_unit(const Hyper& h, int n_blocks, Activation act) {
  const Key width{"", {"lru_width"}};
  RecurrentUnit u;
  u.width = static_cast<int>(h.integer_or(width, h.integer(keys::n_embd), 1, 1 << 20));
  u.n_blocks = n_blocks;
  u.conv = conv_width(h, {"", {"conv1d_width"}}, 4);
  u.activation = act;
  if (u.width % n_blocks != 0) {
    h.fail(width, fmt::format("{}", u.width), fmt::format("a multiple of {} blocks", n_blocks));
  }
  return u;
}

Layer layer(const Hyper& h, int i) {
  const Activation act = activation(h, Activation::gelu_tanh);
  Attention a = attention(h, i, {.rope_fraction = 0.5});
  a.output_bias = Presence::yes;
  set_window(a, h.integer_or({"", {"attention_window_size"}}, 2048, 1));
  const RecurrentUnit unit = recurrent_unit(h, a.n_head, act);
  Mlp m = mlp(h, i, act);
  if (m.width < 2) h.fail(keys::n_ff, fmt::format("{}", m.width), "at least 2");
  m.width /= 2;
  m.bias = Presence::yes;
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h), .ffn = m};
  if (is_recurrent(h, i)) {
    l.mixers.emplace_back(unit);
  } else {
    l.mixers.emplace_back(a);
  }
  return l;
}

// To the nearest BF16 number, ties to even.
float rounded_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

void finish(const Hyper& h, ModelSpec& m) {
  h.expect_flag({"", {"embeddings_scale_by_sqrt_dim"}}, true, "embeddings are scaled");
  m.decoder.embedding.scale = rounded_to_bf16(std::sqrt(static_cast<float>(m.n_embd)));
  m.head.softcap = softcap(h, logits_cap, 30);
}

}  // namespace

const Family recurrent_gemma_family{
    .name = "recurrent_gemma",
    .hugging_face = {"recurrent_gemma"},
    .special = "linear recurrences with gates and a convolution, every third layer windowed attention",
    .defaults = {.tied = true},
    .norm = norm,
    .layer = layer,
    .finish = finish,
    .naming = {.names = {{"output_norm", "final_norm"},
                         {"attn_norm", "temporal_pre_norm"},
                         {"ffn_norm", "channel_pre_norm"},
                         {"attn_q", "temporal_block.q_proj"},
                         {"attn_k", "temporal_block.k_proj"},
                         {"attn_v", "temporal_block.v_proj"},
                         {"attn_output", "temporal_block.o_proj"},
                         {"ffn_gate", "mlp_block.gate_proj"},
                         {"ffn_up", "mlp_block.up_proj"},
                         {"ffn_down", "mlp_block.down_proj"},
                         {"lru_x", "temporal_block.linear_x"},
                         {"lru_y", "temporal_block.linear_y"},
                         {"lru_out", "temporal_block.linear_out"},
                         {"lru_conv", "temporal_block.conv_1d"},
                         {"lru_input_gate.weight", "temporal_block.rg_lru.input_gate_weight"},
                         {"lru_input_gate.bias", "temporal_block.rg_lru.input_gate_bias"},
                         {"lru_recurrent_gate.weight", "temporal_block.rg_lru.recurrent_gate_weight"},
                         {"lru_recurrent_gate.bias", "temporal_block.rg_lru.recurrent_gate_bias"},
                         {"lru_lambda.weight", "temporal_block.rg_lru.recurrent_param"}}},
    .rules = {{"*norm.weight", Adapt::plus_one}},
};

}  // namespace llm::model
