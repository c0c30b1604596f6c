#ifndef LLM_MODEL_HPP
#define LLM_MODEL_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <llm/chat.hpp>
#include <llm/error.hpp>
#include <llm/export.hpp>
#include <llm/sampling.hpp>
#include <llm/tokenizer.hpp>

namespace llm {
inline namespace v1 {

enum class LogLevel : std::uint8_t { debug, info, warning };
using LogSink = std::function<void(LogLevel, std::string_view message)>;

/// How keys and values are stored.
enum class KvType : std::uint8_t { f32, f16, bf16, q8_0, q4_0 };

struct LoraAdapter {
  std::string path;  ///< GGUF adapter or Hugging Face PEFT folder
  float scale = 1.0f;
};

struct LoadOptions {
  bool mmap = true;    ///< map the file; off: read it into memory
  bool mlock = false;  ///< keep it in memory
  std::vector<LoraAdapter> lora;
  std::function<bool(float fraction)> progress;  ///< called on the loading thread; false cancels: Error(cancelled)
  LogSink log;                                   ///< may be called from any thread; null: silence
};

/// Facts of a model, read from its header.
struct ModelInfo {
  std::string architecture, name, container;  ///< container: "GGUF", "Hugging Face", "llama2.c"
  std::int64_t n_params = 0, n_layer = 0, n_embd = 0, n_head = 0, n_head_kv = 0, n_vocab = 0, n_context_train = 0;
  std::int64_t n_position_max = 0;   ///< longest sequence it can take at all (learned positions); 0: no such limit
  std::int64_t n_encoder_layer = 0;  ///< encoder-decoders; n_layer is then the decoder's
  std::int64_t n_vocab_source = 0;   ///< ids of a prompt are below this
  std::uint64_t file_bytes = 0;
  struct TypeShare {
    std::string type;
    std::int64_t n_tensors = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<TypeShare> types;
  bool is_encoder = false;          ///< BERT kind: embeddings, no generation
  bool is_encoder_decoder = false;  ///< T5 kind: prompt is the source text
  std::string tokenizer;            ///< description; empty: no vocabulary
  std::string chat_template;        ///< the default one; empty: none
  std::string pooling;              ///< "mean", "cls", "last" or "none"
  std::int64_t n_embedding = 0;     ///< numbers of a joined vector: n_embd, or what the model projects it to
  /// Sampling settings in the file or in generation_config.json, by the names of SamplingOptions. Nothing applies them
  /// unasked.
  std::vector<std::pair<std::string, double>> sampling;
  std::vector<std::string> unused_keys, unused_tensors;
};

/// How its publisher means a model to be used: generation_config.json of a folder, else its config.json. Empty: not
/// said.
struct GenerationDefaults {
  std::optional<bool> sample;
  std::optional<float> temperature, top_p, repeat_penalty, length_penalty;
  std::optional<int> top_k, max_tokens, beams;
  std::optional<BeamStop> stop;
  std::optional<TokenId> decoder_start;
  TokenRules rules;
};

/// Bytes a run will take.
struct MemoryPlan {
  std::uint64_t weights = 0, state = 0, activations = 0, total = 0;
  std::uint64_t available = 0;  ///< what the machine (or its container) has free
};

/// Weights, vocabulary and template of one model. Immutable and cheap to copy (shared); usable from several threads.
class LLM_API Model {
 public:
  /// Opens a GGUF file (by its magic), a Hugging Face folder or a llama2.c checkpoint.
  /// Throws Error(io | model | memory | cancelled).
  static Model load(const std::string& path, const LoadOptions& options = {});

  const ModelInfo& info() const;
  const GenerationDefaults& generation_defaults() const;
  /// Null if the file has no vocabulary.
  const Tokenizer* tokenizer() const;
  /// The template in the file by its name ("" is the default one); nullopt if there is none.
  std::optional<std::string> chat_template(std::string_view name = "") const;
  MemoryPlan plan(std::int64_t n_context, KvType kv_type, int n_sequences = 1) const;

  struct Impl;
  const std::shared_ptr<const Impl>& impl() const { return impl_; }

 private:
  explicit Model(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// Reads headers only; works on files that cannot be run too. Throws Error(io | model).
LLM_API ModelInfo inspect(const std::string& path);
/// What a run of that model takes, from its headers alone. Throws as inspect() does.
LLM_API MemoryPlan plan_memory(const std::string& path, std::int64_t n_context, KvType kv_type, int n_sequences = 1);

}  // namespace v1
}  // namespace llm

#endif
