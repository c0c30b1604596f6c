#ifndef LLMGEN_NEAREST_NAME_H
#define LLMGEN_NEAREST_NAME_H

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace llmgen {

// The long option or subcommand of `app` that is spelt most like `word`; empty if none is within `most_edits` letters.
std::string nearest_name(const CLI::App& app, std::string_view word, std::size_t most_edits = 2);

}  // namespace llmgen

#endif
