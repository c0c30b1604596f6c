#include "prompt_cache.h"

#include <fmt/format.h>

#include <algorithm>

namespace llmgen {

PromptCache::PromptCache(std::string path, llm::Engine& engine, std::vector<llm::TokenId> prompt,
                         const Console& console)
    : path_(std::move(path)), engine_(engine), prompt_(std::move(prompt)), console_(console) {
  if (path_.empty()) return;
  const llm::StateFile found = engine_.load_state(path_);
  const auto same = std::mismatch(found.ids.begin(), found.ids.end(), prompt_.begin(), prompt_.end()).first;
  const auto n_same = static_cast<std::size_t>(same - found.ids.begin());
  if (!found.problem.empty()) {
    console_.warning(fmt::format("--cache-prompt: {}; it is ignored{}", found.problem,
                                 found.may_replace ? " and written anew" : ""));
  } else if (n_same < found.ids.size()) {
    console_.warning(
        fmt::format("--cache-prompt: {} holds another prompt, of which the first {} tokens are the same; "
                    "it is written anew",
                    path_, n_same));
  }
  must_save_ = found.may_replace && (n_same < found.ids.size() || n_same < prompt_.size());
}

void PromptCache::save() {
  if (!must_save_) return;
  const std::int64_t n = engine_.save_state(path_, prompt_);
  console_.detail(n > 0 ? fmt::format("--cache-prompt: wrote the state of {} tokens to {}", n, path_)
                        : std::string("--cache-prompt: this model's state cannot be kept; nothing was written"));
}

}  // namespace llmgen
