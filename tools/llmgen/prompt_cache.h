#ifndef LLMGEN_PROMPT_CACHE_H
#define LLMGEN_PROMPT_CACHE_H

#include <llm/llm.hpp>
#include <string>
#include <vector>

#include "console.h"

namespace llmgen {

// --cache-prompt: a run begins from the state in a file if it belongs to the beginning of the prompt, and leaves the
// state after its own prompt there.
class PromptCache {
 public:
  // Without a path nothing happens. Says what is wrong with a file that cannot be used.
  PromptCache(std::string path, llm::Engine& engine, std::vector<llm::TokenId> prompt, const Console& console);
  // After the prompt was run. A file that is no saved state stays as it is. Throws Error(io).
  void save();

 private:
  std::string path_;
  llm::Engine& engine_;
  std::vector<llm::TokenId> prompt_;
  const Console& console_;
  bool must_save_ = false;
};

}  // namespace llmgen

#endif
