#include <fmt/format.h>

#include <algorithm>
#include <llm/error.hpp>

#include "formats/quote.h"
#include "model/family.h"
#include "model/parts.h"

namespace llm::model {
namespace {

Pooling pooling_of(const Hyper& h) {
  switch (h.integer(keys::pooling, 0, 4)) {
    case 1:
      return Pooling::mean;
    case 2:
      return Pooling::cls;
    case 3:
      return Pooling::last;
    case 4:
      return Pooling::rank;
    default:
      return Pooling::none;
  }
}

// Folders hold weights as they are or as MXFP4; other schemes pack them in ways of their own.
void check_quantization(const Hyper& h) {
  if (h.gguf()) return;
  const Key method{"", {"quantization_config.quant_method"}};
  if (!h.has({"", {"quantization_config"}})) return;
  const std::string name = h.text_or(method, "unknown");
  if (name != "mxfp4") h.fail(method, formats::quote(name), "mxfp4 or no quantization_config");
  h.use({"", {"quantization_config.modules_to_not_convert"}});
}

// GGUF files of embedding models say of a decoder that every position sees all: it ends with hidden states then.
void make_encoder(const Hyper& h, ModelSpec& m) {
  m.kind = ModelKind::encoder;
  m.head.exists = false;
  for (Layer& layer : m.decoder.layers) {
    for (MixerSpec& mixer : layer.mixers) {
      auto* a = std::get_if<Attention>(&mixer);
      if (a == nullptr) h.fail(keys::causal, "false", "true in a model with recurrences or latent attention");
      a->causal = false;
      if (a->window_kind == WindowKind::sliding) h.fail(keys::causal, "false", "true in a model with windows");
    }
  }
}

// The other stack, and how deep this one is.
void resolve_encoder(const Hyper& h, const Family& family, ModelSpec& m) {
  const std::int64_t n_encoder = h.integer(keys::n_encoder_layer, 1, Hyper::max_layers);
  m.n_layer = static_cast<int>(h.integer_or(keys::n_decoder_layer, n_encoder, 1, Hyper::max_layers));
  m.encoder.prefix = "enc.";
  m.decoder.prefix = "dec.";
  m.encoder.final_norm = m.decoder.final_norm;
  for (int i = 0; i < n_encoder; ++i) m.encoder.layers.push_back(family.encoder_layer(h, i));
  const std::int64_t start = h.integer_or(keys::decoder_start_token, family.defaults.decoder_start_token, -1);
  if (start < m.n_vocab) m.decoder_start_token = static_cast<int>(start);
}

}  // namespace

const Family* find_gguf_family(std::string_view architecture) {
  for (const Family* family : families()) {
    const auto& names = family->gguf;
    if (std::find(names.begin(), names.end(), architecture) != names.end()) return family;
  }
  return nullptr;
}

const Family& find_family(const Hyper& h) {
  const std::string& name = h.architecture();
  const Family* found = nullptr;
  for (const Family* family : families()) {
    const auto& names = h.gguf() ? family->gguf : family->hugging_face;
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (h.gguf() || family->claims == nullptr) {
      found = family;
    } else if (family->claims(h)) {
      return *family;
    }
  }
  if (found != nullptr) return *found;
  throw Error(ErrorCode::model,
              fmt::format("{}: {} {}, expected a known architecture (docs/models.md lists them)", h.file().path(),
                          h.gguf() ? "general.architecture" : "model_type", formats::quote(name)));
}

ModelSpec resolve(const Hyper& h, const Family& family) {
  ModelSpec m;
  m.family = std::string(family.name);
  m.architecture = h.architecture();
  m.kind = family.kind;
  check_quantization(h);
  m.n_embd = static_cast<int>(h.integer(keys::n_embd, 1, 1 << 20));
  m.n_vocab = n_vocab(h);
  m.n_vocab_source = m.n_vocab;
  m.n_context_train = h.gguf() ? h.integer(keys::n_context, 1) : h.integer_or(keys::n_context, 2048, 1);
  const std::int64_t n_further = h.integer_or(keys::n_next_token_layers, 0, 0, h.gguf() ? h.n_layer() - 1 : 1024);
  m.n_layer = h.n_layer() - (h.gguf() ? static_cast<int>(n_further) : 0);
  if (family.kind == ModelKind::encoder) m.head.exists = false;
  m.head.tied =
      h.gguf() ? h.file().find_tensor("output.weight") == nullptr : h.flag_or(keys::tied, family.defaults.tied);
  if (h.has(keys::pooling)) {
    m.pooling = pooling_of(h);
    m.pooling_known = true;
  }
  if (family.norm != nullptr) m.decoder.final_norm = family.norm(h);
  if (family.kind == ModelKind::encoder_decoder) resolve_encoder(h, family, m);
  for (int i = 0; i < m.n_layer; ++i) m.decoder.layers.push_back(family.layer(h, i));
  if (family.finish != nullptr) family.finish(h, m);
  if (h.gguf() && family.kind == ModelKind::decoder && !h.flag_or(keys::causal, true)) make_encoder(h, m);
  for (const Layer& layer : m.decoder.layers) {
    for (const MixerSpec& mixer : layer.mixers) {
      if (const Attention* a = std::get_if<Attention>(&mixer); a != nullptr && m.n_head == 0) {
        m.n_head = a->n_head;
        m.n_head_kv = a->n_head_kv;
      }
    }
  }
  return m;
}

}  // namespace llm::model
