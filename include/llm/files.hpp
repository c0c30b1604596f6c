#ifndef LLM_FILES_HPP
#define LLM_FILES_HPP

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <llm/error.hpp>
#include <llm/export.hpp>

namespace llm {
inline namespace v1 {

/// Called with the share that is done; false stops: Error(cancelled), nothing is left behind.
using FileProgress = std::function<bool(double fraction)>;

/// Names that quantize() and synthesize() take as `type`: weight types ("q8_0") and mixtures ("q4_k_m").
LLM_API std::vector<std::string> weight_recipes();

/// Rewrites a GGUF file (split files too) with another weight type; vectors stay as they are. Streams: memory does not
/// grow with the file. The output appears under its name when it is whole. Throws Error(usage | io | model).
LLM_API void quantize(const std::string& input, const std::string& output, const std::string& type,
                      const FileProgress& progress = {});

struct SynthOptions {
  std::string architecture = "llama";  ///< llama, qwen2, qwen3 or mixtral
  std::string preset = "1b";           ///< see synth_presets()
  std::string type = "q4_0";
  std::uint64_t seed = 1;
};
LLM_API std::vector<std::string> synth_presets();

/// Writes a model of the preset's shape with random weights and no vocabulary, for measuring.
LLM_API void synthesize(const SynthOptions& options, const std::string& output, const FileProgress& progress = {});

}  // namespace v1
}  // namespace llm

#endif
