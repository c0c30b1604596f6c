#include "formats/huggingface_folder.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <llm/error.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "formats/quote.h"
#include "formats/safetensors_reader.h"

namespace llm::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_config_bytes = std::uint64_t{16} << 20;
constexpr std::uint64_t max_index_bytes = 100'000'000;
constexpr std::size_t max_shards = 4096;

std::string join(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string_view text_of(const MappedFile& file, std::uint64_t max_bytes) {
  if (file.size() > max_bytes) {
    throw Error(ErrorCode::model,
                fmt::format("{}: {} bytes, expected at most {}", file.path(), file.size(), max_bytes));
  }
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// Reads {"metadata": {...}, "weight_map": {TENSOR: SHARD}} event by event; other members are skipped.
class IndexHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit IndexHandler(const std::string& file) : file_(file) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_array(std::size_t) override {
    value();
    return deeper();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool start_object(std::size_t) override {
    if (in_map_) value();
    in_map_ = depth_ == 1 && key_ == "weight_map";
    return deeper();
  }
  bool end_object() override {
    --depth_;
    in_map_ = false;
    return true;
  }
  bool key(string_t& key) override {
    key_ = std::move(key);
    return true;
  }
  bool string(string_t& shard) override {
    if (!in_map_) return true;
    check_shard_name(shard);
    std::vector<std::string>& tensors = shards_[shard];
    if (shards_.size() > max_shards) {
      throw Error(ErrorCode::model, fmt::format("{}: more than {} shards", file_, max_shards));
    }
    tensors.push_back(std::move(key_));
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    throw Error(ErrorCode::model, fmt::format("{}: no valid JSON (at byte {})", file_, position));
  }

  // Shard -> the tensors it must hold.
  const std::map<std::string, std::vector<std::string>>& shards() const { return shards_; }

 private:
  static constexpr int max_depth = 64;

  bool deeper() {
    if (++depth_ > max_depth) {
      throw Error(ErrorCode::model, fmt::format("{}: JSON nested more than {} deep", file_, max_depth));
    }
    return true;
  }

  bool value() const {
    if (in_map_) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: weight_map: tensor {} is not given a file name", file_, quote(key_)));
    }
    return true;
  }

  void check_shard_name(const std::string& shard) const {
    if (shard.empty() || shard == "." || shard == ".." || shard.find_first_of("/\\") != std::string::npos ||
        shard.find('\0') != std::string::npos) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: shard {}, expected a file name without a path", file_, quote(shard)));
    }
  }

  const std::string& file_;
  std::map<std::string, std::vector<std::string>> shards_;
  std::string key_;
  int depth_ = 0;
  bool in_map_ = false;
};

// Adds the tensors of one file; those that lie unaligned for their type are copied.
void add_part(WeightsContents& contents, MappedFile file) {
  SafetensorsPart part = parse_safetensors(file.bytes(), file.path());
  for (TensorView& tensor : part.tensors) {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(tensor.data);
    if (address % tensor_type_info(tensor.type).block_bytes != 0) {
      auto& copy = contents.converted.emplace_back(std::make_unique_for_overwrite<std::byte[]>(tensor.n_bytes));
      std::memcpy(copy.get(), tensor.data, tensor.n_bytes);
      tensor.data = copy.get();
    }
    tensor.name = contents.names.emplace_back(tensor.name);
    contents.tensors.push_back(tensor);
  }
  contents.parts.push_back(std::move(file));
}

void add_shards(WeightsContents& contents, const std::string& index_path) {
  const MappedFile index(index_path);
  const std::string_view text = text_of(index, max_index_bytes);
  IndexHandler handler(index_path);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  if (handler.shards().empty()) {
    throw Error(ErrorCode::model,
                fmt::format("{}: weight_map is missing or empty, expected tensors and their files", index_path));
  }
  for (const auto& [shard, tensors] : handler.shards()) {
    const std::size_t n_before = contents.tensors.size();
    add_part(contents, MappedFile(join(contents.path, shard)));
    std::vector<std::string_view> names;
    for (std::size_t i = n_before; i < contents.tensors.size(); ++i) names.push_back(contents.tensors[i].name);
    std::sort(names.begin(), names.end());
    for (const std::string& name : tensors) {
      if (!std::binary_search(names.begin(), names.end(), std::string_view(name))) {
        throw Error(ErrorCode::model, fmt::format("{}: tensor {} is not in {}, expected there by the index", index_path,
                                                  quote(name), quote(shard)));
      }
    }
  }
}

}  // namespace

WeightsContents read_huggingface_folder(const std::string& folder) {
  WeightsContents contents;
  contents.kind = SourceKind::hugging_face;
  contents.path = folder;
  const std::string config_path = join(folder, "config.json");
  if (!exists(config_path)) {
    throw Error(ErrorCode::model,
                fmt::format("{}: is a directory without config.json, expected a GGUF file or a Hugging Face "
                            "folder",
                            folder));
  }
  const MappedFile config(config_path);
  contents.config_json = text_of(config, max_config_bytes);

  const std::string single = join(folder, "model.safetensors");
  const std::string index = join(folder, "model.safetensors.index.json");
  if (exists(single)) {
    add_part(contents, MappedFile(single));
  } else if (exists(index)) {
    add_shards(contents, index);
  } else if (exists(join(folder, "pytorch_model.bin")) || exists(join(folder, "pytorch_model.bin.index.json"))) {
    throw Error(ErrorCode::model, fmt::format("{}: only PyTorch weights, which can hold programs and are never read; "
                                              "expected model.safetensors",
                                              folder));
  } else {
    throw Error(
        ErrorCode::model,
        fmt::format("{}: expected model.safetensors or model.safetensors.index.json beside config.json", folder));
  }
  return contents;
}

}  // namespace llm::formats
