#include "formats/adapter_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <llm/error.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "formats/gguf_reader.h"
#include "formats/quote.h"
#include "formats/safetensors_reader.h"

namespace llm::formats {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr std::uint64_t max_adapter_config_bytes = std::uint64_t{16} << 20;

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::model, fmt::format("{}: {}", path, what));
}

// Whether the tensor is A or B of a matrix, and of which.
struct Role {
  std::string matrix;
  bool is_a = false;
};

// Hugging Face: "base_model.model.MODULE.lora_A.weight", with the adapter's name before ".weight" in some files, and
// "base_model.model.MODULE.lora_embedding_A" for embeddings.
Role role_in_folder(const std::string& path, std::string_view name) {
  constexpr std::string_view prefix = "base_model.model.";
  std::string_view rest = name;
  if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  if (name.find("lora_magnitude_vector") != std::string_view::npos) {
    refuse(path, fmt::format("tensor {}: DoRA is not supported, expected plain LoRA", quote(name)));
  }
  for (const bool is_a : {true, false}) {
    const std::string_view mark = is_a ? ".lora_A." : ".lora_B.";
    const std::size_t at = rest.rfind(mark);
    if (at != std::string_view::npos && rest.ends_with("weight")) return {std::string(rest.substr(0, at)), is_a};
    const std::string_view embedding_mark = is_a ? ".lora_embedding_A" : ".lora_embedding_B";
    const std::size_t embedding_at = rest.rfind(embedding_mark);
    if (embedding_at != std::string_view::npos) return {std::string(rest.substr(0, embedding_at)), is_a};
  }
  refuse(path, fmt::format("tensor {}: expected only lora_A and lora_B weights (biases and modules that were trained "
                           "whole are not supported)",
                           quote(name)));
}

// GGUF: "NAME.weight.lora_a".
Role role_in_gguf(const std::string& path, std::string_view name) {
  for (const bool is_a : {true, false}) {
    const std::string_view ending = is_a ? ".weight.lora_a" : ".weight.lora_b";
    if (name.ends_with(ending)) return {std::string(name.substr(0, name.size() - ending.size())), is_a};
  }
  refuse(path, fmt::format("tensor {}: expected names that end in .weight.lora_a or .weight.lora_b", quote(name)));
}

// adapter_config.json. Keys that are not asked for describe training or where the method was applied, which the tensors
// say too.
class PeftConfig {
 public:
  explicit PeftConfig(const std::string& path) : path_(path) {
    const MappedFile file(path);
    if (file.size() > max_adapter_config_bytes) {
      refuse(path, fmt::format("{} bytes, expected at most {}", file.size(), max_adapter_config_bytes));
    }
    const auto* text = reinterpret_cast<const char*>(file.bytes().data());
    json_ = json::parse(text, text + file.size(), nullptr, false);
    if (!json_.is_object()) refuse(path, "no valid JSON object");
    check();
  }

  float scale_of(const std::string& module, std::int64_t rank) const {
    const double alpha = number_of("alpha_pattern", module).value_or(number("lora_alpha"));
    const auto r = static_cast<double>(rank);
    return static_cast<float>(flag("use_rslora") ? alpha / std::sqrt(r) : alpha / r);
  }

  // What the configuration says the rank of a module is.
  double rank_of(const std::string& module) const { return number_of("rank_pattern", module).value_or(number("r")); }

 private:
  void check() const {
    const auto type = json_.find("peft_type");
    if (type != json_.end() && *type != "LORA") {
      refuse(path_, fmt::format("peft_type: found {}, expected \"LORA\"", quote(type->dump())));
    }
    if (const auto bias = json_.find("bias"); bias != json_.end() && !bias->is_null() && *bias != "none") {
      refuse(path_,
             fmt::format("bias: found {}, expected \"none\" (trained biases are not supported)", quote(bias->dump())));
    }
    static constexpr const char* unsupported[] = {"use_dora",          "modules_to_save",   "lora_bias",
                                                  "use_qalora",        "target_parameters", "trainable_token_indices",
                                                  "layer_replication", "use_bdlora",        "alora_invocation_tokens"};
    for (const char* key : unsupported) {
      const auto found = json_.find(key);
      if (found == json_.end() || found->is_null() || *found == false || found->empty()) continue;
      refuse(path_,
             fmt::format("{}: found {}, which is not supported; expected it to be off", key, quote(found->dump())));
    }
    // These change the weights of the model beneath before training.
    if (const auto init = json_.find("init_lora_weights"); init != json_.end() && init->is_string()) {
      const std::string name = init->get<std::string>();
      for (const std::string_view changed : {"pissa", "olora", "corda", "loftq"}) {
        if (name.starts_with(changed)) {
          refuse(path_, fmt::format("init_lora_weights: {} changes the model's own weights, which is not supported; "
                                    "convert the adapter to plain LoRA",
                                    quote(name)));
        }
      }
    }
    if (number("r") < 1 || number("r") > 1 << 20)
      refuse(path_, fmt::format("r: found {}, expected 1 or more", number("r")));
    number("lora_alpha");
  }

  bool flag(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return false;
    if (!found->is_boolean()) refuse(path_, fmt::format("{}: expected true or false", key));
    return found->get<bool>();
  }

  double number(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number()) refuse(path_, fmt::format("{}: expected a number", key));
    return found->get<double>();
  }

  // Value of a module in rank_pattern or alpha_pattern: keys are the ends of module paths.
  std::optional<double> number_of(const char* key, const std::string& module) const {
    const auto patterns = json_.find(key);
    if (patterns == json_.end() || patterns->is_null()) return std::nullopt;
    if (!patterns->is_object()) refuse(path_, fmt::format("{}: expected an object", key));
    for (const auto& [pattern, value] : patterns->items()) {
      if (!value.is_number()) refuse(path_, fmt::format("{}: {}: expected a number", key, quote(pattern)));
      std::string_view name = pattern;
      const bool whole = name.starts_with('^');
      if (whole) name.remove_prefix(1);
      if (name.find_first_of("*+?[](){}|\\^$") != std::string_view::npos) {
        refuse(path_, fmt::format("{}: {}: regular expressions are not supported, expected names of modules", key,
                                  quote(pattern)));
      }
      const bool matches = module == name || (!whole && module.size() > name.size() && module.ends_with(name) &&
                                              module[module.size() - name.size() - 1] == '.');
      if (matches) return value.get<double>();
    }
    return std::nullopt;
  }

  std::string path_;
  json json_;
};

// A and B of every matrix, in the order of their names.
class Pairs {
 public:
  Pairs(const std::string& path, SourceKind kind) : path_(path), gguf_(kind == SourceKind::gguf) {}

  void add(Role role, const TensorView& tensor) {
    if (tensor.n_dims > (gguf_ ? 3 : 2) || tensor.extent[3] != 1) {
      refuse(path_, fmt::format("tensor {}: found {} dimensions, expected {}", quote(tensor.name), tensor.n_dims,
                                gguf_ ? "a matrix or one for each expert" : "a matrix"));
    }
    switch (tensor.type) {
      case TensorType::I8:
      case TensorType::I16:
      case TensorType::I32:
      case TensorType::I64:
      case TensorType::F64:
        refuse(path_, fmt::format("tensor {}: type {}, expected a type of weights", quote(tensor.name),
                                  tensor_type_info(tensor.type).name));
      default:
        break;
    }
    const TensorView*& place = role.is_a ? pairs_[role.matrix].a : pairs_[role.matrix].b;
    if (place != nullptr) refuse(path_, fmt::format("tensor {}: {} has two of them", quote(tensor.name), role.matrix));
    place = &tensor;
  }

  std::vector<AdapterPart> parts() const {
    std::vector<AdapterPart> parts;
    for (const auto& [matrix, pair] : pairs_) {
      if (pair.a == nullptr || pair.b == nullptr) {
        refuse(path_, fmt::format("{}: lora_{} is missing", quote(matrix), pair.a == nullptr ? "A" : "B"));
      }
      const AdapterPart part{matrix, *pair.a, *pair.b, 1, gguf_ && matrix == "token_embd"};
      if (part.rank() != part.b.extent[0] || part.rank() < 1 || part.n_experts() != part.b.extent[2]) {
        const auto shape = [](const TensorView& t) {
          return t.extent[2] == 1 ? fmt::format("[{}, {}]", t.extent[1], t.extent[0])
                                  : fmt::format("[{}, {}, {}]", t.extent[2], t.extent[1], t.extent[0]);
        };
        refuse(path_, fmt::format("{}: A has the shape {} and B {}, expected {} and [n_out, rank]", quote(matrix),
                                  shape(part.a), shape(part.b), part.by_input ? "[n_in, rank]" : "[rank, n_in]"));
      }
      parts.push_back(part);
    }
    if (parts.empty()) refuse(path_, "holds no tensor, expected an adapter");
    return parts;
  }

 private:
  struct Pair {
    const TensorView* a = nullptr;
    const TensorView* b = nullptr;
  };
  std::string path_;
  bool gguf_;
  std::map<std::string, Pair> pairs_;
};

}  // namespace

std::unique_ptr<AdapterFile> AdapterFile::open(const std::string& path) {
  std::unique_ptr<AdapterFile> adapter(new AdapterFile);
  adapter->path_ = path;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    adapter->read_folder();
  } else {
    adapter->read_gguf();
  }
  return adapter;
}

void AdapterFile::read_gguf() {
  kind_ = SourceKind::gguf;
  file_ = MappedFile(path_);
  if (!has_gguf_magic(file_.bytes())) {
    refuse(path_, "is no adapter, expected a GGUF file or a folder with adapter_config.json");
  }
  const GgufPart part = parse_gguf(file_.bytes(), path_);
  const Metadata& metadata = part.metadata;
  const std::string_view type = metadata.find_string("general.type").value_or("model");
  if (type != "adapter") {
    refuse(path_, fmt::format("general.type: found {}, expected 'adapter' (a model is given with -m)", quote(type)));
  }
  const std::string_view method = metadata.require_string("adapter.type");
  if (method != "lora") refuse(path_, fmt::format("adapter.type: found {}, expected 'lora'", quote(method)));
  if (metadata.contains("adapter.alora.invocation_tokens")) {
    refuse(path_, "adapter.alora.invocation_tokens: adapters that begin at a token are not supported");
  }
  architecture_ = metadata.require_string("general.architecture");
  const double alpha = metadata.find_float("adapter.lora.alpha").value_or(0);
  Pairs pairs(path_, kind_);
  for (const TensorView& tensor : part.tensors) pairs.add(role_in_gguf(path_, tensor.name), tensor);
  parts_ = pairs.parts();
  for (AdapterPart& p : parts_) {
    p.a.name = p.b.name = p.matrix;
    if (alpha != 0) p.scale = static_cast<float>(alpha / static_cast<double>(p.rank()));
  }
}

void AdapterFile::read_folder() {
  kind_ = SourceKind::hugging_face;
  const fs::path folder(path_);
  const std::string config_path = (folder / "adapter_config.json").string();
  const std::string weights_path = (folder / "adapter_model.safetensors").string();
  std::error_code ignored;
  if (!fs::exists(config_path, ignored)) {
    throw Error(ErrorCode::io,
                fmt::format("{}: is a directory without adapter_config.json, expected a PEFT adapter", path_));
  }
  const PeftConfig config(config_path);
  if (!fs::exists(weights_path, ignored) && fs::exists(folder / "adapter_model.bin", ignored)) {
    refuse(path_,
           "only PyTorch weights, which can hold programs and are never read; expected "
           "adapter_model.safetensors");
  }
  file_ = MappedFile(weights_path);
  SafetensorsPart part = parse_safetensors(file_.bytes(), weights_path);
  Pairs pairs(path_, kind_);
  for (TensorView& tensor : part.tensors) {
    // PEFT adds the model's own matrix where the output or an embedding is adapted.
    if (tensor.name.ends_with(".base_layer.weight")) continue;
    if (reinterpret_cast<std::uintptr_t>(tensor.data) % alignof(float) != 0) {
      auto& copy = aligned_.emplace_back(std::make_unique_for_overwrite<std::byte[]>(tensor.n_bytes));
      std::memcpy(copy.get(), tensor.data, tensor.n_bytes);
      tensor.data = copy.get();
    }
    pairs.add(role_in_folder(path_, tensor.name), tensor);
  }
  parts_ = pairs.parts();
  for (AdapterPart& p : parts_) {
    p.a.name = p.b.name = p.matrix;
    if (static_cast<double>(p.rank()) != config.rank_of(p.matrix)) {
      refuse(path_, fmt::format("{}: rank {}, expected {} as adapter_config.json says", quote(p.matrix), p.rank(),
                                config.rank_of(p.matrix)));
    }
    p.scale = config.scale_of(p.matrix, p.rank());
  }
}

}  // namespace llm::formats
