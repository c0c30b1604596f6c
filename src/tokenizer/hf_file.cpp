#include "tokenizer/hf_file.h"

#include <fmt/format.h>

#include <limits>
#include <unordered_map>

#include "base/utf8.h"
#include "formats/quote.h"

namespace llm::tokenizer::hf {

Json parse_json(std::string_view text, const std::string& source) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::model, fmt::format("{}: {}", source, error.what()));
  }
}

TokenizerFile::TokenizerFile(std::string_view text, const std::string& source)
    : text_(text), source_(source), reader_(text.substr(text.starts_with("\xEF\xBB\xBF") ? 3 : 0)) {
  if (!is_valid_utf8(text_)) fail("not UTF-8");
  if (reader_.peek() != '{') {
    root_ = parse_json(text_, source_);
    return;
  }
  if (!read_root() || !reader_.at_end()) fail("a number beyond what numbers can hold");
}

bool TokenizerFile::read_root() {
  root_ = Json::object();
  return reader_.object([this](std::string_view key) {
    Json& member = root_[std::string(key)];
    return key == "model" && reader_.peek() == '{' ? read_model(member) : read_other(member);
  });
}

bool TokenizerFile::read_model(Json& model) {
  model = Json::object();
  vocabulary_.clear();
  merges_.clear();
  return reader_.object([&](std::string_view key) {
    Json& member = model[std::string(key)];
    const char first = reader_.peek();
    if (key == "vocab" && (first == '{' || first == '[')) return read_vocabulary(member);
    if (key == "merges" && first == '[') return read_merges(member);
    return read_other(member);
  });
}

bool TokenizerFile::read_other(Json& out) {
  std::string_view raw;
  if (!reader_.skip(raw)) return false;
  out = Json::parse(raw, nullptr, false);
  return !out.is_discarded();
}

bool TokenizerFile::read_vocabulary(Json& kind) {
  vocabulary_.clear();
  if (reader_.peek() == '[') {
    kind = Json::array();
    return reader_.array([this] {
      VocabularyItem item;
      item.id = static_cast<TokenId>(vocabulary_.size());
      int part = 0;
      const bool good = reader_.peek() == '[' && reader_.array([&] {
        ++part;
        return part == 1 ? reader_.string(item.text) : part == 2 && reader_.number(item.score);
      });
      if (!good || part != 2) {
        fail(fmt::format("model.vocab: item {}: expected a text and its score", vocabulary_.size()));
      }
      vocabulary_.push_back(item);
      return true;
    });
  }
  kind = Json::object();
  return reader_.object([this](std::string_view text) {
    std::int64_t id = 0;
    if (!reader_.integer(id) || id < 0 || id >= std::numeric_limits<TokenId>::max()) {
      fail(fmt::format("model.vocab.{}: expected a token id", formats::quote(text)));
    }
    vocabulary_.push_back({static_cast<TokenId>(id), text, 0});
    return true;
  });
}

bool TokenizerFile::drop_repeated_texts() {
  std::unordered_map<std::string_view, std::size_t> last;
  last.reserve(vocabulary_.size());
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) last[vocabulary_[i].text] = i;
  const bool repeated = last.size() < vocabulary_.size();
  if (repeated) {
    std::size_t i = 0;
    std::erase_if(vocabulary_, [&](const VocabularyItem& item) { return last[item.text] != i++; });
  }
  return repeated;
}

bool TokenizerFile::read_merges(Json& kind) {
  merges_.clear();
  kind = Json::array();
  return reader_.array([this] {
    Bpe::MergeText merge;
    bool good = false;
    if (reader_.peek() == '[') {
      int part = 0;
      good = reader_.array([&] {
        ++part;
        return part <= 2 && reader_.string(part == 1 ? merge.left : merge.right);
      });
      good = good && part == 2;
    } else if (std::string_view text; reader_.string(text)) {
      const std::size_t space = text.find(' ');
      good = space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos;
      if (good) merge = {text.substr(0, space), text.substr(space + 1)};
    }
    if (!good) fail(fmt::format("model.merges: item {}: expected two texts", merges_.size()));
    merges_.push_back(merge);
    return true;
  });
}

// The parser tells where JSON is wrong.
void TokenizerFile::fail(std::string_view what) const {
  parse_json(text_, source_);
  throw Error(ErrorCode::model, fmt::format("{}: {}", source_, what));
}

}  // namespace llm::tokenizer::hf
