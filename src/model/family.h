#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/hyper.h"
#include "model/spec.h"

namespace llm::model {

// A tensor's name in this project (that of GGUF files, without "blk.N." and ".weight") and in a file. Of several
// entries for one name the first counts whose tensor the file has.
struct TensorName {
  std::string_view canonical;
  // Hugging Face: after the stack's prefix and, in layers, the layer's; "^" before it: the whole name. "{}" is the
  // number of the expert or head. Canonical names with ".bias" or ".weight" stand for that tensor alone.
  std::string_view actual;
};

// How tensors of one stack are called in Hugging Face folders.
struct Naming {
  // Prefixes that folders use before all names of the body; the first with which the token embedding is found.
  std::vector<std::string_view> prefixes = {"model.", ""};
  std::string_view layer = "layers.{}.";
  std::vector<TensorName> names = {};  // besides the common ones (naming.cpp)
};

// How stored numbers differ from what the forward pass reads (Hugging Face only; GGUF converters did it already).
enum class Adapt : std::uint8_t {
  plus_one,      // norm weights stored as w - 1
  negative_exp,  // A_log -> -exp(A_log)
  transpose,     // matrices stored [in, out]
};
struct TensorRule {
  std::string_view canonical;  // with ".weight"; "*" at the beginning matches any beginning
  Adapt adapt = Adapt::plus_one;
};

// Keys of a GGUF file, without the architecture's prefix.
using GgufKeys = std::map<std::string, Hyper::Answer, std::less<>>;

// How folders become GGUF files, where that does not follow from reading both.
struct GgufWriting {
  // The architecture, where another family reads it; else the first of Family::gguf.
  std::string_view architecture = {};
  // Last word on the keys.
  void (*keys)(const ModelSpec&, GgufKeys&) = nullptr;
  // Multipliers of projections are in the weights.
  bool scaled_weights = false;
};

// A family: where its models are recognised, what its class assumes for absent keys, how its tensors are called, and
// one pure function from hyper-parameters to a layer.
struct Family {
  std::string_view name;
  std::vector<std::string_view> gguf = {};          // general.architecture
  std::vector<std::string_view> hugging_face = {};  // model_type
  std::string_view special = {};                    // for docs/models.md: what is unlike the plain decoder
  // Folders only: which of those with its model_type are of this family and not of the one without such a condition.
  bool (*claims)(const Hyper&) = nullptr;

  // Values for keys that are absent from config.json.
  struct Defaults {
    bool tied = false;
    int decoder_start_token = -1;  // encoder-decoder; -1: none
  } defaults = {};

  ModelKind kind = ModelKind::decoder;
  Norm (*norm)(const Hyper&) = nullptr;                 // of the final norm (of both stacks); null: none
  Layer (*layer)(const Hyper&, int) = nullptr;          // decoder's (or only stack's) layer i
  Layer (*encoder_layer)(const Hyper&, int) = nullptr;  // encoder-decoder: layer i of the encoder
  void (*finish)(const Hyper&, ModelSpec&) = nullptr;

  Naming naming = {};
  Naming encoder_naming = {};               // encoder-decoder
  std::vector<TensorName> gguf_names = {};  // where GGUF files of this architecture use other names
  std::vector<TensorRule> rules = {};
  GgufWriting writing = {};
};

// All families, in the order of docs/models.md.
std::span<const Family* const> families();
// The one whose GGUF files have this architecture; null if there is none.
const Family* find_gguf_family(std::string_view architecture);
// Error(model) naming the architecture if there is none.
const Family& find_family(const Hyper& hyper);

// Metadata to values; no tensor is looked at. Throws Error(model).
ModelSpec resolve(const Hyper& hyper, const Family& family);

}  // namespace llm::model

#endif
