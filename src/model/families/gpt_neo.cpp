#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

bool is_local(const Hyper& h, int i) {
  const Key kinds{"", {"attention_layers"}};
  h.use({"", {"attention_types"}});
  const std::vector<std::string> list = h.texts(kinds).value_or(h.repeated_texts({"", {"attention_types"}}));
  if (list.size() != static_cast<std::size_t>(h.n_layer())) {
    h.fail(kinds, std::to_string(list.size()) + " entries", std::to_string(h.n_layer()));
  }
  const std::string& kind = list[static_cast<std::size_t>(i)];
  if (kind != "local" && kind != "global") h.fail(kinds, kind, "local or global");
  return kind == "local";
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.scale = 1;
  a.output_bias = Presence::yes;
  const std::int64_t window = h.integer_or({"", {"window_size"}}, 256, 1);
  if (is_local(h, i)) set_window(a, window);
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m);
}

}  // namespace

const Family gpt_neo_family{.name = "gpt_neo",
                            .hugging_face = {"gpt_neo"},
                            .special = "global and windowed layers; scores not scaled; learned positions",
                            .defaults = {.tied = true},
                            .norm = norm,
                            .layer = layer,
                            .finish = finish,
                            .naming = {.prefixes = {"transformer.", ""},
                                       .layer = "h.{}.",
                                       .names = {{"token_embd", "wte"},
                                                 {"position_embd", "wpe"},
                                                 {"output_norm", "ln_f"},
                                                 {"attn_norm", "ln_1"},
                                                 {"ffn_norm", "ln_2"},
                                                 {"ffn_up", "mlp.c_fc"},
                                                 {"ffn_down", "mlp.c_proj"},
                                                 {"attn_q", "attn.attention.q_proj"},
                                                 {"attn_k", "attn.attention.k_proj"},
                                                 {"attn_v", "attn.attention.v_proj"},
                                                 {"attn_output", "attn.attention.out_proj"}}}};

}  // namespace llm::model
