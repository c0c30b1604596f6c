#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  // The converter reorders the rows of q and k so that rotary pairs are neighbours; llama2.c files have them so.
  const bool adjacent = h.flag_or({"", {"rope_interleave"}}, false);
  Attention a = attention(h, i,
                          {.n_head_kv = h.architecture() == "mistral" ? 8 : 0,
                           .gguf_pairing = RopePairing::adjacent,
                           .pairing = adjacent ? RopePairing::adjacent : RopePairing::halves});
  // GGUF files of relatives may scale scores, or queries by their position.
  const Key scale{"attention.scale"}, temperature{"attention.temperature_scale"};
  if (h.gguf()) a.scale = static_cast<float>(h.number_or(scale, 0, 0));
  if (h.number_or(temperature, 0) != 0) h.fail(temperature, "a scale of queries by position", "0 (not supported)");
  const bool mistral = h.architecture() == "mistral";
  if (mistral || h.gguf()) {
    set_window(a, h.is_null(keys::window) ? 0 : h.integer_or(keys::window, mistral ? 4096 : 0, 0));
  }
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  const Activation act = activation(h, Activation::silu);
  if (h.gguf() && h.integer_or(keys::n_experts, 0) > 0) {  // Mixtral
    Experts e = experts(h, i, act);
    e.router.normalize = true;
    l.ffn = e;
  } else {
    l.ffn = mlp(h, i, act);
  }
  return l;
}

Layer embedding_layer(const Hyper& h, int i) {
  Layer l = layer(h, i);
  std::get<Attention>(l.mixers.front()).causal = false;
  return l;
}

Layer eurobert_layer(const Hyper& h, int i) {
  Layer l = embedding_layer(h, i);
  auto& a = std::get<Attention>(l.mixers.front());
  a.rope.pairing = RopePairing::halves;
  a.gguf_interleaves = false;
  return l;
}

// The head of masked-token models is an output matrix alone.
void finish_eurobert(const Hyper& h, ModelSpec& m) {
  h.use({"", {"mask_token_id"}});
  h.use({"", {"classifier_pooling"}});
  m.head.exists = !h.gguf() && h.file().find_tensor("lm_head.weight") != nullptr;
  if (h.has(keys::mlp_bias)) m.head.bias = by_key(h, keys::mlp_bias, false);
}

}  // namespace

const Family eurobert_family{.name = "eurobert",
                             .gguf = {"eurobert"},
                             .hugging_face = {"eurobert"},
                             .special = "llama as an encoder",
                             .kind = ModelKind::encoder,
                             .norm = norm,
                             .layer = eurobert_layer,
                             .finish = finish_eurobert};

const Family llama_embed_family{.name = "llama-embed",
                                .gguf = {"llama-embed"},
                                .special = "llama as an encoder: every position sees all",
                                .kind = ModelKind::encoder,
                                .norm = norm,
                                .layer = embedding_layer};

const Family llama_family{.name = "llama",
                          .gguf = {"llama", "internlm2", "xverse", "mistral3"},
                          .hugging_face = {"llama", "mistral"},
                          .special = "the plain decoder: RMS norm, grouped queries, rotary positions, gated silu",
                          .norm = norm,
                          .layer = layer,
                          // GGUF files of mixtral are read here; adapters of PEFT name their experts so.
                          .naming = {.names = {{"ffn_gate_inp", "block_sparse_moe.gate"},
                                               {"ffn_gate_exps", "block_sparse_moe.experts.{}.w1"},
                                               {"ffn_up_exps", "block_sparse_moe.experts.{}.w3"},
                                               {"ffn_down_exps", "block_sparse_moe.experts.{}.w2"}}}};

}  // namespace llm::model
