#include "sampling/stop_strings.h"

#include <algorithm>

#include <llm/error.hpp>

namespace llm::sampling {

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) throw Error(ErrorCode::usage, "stop: found an empty string, expected at least one character");
    std::vector<std::size_t> border(text.size() + 1, 0);
    for (std::size_t i = 1, k = 0; i < text.size(); ++i) {
      while (k > 0 && text[i] != text[k]) k = border[k];
      if (text[i] == text[k]) ++k;
      border[i + 1] = k;
    }
    stops_.push_back({std::move(text), std::move(border), 0});
  }
}

std::string_view StopStrings::push(std::string_view piece) {
  out_.clear();
  if (found_) return out_;
  for (char byte : piece) {
    held_ += byte;
    std::size_t keep = 0;
    const Stop* complete = nullptr;
    for (Stop& stop : stops_) {
      while (stop.matched > 0 && stop.text[stop.matched] != byte) stop.matched = stop.border[stop.matched];
      if (stop.text[stop.matched] == byte) ++stop.matched;
      keep = std::max(keep, stop.matched);
      if (stop.matched == stop.text.size() && (!complete || stop.text.size() > complete->text.size())) complete = &stop;
    }
    if (complete) {
      found_ = complete->text;
      out_.append(held_, 0, held_.size() - complete->text.size());
      held_.clear();
      return out_;
    }
    if (keep == 0) {
      out_ += held_;
      held_.clear();
    } else if (held_.size() > keep) {
      out_.append(held_, 0, held_.size() - keep);
      held_.erase(0, held_.size() - keep);
    }
  }
  return out_;
}

std::string_view StopStrings::finish() {
  out_.swap(held_);
  held_.clear();
  return out_;
}

}  // namespace llm::sampling
