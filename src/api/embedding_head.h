#ifndef API_EMBEDDING_HEAD_H
#define API_EMBEDDING_HEAD_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/weights_file.h"

namespace llm::api {

// What happens to the hidden states of an embedding model: how positions are joined, and projections of the joined
// vector. Folders of sentence-transformers say it in modules.json and the folders that it names, GGUF files in tensors
// dense_2 and dense_3.
struct EmbeddingHead {
  struct Dense {
    std::int64_t n_in = 0, n_out = 0;
    std::vector<float> weight, bias;  // [n_out, n_in], [n_out] or empty
    bool tanh = false;
  };
  std::optional<std::string>
      pooling;  // "mean", "cls" ...; a kind that is not there is refused when vectors are asked for
  std::vector<Dense> dense;
  std::string refused;  // a part that is not there, found with its place; empty: none

  std::int64_t width(std::int64_t n_embd) const { return dense.empty() ? n_embd : dense.back().n_out; }
  // The projections of one joined vector.
  void project(std::vector<float>& vector) const;
};

// Throws Error(io | model) for files that are there and not as they should be.
EmbeddingHead read_embedding_head(const formats::WeightsFile& file, std::int64_t n_embd);

}  // namespace llm::api

#endif
