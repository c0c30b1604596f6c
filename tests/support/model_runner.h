#ifndef SUPPORT_MODEL_RUNNER_H
#define SUPPORT_MODEL_RUNNER_H

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"

// A model with the state of some sequences in plain memory: steps without an engine.
class ModelRunner {
 public:
  explicit ModelRunner(const llm::model::Model& model, llm::model::ExecutorOptions options);

  struct Result {
    std::vector<float> logits;                 // [n, n_vocab]
    std::vector<float> last_hidden;            // [n, n_embd]
    std::map<int, std::vector<float>> hidden;  // index -> [n, n_embd]
  };
  // A part of one sequence in a step.
  struct Part {
    int sequence = 0;
    std::span<const std::int32_t> tokens;
  };

  // Continues one sequence by these tokens, in pieces of `chunk` (0: all at once).
  Result run(std::span<const std::int32_t> tokens, int chunk = 0, int sequence = 0, std::int64_t rope_length = 0);
  // One step with several sequences; results row by row in the order of the parts.
  Result step(std::span<const Part> parts, bool encode = false, std::int64_t rope_length = 0);
  // Encoder pass of an encoder-decoder: last_hidden and hidden of the source.
  Result encode(std::span<const std::int32_t> source, int sequence = 0);

  std::int64_t position(int sequence) const { return sequences_.at(sequence).position; }

 private:
  struct Sequence {
    std::int64_t position = 0;
    std::int64_t n_source = 0;
    std::vector<std::vector<std::vector<std::byte>>> blocks;  // [group][block]
    std::vector<std::vector<std::byte*>> tables;              // [group]
    std::vector<std::byte* const*> pointers;                  // [group]
  };
  Sequence& sequence(int number);
  void reserve(Sequence& s, std::int64_t n_tokens, std::int64_t n_source);

  const llm::model::Model& model_;
  llm::model::Executor executor_;
  std::vector<llm::model::StateGroup> groups_;
  std::map<int, Sequence> sequences_;
};

#endif
