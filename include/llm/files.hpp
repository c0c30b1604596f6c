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

struct ConvertOptions {
  std::string type;  ///< "f16", "bf16", "f32", "q8_0" or another of weight_recipes(); empty: as the folder has it
  std::string pretokenizer;  ///< name of a byte-level BPE's pre-tokenizer; empty: the one that cuts text equally
};
struct Conversion {
  std::string architecture;           ///< general.architecture of the file
  std::vector<std::string> left_out;  ///< tensors of the folder that such files have no place for
  /// Keys and tensors that other engines do not read from such files: they compute otherwise, or refuse the file.
  std::vector<std::string> unread_elsewhere = {};
  std::string vocabulary;  ///< what was written, in words; empty: the folder has none
};

/// Writes a Hugging Face folder or a llama2.c checkpoint as a GGUF file. Before any weight is read the file's header is
/// read back and compared: what readers of its architecture would compute otherwise than the folder says is refused by
/// name. Streams: memory does not grow with the model. The output appears under its name when it is whole.
/// Throws Error(usage | io | model).
LLM_API Conversion convert(const std::string& folder, const std::string& output, const ConvertOptions& options = {},
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
