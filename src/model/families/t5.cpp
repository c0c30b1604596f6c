#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/quote.h"
#include "model/families/families.h"

namespace llm::model {
namespace {

constexpr Key n_buckets{"attention.relative_buckets_count", {"relative_attention_num_buckets"}};
constexpr Key max_distance{"", {"relative_attention_max_distance"}};

// A function on the values beside their number: scores are not scaled, distances have learned biases.
Attention t5_attention(const Hyper& h, bool both_sides) {
  Attention a;
  a.n_head = a.n_head_kv = static_cast<int>(h.integer(keys::n_head, 1, 1 << 16));
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, 1 << 20);
  const Key width{"attention.key_length", {"d_kv"}};
  a.head_dim = static_cast<int>(h.integer_or(width, h.gguf() ? n_embd / a.n_head : 64, 1, 1 << 20));
  a.value_dim = static_cast<int>(h.integer_or(keys::value_dim, a.head_dim, 1, 1 << 20));
  a.scale = 1;
  a.causal = !both_sides;
  a.relative.n_buckets =
      static_cast<int>(h.gguf() ? h.integer(n_buckets, 1, 1 << 16) : h.integer_or(n_buckets, 32, 1, 1 << 16));
  a.relative.max_distance = static_cast<int>(h.integer_or(max_distance, 128, 1, 1 << 20));
  a.relative.both_sides = both_sides;
  const int exact = a.relative.n_buckets / (both_sides ? 4 : 2);
  if (exact < 1) h.fail(n_buckets, fmt::format("{}", a.relative.n_buckets), "at least 4");
  if (a.relative.max_distance <= exact) {
    h.fail(max_distance, fmt::format("{}", a.relative.max_distance), fmt::format("more than {}", exact));
  }
  return a;
}

// "relu", "gated-gelu", "gated-silu" ...; the gelu of the gated form is the approximate one. GGUF files have a gate or
// not, and no other activations.
Mlp feed_forward(const Hyper& h, int i) {
  if (h.gguf()) {
    const bool gated = h.file().find_tensor("enc.blk.0.ffn_gate.weight") != nullptr;
    return mlp(h, i, activation(h, gated ? Activation::gelu_tanh : Activation::relu, Activation::gelu_tanh), gated);
  }
  const Key kind{"", {"feed_forward_proj"}};
  const std::string text = h.text_or(kind, h.architecture() == "t5" ? "relu" : "gated-gelu");
  const bool gated = text.starts_with("gated-");
  const std::string name = gated ? text.substr(6) : text;
  const Key named{"", {"dense_act_fn"}};
  const Activation act = gated && name == "gelu" ? Activation::gelu_tanh : activation_named(h, kind, name);
  if (h.has(named) && activation_named(h, named, h.text_or(named, "")) != act) {
    h.fail(named, formats::quote(h.text_or(named, "")), "the activation that feed_forward_proj names");
  }
  h.expect_flag({"", {"is_gated_act"}}, gated, "feed_forward_proj says so");
  return mlp(h, i, act, gated);
}

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer encoder_layer(const Hyper& h, int i) {
  return {.pre_mixer = norm(h), .mixers = {t5_attention(h, true)}, .pre_ffn = norm(h), .ffn = feed_forward(h, i)};
}

Layer decoder_layer(const Hyper& h, int i) {
  Attention cross = t5_attention(h, false);
  cross.cross = true;
  cross.relative = {};
  return {.pre_mixer = norm(h),
          .mixers = {t5_attention(h, false)},
          .pre_cross = norm(h),
          .cross = cross,
          .pre_ffn = norm(h),
          .ffn = feed_forward(h, i)};
}

// One matrix in three places needs its output scaled; scale_decoder_outputs says it where the flag of tied matrices
// says something else.
void finish(const Hyper& h, ModelSpec& m) {
  if (h.gguf()) h.use(keys::layer_norm_eps);  // the same number as the one that is read
  const bool tied_if_silent = h.gguf() || h.architecture() == "t5";
  const bool scales = h.flag_or({"", {"scale_decoder_outputs"}}, m.head.tied && (tied_if_silent || h.has(keys::tied)));
  if (scales) m.head.scale = 1 / std::sqrt(static_cast<float>(m.n_embd));
  if (!h.gguf()) m.head.tied = h.file().find_tensor("lm_head.weight") == nullptr;
}

// An encoder alone: embeddings of texts.
bool is_encoder_alone(const Hyper& h) {
  const auto classes = h.texts({"", {"architectures"}});
  return classes && std::any_of(classes->begin(), classes->end(),
                                [](const std::string& name) { return name.ends_with("EncoderModel"); });
}

void finish_encoder(const Hyper& h, ModelSpec& m) {
  for (const Key& key : {keys::n_decoder_layer, keys::decoder_start_token, keys::layer_norm_eps, keys::causal})
    h.use(key);
  h.use({"", {"scale_decoder_outputs"}});
  m.decoder.prefix = "enc.";
}

// Files hold the one epsilon under both names.
void gguf_keys(const ModelSpec& m, GgufKeys& keys) {
  keys["attention.layer_norm_epsilon"] = double{m.decoder.final_norm->eps};
}

const std::vector<TensorName> gguf_names = {{"token_embd", "^token_embd"},
                                            {"output", "^output"},
                                            {"attn_output", "attn_o"},
                                            {"cross_attn_output", "cross_attn_o"}};

Naming naming(bool decodes) {
  const auto name = [&](std::string_view encoder, std::string_view decoder) { return decodes ? decoder : encoder; };
  return {.prefixes = {name("encoder.", "decoder.")},
          .layer = "block.{}.layer.",
          .names = {{"token_embd", "^shared"},
                    {"token_embd", "embed_tokens"},
                    {"output_norm", "final_layer_norm"},
                    {"attn_norm", "0.layer_norm"},
                    {"attn_q", "0.SelfAttention.q"},
                    {"attn_k", "0.SelfAttention.k"},
                    {"attn_v", "0.SelfAttention.v"},
                    {"attn_output", "0.SelfAttention.o"},
                    {"attn_rel_b", "0.SelfAttention.relative_attention_bias"},
                    {"cross_attn_norm", "1.layer_norm"},
                    {"cross_attn_q", "1.EncDecAttention.q"},
                    {"cross_attn_k", "1.EncDecAttention.k"},
                    {"cross_attn_v", "1.EncDecAttention.v"},
                    {"cross_attn_output", "1.EncDecAttention.o"},
                    {"ffn_norm", name("1.layer_norm", "2.layer_norm")},
                    {"ffn_gate", name("1.DenseReluDense.wi_0", "2.DenseReluDense.wi_0")},
                    {"ffn_up", name("1.DenseReluDense.wi_1", "2.DenseReluDense.wi_1")},
                    {"ffn_up", name("1.DenseReluDense.wi", "2.DenseReluDense.wi")},
                    {"ffn_down", name("1.DenseReluDense.wo", "2.DenseReluDense.wo")}}};
}

}  // namespace

const Family t5_encoder_family{.name = "t5encoder",
                               .gguf = {"t5encoder"},
                               .hugging_face = {"t5", "mt5", "umt5"},
                               .special = "the encoder of t5 alone (T5EncoderModel)",
                               .claims = is_encoder_alone,
                               .kind = ModelKind::encoder,
                               .norm = norm,
                               .layer = encoder_layer,
                               .finish = finish_encoder,
                               .naming = naming(false),
                               .gguf_names = gguf_names,
                               .writing = {.keys = gguf_keys}};

const Family t5_family{
    .name = "t5",
    .gguf = {"t5"},
    .hugging_face = {"t5", "mt5", "umt5"},
    .special = "encoder-decoder: learned biases of bucketed distances, unscaled scores; tied or own output matrix",
    .defaults = {.tied = true, .decoder_start_token = 0},
    .kind = ModelKind::encoder_decoder,
    .norm = norm,
    .layer = decoder_layer,
    .encoder_layer = encoder_layer,
    .finish = finish,
    .naming = naming(true),
    .encoder_naming = naming(false),
    .gguf_names = gguf_names,
    .writing = {.keys = gguf_keys, .scaled_weights = true}};

}  // namespace llm::model
