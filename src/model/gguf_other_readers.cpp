#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "model/gguf_export.h"

// What the engines that GGUF files come from do not read from files of an architecture, as their loaders of 2026 have
// it.

namespace llm::model {
namespace {

// Architectures whose readers look at attention.sliding_window.
constexpr std::string_view window_readers[] = {"cohere2", "exaone4", "gemma-embedding", "gemma2", "gemma3",
                                               "gpt-oss", "mellum",  "modern-bert",     "olmo2"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class OtherReaders {
 public:
  explicit OtherReaders(const GgufExport& plan) : plan_(plan) {}

  std::vector<std::string> unread() {
    const std::string& name = plan_.architecture;
    if (name != "modern-bert") {
      if (const auto* kind = value<std::string>("hidden_activation"))
        add("hidden_activation", fmt::format("'{}'", *kind));
    }
    if (number("attention.sliding_window") > 0) {
      const bool reads = is_one_of(name, window_readers) && (name != "exaone4" || number("block_count") == 64);
      if (!reads) add("attention.sliding_window", fmt::format("{}", number("attention.sliding_window")));
    }
    if (name != "mistral3") add_betas();
    add_tensors();
    return std::move(unread_);
  }

 private:
  template <typename T>
  const T* value(std::string_view key) const {
    const auto found = plan_.keys.find(key);
    return found == plan_.keys.end() ? nullptr : std::get_if<T>(&found->second);
  }
  std::int64_t number(std::string_view key) const {
    const auto* found = value<std::int64_t>(key);
    return found == nullptr ? 0 : *found;
  }
  void add(std::string_view what, const std::string& which) { unread_.push_back(fmt::format("{} {}", what, which)); }

  void add_betas() {
    for (const auto& [key, usual] :
         {std::pair("rope.scaling.yarn_beta_fast", 32.0), {"rope.scaling.yarn_beta_slow", 1.0}}) {
      const auto* beta = value<double>(key);
      if (beta != nullptr && *beta != usual) add(key, fmt::format("{}", *beta));
    }
  }

  // Biases and norms that only some sizes of an architecture have there.
  void add_tensors() {
    const std::string& name = plan_.architecture;
    const auto has = [&](std::string_view ending) {
      return std::any_of(plan_.tensors.begin(), plan_.tensors.end(),
                         [&](const BoundTensor& tensor) { return tensor.name.ends_with(ending); });
    };
    const auto extra = [&](std::string_view ending) {
      if (has(ending)) add("tensors", fmt::format("*{}", ending));
    };
    if (name == "command-r" && number("block_count") < 64) extra("attn_q_norm.weight");
    if (name == "ernie4_5") extra("attn_output.bias");
    if (name == "granitehybrid") extra("ssm_in.bias");
    if (name == "starcoder2" && !has("attn_output.bias")) add("a model", "without biases");
    if (name == "mamba" && number("ssm.inner_size") != 2 * number("embedding_length")) {
      add("ssm.inner_size", fmt::format("{}", number("ssm.inner_size")));
    }
    if (name == "olmoe" && number("attention.head_count_kv") != number("attention.head_count")) {
      add("attention.head_count_kv", fmt::format("{}", number("attention.head_count_kv")));
    }
  }

  const GgufExport& plan_;
  std::vector<std::string> unread_;
};

}  // namespace

std::vector<std::string> unread_elsewhere(const GgufExport& plan) {
  return OtherReaders(plan).unread();
}

}  // namespace llm::model
