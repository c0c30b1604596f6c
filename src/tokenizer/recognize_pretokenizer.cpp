#include "tokenizer/recognize_pretokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tokenizer/hf_json.h"
#include "tokenizer/pretokenizer_table.h"

namespace llm::tokenizer {
namespace {

using nlohmann::json;
using Cuts = std::vector<std::size_t>;  // ends of pieces, in bytes of the text, ascending

class CutSink : public PieceSink {
 public:
  // `stand_ins`: pieces are spelt with one character a byte.
  explicit CutSink(bool stand_ins) : stand_ins_(stand_ins) {}
  void piece(std::string_view text) override {
    std::size_t n = text.size();
    if (stand_ins_) {
      n = static_cast<std::size_t>(std::count_if(
          text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
    }
    cuts_.push_back((cuts_.empty() ? 0 : cuts_.back()) + n);
  }
  Cuts take() { return std::move(cuts_); }

 private:
  bool stand_ins_;
  Cuts cuts_;
};

Cuts cuts_of(const Splitter& splitter, bool stand_ins, std::string_view text) {
  CutSink sink(stand_ins);
  splitter.split_first(text, sink);
  return sink.take();
}

// Without the space that a ByteLevel puts before a text.
json without_prefix(json part) {
  if (part.is_object()) {
    if (part.value("type", "") == "ByteLevel") part["add_prefix_space"] = false;
    if (part.contains("pretokenizers")) part["pretokenizers"] = without_prefix(part["pretokenizers"]);
  } else if (part.is_array()) {
    for (json& item : part) item = without_prefix(std::move(item));
  }
  return part;
}

// How many of the folder's cuts the rule leaves out; nullopt if it makes others, or bytes get lost.
std::optional<std::size_t> missing_cuts(const std::vector<Cuts>& folder, SplitRule rule,
                                        std::span<const std::string_view> texts) {
  const SplitterChain splitter = make_splitter(rule);
  std::size_t missing = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Cuts cuts = cuts_of(splitter, false, texts[i]);
    if (!std::includes(folder[i].begin(), folder[i].end(), cuts.begin(), cuts.end())) return std::nullopt;
    if (folder[i].empty() || folder[i].back() != texts[i].size()) return std::nullopt;
    missing += folder[i].size() - cuts.size();
  }
  return missing;
}

// Of names with one rule the first here is taken, else the first of the table.
constexpr std::string_view usual_names[] = {"gpt-2",  "roberta-bpe", "llama-bpe",   "dbrx",   "qwen2",
                                            "smollm", "falcon",      "deepseek-v3", "gpt-4o", "tekken"};

std::vector<const PreTokenizer*> candidates(bool ignore_merges) {
  std::vector<const PreTokenizer*> found;
  const auto add = [&](const PreTokenizer& pre) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const PreTokenizer* other) {
      return other->rule == pre.rule && other->add_sep == pre.add_sep;
    });
    if (pre.byte_level && pre.ignore_merges == ignore_merges && pre.name != "default" && !known) found.push_back(&pre);
  };
  for (const std::string_view name : usual_names) add(*find_pretokenizer(name));
  for (const PreTokenizer& pre : pretokenizers()) add(pre);
  return found;
}

}  // namespace

std::vector<RecognizedPreTokenizer> recognize_pretokenizer(const json& pre_tokenizer, bool ignore_merges,
                                                           std::span<const std::string_view> texts) {
  const json part = without_prefix(pre_tokenizer);
  const hf::PreTokenizer folder = hf::make_pretokenizer({part, "pre_tokenizer"}, true);
  std::vector<Cuts> cuts;
  cuts.reserve(texts.size());
  for (const std::string_view text : texts) cuts.push_back(cuts_of(folder.splitter, !folder.leaves_bytes, text));
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (const PreTokenizer* pre : candidates(ignore_merges)) {
    if (const auto missing = missing_cuts(cuts, pre->rule, texts)) found.emplace_back(*missing, pre->name);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<RecognizedPreTokenizer> names;
  names.reserve(found.size());
  for (const auto& [missing, name] : found) names.push_back({name, missing == 0});
  return names;
}

}  // namespace llm::tokenizer
