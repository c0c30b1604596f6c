#ifndef LLM_EVALUATE_HPP
#define LLM_EVALUATE_HPP

#include <cstdint>
#include <string>
#include <vector>

#include <llm/engine.hpp>

namespace llm {
inline namespace v1 {

struct EvaluateOptions {
  EngineOptions engine;
  bool hidden = false;               ///< keep the residual stream of every layer
  std::vector<TokenId> decoder_ids;  ///< encoder-decoder models: the target; ids are then the source
};

/// What a model makes of a text, position by position.
struct Evaluation {
  std::vector<TokenId> ids, decoder_ids;
  std::int64_t n_vocab = 0, n_embd = 0;
  std::vector<float> logits;                   ///< [n, n_vocab]; empty for encoders without a head
  std::vector<float> last_hidden;              ///< [n, n_embd]; encoders only
  std::vector<std::vector<float>> hidden;      ///< [n_layer + 1][n, n_embd]: before the first layer, after each
  std::vector<std::vector<float>> enc_hidden;  ///< the same for the encoder of an encoder-decoder

  /// Writes logits, last_hidden, hidden.i (dec_hidden.i, enc_hidden.i) as F32 and input_ids, decoder_input_ids as I32.
  /// Throws Error(io).
  LLM_API void save_safetensors(const std::string& path) const;
};

/// Runs the ids through the model in chunks of options.engine.chunk. Throws as Session::eval does.
LLM_API Evaluation evaluate(const Model& model, const std::vector<TokenId>& ids, const EvaluateOptions& options = {});

}  // namespace v1
}  // namespace llm

#endif
