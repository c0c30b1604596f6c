#include "chat/text.h"

#include <algorithm>

#include <fmt/format.h>

#include "chat/unicode.h"

namespace llm::chat {

Text::Text(std::string bytes, bool foreign) : bytes_(std::move(bytes)), length_(count_code_points(bytes_)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), foreign});
}

Text::Text(std::string bytes, std::vector<Run> runs, Budget* budget, std::size_t charged)
    : bytes_(std::move(bytes)),
      runs_(std::move(runs)),
      length_(count_code_points(bytes_)),
      budget_(budget),
      charged_(charged) {}

Text::~Text() {
  if (budget_ != nullptr) budget_->release(charged_);
}

bool Text::any_foreign() const {
  return runs_.size() > 1 || (!runs_.empty() && runs_.front().foreign);
}

std::size_t Text::offset(std::size_t code_point) const {
  if (ascii()) return code_point;
  std::size_t at = 0;
  for (; code_point > 0 && at < bytes_.size(); --code_point) {
    do ++at;
    while (at < bytes_.size() && (static_cast<unsigned char>(bytes_[at]) & 0xC0) == 0x80);
  }
  return at;
}

void TextBuilder::grow(std::size_t n) {
  const std::size_t limit = budget_->limits().text_bytes;
  if (n > limit || bytes_.size() + n > limit) fail(fmt::format("a text is longer than {} MiB", limit >> 20));
  budget_->allocate(n);
  charged_ += n;
  budget_->scan(n);
}

void TextBuilder::append(std::string_view bytes, bool foreign) {
  if (bytes.empty()) return;
  grow(bytes.size());
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().foreign == foreign) {
    runs_.back().end = bytes_.size();
  } else {
    budget_->allocate(sizeof(Run));
    charged_ += sizeof(Run);
    runs_.push_back({bytes_.size(), foreign});
  }
}

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  const auto& runs = text.runs();
  auto run = std::partition_point(runs.begin(), runs.end(), [&](const Run& r) { return r.end <= begin; });
  const std::string_view bytes = text.bytes();
  while (begin < end && run != runs.end()) {
    const std::size_t stop = std::min(end, run->end);
    append(bytes.substr(begin, stop - begin), run->foreign);
    begin = stop;
    ++run;
  }
}

void TextBuilder::append(char32_t code_point, bool foreign) {
  std::string bytes;
  append_utf8(bytes, code_point);
  append(bytes, foreign);
}

void TextBuilder::repeat(std::string_view bytes, std::size_t times, bool foreign) {
  const std::size_t limit = budget_->limits().text_bytes;
  if (!bytes.empty() && times > limit / bytes.size()) fail(fmt::format("a text is longer than {} MiB", limit >> 20));
  for (std::size_t i = 0; i < times; ++i) append(bytes, foreign);
}

TextPtr TextBuilder::finish() {
  constexpr std::size_t overhead = sizeof(Text) + 48;  // counters, allocator
  budget_->allocate(overhead);
  charged_ += overhead;
  auto text = std::make_shared<const Text>(std::move(bytes_), std::move(runs_), budget_, charged_);
  charged_ = 0;
  bytes_.clear();
  runs_.clear();
  return text;
}

bool TextReader::foreign() const {
  const auto& runs = text_->runs();
  while (run_ < runs.size() && runs[run_].end <= at_) ++run_;
  return run_ < runs.size() && runs[run_].foreign;
}

char32_t TextReader::next() {
  return next_code_point(text_->bytes(), at_);
}

TextPtr slice(Budget& budget, const TextPtr& text, std::size_t begin, std::size_t end) {
  if (begin == 0 && end == text->bytes().size()) return text;
  TextBuilder builder(budget);
  builder.append(*text, begin, end);
  return builder.finish();
}

}  // namespace llm::chat
