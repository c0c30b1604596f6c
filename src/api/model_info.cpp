#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/model_impl.h"
#include "tokenizer/from_gguf.h"

namespace llm::api {
namespace {

namespace fs = std::filesystem;
using formats::SourceKind;
using formats::WeightsFile;

constexpr std::uintmax_t max_text_bytes = 64 << 20;  // of a template or configuration beside the weights

std::optional<std::string> read_text(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > max_text_bytes) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return file ? std::optional(text.str()) : std::nullopt;
}

std::string_view pooling_name(model::Pooling pooling) {
  switch (pooling) {
    case model::Pooling::mean:
      return "mean";
    case model::Pooling::cls:
      return "cls";
    case model::Pooling::last:
      return "last";
    case model::Pooling::rank:
      return "rank";
    case model::Pooling::none:
      break;
  }
  return "none";
}

void add_types(const WeightsFile& file, ModelInfo& info) {
  std::map<std::string_view, ModelInfo::TypeShare> shares;
  for (const formats::TensorView& tensor : file.tensors()) {
    ModelInfo::TypeShare& share = shares[tensor_type_info(tensor.type).name];
    ++share.n_tensors;
    share.bytes += tensor.n_bytes;
  }
  for (auto& [name, share] : shares) {
    share.type = name;
    info.types.push_back(share);
  }
  std::stable_sort(info.types.begin(), info.types.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
}

std::string vocabulary_description(const WeightsFile& file) {
  if (file.kind() != SourceKind::gguf || !tokenizer::has_vocabulary(file.metadata())) return {};
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"gpt2", "BPE"}, {"llama", "SentencePiece BPE"}, {"bert", "WordPiece"}, {"t5", "Unigram"}, {"rwkv", "RWKV"}};
  std::string kind(*file.metadata().find_string("tokenizer.ggml.model"));
  for (const auto& [key, name] : names) {
    if (kind == key) kind = name;
  }
  if (const auto pre = file.metadata().find_string("tokenizer.ggml.pre")) kind += " (" + std::string(*pre) + ")";
  return kind;
}

// Settings that the model's makers recommend. Folders: if they sample at all (do_sample); where they say that they do
// not, the likeliest token.
std::vector<std::pair<std::string, double>> recommended_sampling(const WeightsFile& file) {
  std::vector<std::pair<std::string, double>> settings;
  const auto add = [&](const char* name, double value) {
    if (std::isfinite(value) && std::fabs(value) <= 1e6) settings.emplace_back(name, value);
  };
  if (file.kind() == SourceKind::gguf) {
    static constexpr std::pair<const char*, const char*> keys[] = {{"temp", "temperature"},
                                                                   {"top_k", "top_k"},
                                                                   {"top_p", "top_p"},
                                                                   {"min_p", "min_p"},
                                                                   {"xtc_probability", "xtc_probability"},
                                                                   {"xtc_threshold", "xtc_threshold"},
                                                                   {"penalty_last_n", "repeat_last_n"},
                                                                   {"penalty_repeat", "repeat_penalty"},
                                                                   {"mirostat", "mirostat"},
                                                                   {"mirostat_tau", "mirostat_tau"},
                                                                   {"mirostat_eta", "mirostat_eta"}};
    for (const auto& [key, name] : keys) {
      if (const auto value = file.metadata().find_float(std::string("general.sampling.") + key)) add(name, *value);
    }
    return settings;
  }
  if (file.kind() != SourceKind::hugging_face) return settings;
  const nlohmann::json config = generation_config(file.path());
  const auto samples = config.is_object() ? config.find("do_sample") : config.end();
  if (!config.is_object() || samples == config.end() || !samples->is_boolean()) return settings;
  if (!samples->get<bool>()) {
    add("temperature", 0);
    return settings;
  }
  static constexpr std::pair<const char*, const char*> keys[] = {{"temperature", "temperature"},
                                                                 {"top_k", "top_k"},
                                                                 {"top_p", "top_p"},
                                                                 {"min_p", "min_p"},
                                                                 {"typical_p", "typical_p"},
                                                                 {"repetition_penalty", "repeat_penalty"}};
  for (const auto& [key, name] : keys) {
    const auto value = config.find(key);
    if (value != config.end() && value->is_number()) add(name, value->get<double>());
  }
  return settings;
}

ModelInfo file_info(const WeightsFile& file) {
  ModelInfo info;
  info.file_bytes = file.file_bytes();
  const fs::path path(file.path());
  info.name = path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
  switch (file.kind()) {
    case SourceKind::gguf:
      info.container = "GGUF";
      if (const auto name = file.metadata().find_string("general.name")) info.name = *name;
      break;
    case SourceKind::hugging_face:
      info.container = "Hugging Face";
      break;
    case SourceKind::llama2c:
      info.container = "llama2.c";
      break;
  }
  add_types(file, info);
  info.tokenizer = vocabulary_description(file);
  info.sampling = recommended_sampling(file);
  const auto templates = chat_templates(file);
  if (const auto found = templates.find(""); found != templates.end()) info.chat_template = found->second;
  return info;
}

}  // namespace

ModelInfo model_info(const model::Model& model, const EmbeddingHead& head) {
  const model::ModelSpec& spec = model.spec();
  ModelInfo info = file_info(model.file());
  info.architecture = spec.architecture;
  info.n_params = model.n_parameters();
  info.n_layer = spec.n_layer;
  info.n_embd = spec.n_embd;
  info.n_embedding = head.width(spec.n_embd);
  info.n_head = spec.n_head;
  info.n_head_kv = spec.n_head_kv;
  info.n_vocab = spec.n_vocab;
  info.n_vocab_source = spec.n_vocab_source;
  info.n_encoder_layer = static_cast<std::int64_t>(spec.encoder.layers.size());
  info.n_context_train = spec.n_context_train;
  info.n_position_max = spec.n_position_max;
  info.is_encoder = spec.kind == model::ModelKind::encoder;
  info.is_encoder_decoder = spec.kind == model::ModelKind::encoder_decoder;
  if (spec.pooling_known) {
    info.pooling = pooling_name(spec.pooling);
  } else {
    info.pooling = head.pooling.value_or(info.is_encoder ? "mean" : "last");
  }
  info.unused_keys = model.unused_keys();
  info.unused_tensors = model.unused_tensors();
  return info;
}

ModelInfo model_info(const WeightsFile& file) {
  ModelInfo info = file_info(file);
  for (const formats::TensorView& tensor : file.tensors()) info.n_params += tensor.n_elements();
  if (file.kind() != SourceKind::gguf) {
    const nlohmann::json config = nlohmann::json::parse(file.config_json(), nullptr, false);
    if (config.is_object()) {
      if (const auto type = config.find("model_type"); type != config.end() && type->is_string()) {
        info.architecture = type->get<std::string>();
      }
    }
    return info;
  }
  const formats::Metadata& metadata = file.metadata();
  info.architecture = metadata.find_string("general.architecture").value_or("");
  const auto number = [&](const char* key) {
    // Some are arrays with one number a layer.
    const std::string name = info.architecture + "." + key;
    return metadata.find_array(name) != nullptr ? 0 : metadata.find_int(name).value_or(0);
  };
  info.n_layer = number("block_count");
  info.n_embd = number("embedding_length");
  info.n_head = number("attention.head_count");
  info.n_head_kv = number("attention.head_count_kv");
  info.n_context_train = number("context_length");
  if (const formats::ArrayView* tokens = metadata.find_array("tokenizer.ggml.tokens")) {
    info.n_vocab = static_cast<std::int64_t>(tokens->count);
  }
  return info;
}

nlohmann::json generation_config(const std::string& folder) {
  const auto text = read_text(fs::path(folder) / "generation_config.json");
  return text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
}

std::map<std::string, std::string, std::less<>> chat_templates(const WeightsFile& file) {
  std::map<std::string, std::string, std::less<>> templates;
  if (file.kind() == SourceKind::gguf) {
    constexpr std::string_view key = "tokenizer.chat_template";
    for (const auto& [name, entry] : file.metadata().entries()) {
      const auto* text = std::get_if<std::string_view>(&entry.value);
      if (text == nullptr || !name.starts_with(key)) continue;
      if (name == key)
        templates[""] = *text;
      else if (name[key.size()] == '.')
        templates[name.substr(key.size() + 1)] = *text;
    }
    return templates;
  }
  const fs::path folder = file.kind() == SourceKind::hugging_face ? fs::path(file.path()) : fs::path();
  if (folder.empty()) return templates;
  if (const auto text = read_text(folder / "tokenizer_config.json")) {
    const nlohmann::json config = nlohmann::json::parse(*text, nullptr, false);
    const nlohmann::json found =
        config.is_object() ? config.value("chat_template", nlohmann::json()) : nlohmann::json();
    if (found.is_string()) templates[""] = found.get<std::string>();
    if (found.is_array()) {
      for (const nlohmann::json& entry : found) {
        if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) continue;
        if (!entry["name"].is_string() || !entry["template"].is_string()) continue;
        const std::string name = entry["name"].get<std::string>();
        templates[name == "default" ? "" : name] = entry["template"].get<std::string>();
      }
    }
  }
  if (auto text = read_text(folder / "chat_template.jinja")) templates[""] = std::move(*text);
  return templates;
}

std::optional<Tokenizer> open_tokenizer(const WeightsFile& file) {
  if (file.kind() == SourceKind::gguf) {
    if (!tokenizer::has_vocabulary(file.metadata())) return std::nullopt;
    return tokenizer::make_tokenizer(file.metadata());
  }
  std::error_code error;
  if (file.kind() == SourceKind::llama2c) {
    const fs::path beside = fs::path(file.path()).parent_path() / "tokenizer.bin";
    if (!fs::is_regular_file(beside, error)) return std::nullopt;
    return Tokenizer::open(beside.string());
  }
  const fs::path folder(file.path());
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "source.spm",
                           "vocab.json", "vocab.txt", "tokenizer.tiktoken", "qwen.tiktoken"}) {
    if (fs::is_regular_file(folder / name, error)) return Tokenizer::open(file.path());
  }
  return std::nullopt;
}

}  // namespace llm::api
