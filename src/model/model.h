#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor_type.h"
#include "formats/weights_file.h"
#include "model/adapter.h"
#include "model/spec.h"
#include "model/step.h"
#include "ops/profile.h"

namespace llm::model {

class Weights;

// How much one step may hold, and where it runs. Buffers are sized once from this.
struct ExecutorOptions {
  int n_threads = 1;
  int max_rows = 512;            // of a step; an encoder needs a whole sequence in one step
  int max_sequences = 1;         // of a step
  std::int64_t max_context = 0;  // largest position + 1 of any sequence; 0: n_context_train
  bool exact = false;            // activations are never quantised
  TensorType kv_type = TensorType::F16;
  int block_tokens = 64;  // positions of a state block; a multiple of 32
  bool profile = false;   // keep account of where the time of steps goes
};

// Weights with a forward pass. Immutable; one Model may serve any number of Executors in any threads.
class Model {
 public:
  // Finds the family by the file's architecture, reads its hyper-parameters, and binds all tensors, checked against the
  // shapes that the family expects. Weights stay in the file's memory; what is small or stored in another layout than
  // products read is converted into memory of the model. Throws Error(model | memory).
  // Adapters add low-rank products to the matrices they name; every part of every adapter must find its matrix.
  static std::unique_ptr<Model> load(std::unique_ptr<formats::WeightsFile> file, std::vector<Adapter> adapters = {});
  // The same from the header alone: all checks are made, no tensor data is touched; for spec(), state_groups(),
  // Executor::arena_bytes() and the lists below. Such a model cannot be executed. `file` must outlive it.
  static std::unique_ptr<Model> describe(const formats::WeightsFile& file, std::span<const Adapter> adapters = {});
  ~Model();

  const ModelSpec& spec() const;
  // What every sequence keeps, for blocks of any size. Throws Error(usage) for a type that the head sizes do not allow.
  std::vector<StateGroup> state_groups(TensorType kv_type) const;
  std::int64_t n_parameters() const;      // elements of all tensors in use
  std::uint64_t converted_bytes() const;  // memory of the model besides the file's
  const std::vector<std::string>& unused_keys() const;
  const std::vector<std::string>& unused_tensors() const;
  const formats::WeightsFile& file() const;

  const Weights& weights() const { return *weights_; }

 private:
  explicit Model(std::unique_ptr<Weights> weights);
  std::unique_ptr<Weights> weights_;
};

// Threads and buffers that run steps of one model, one step at a time. The model must outlive it.
class Executor {
 public:
  // Throws Error(memory | usage).
  Executor(const Model& model, const ExecutorOptions& options);
  ~Executor();

  const ExecutorOptions& options() const;
  std::size_t arena_bytes() const;
  // Of all steps so far; null if the options do not ask for it.
  const ops::Profile* profile() const;
  // What an Executor would allocate, scratch of the threads included.
  static std::size_t arena_bytes(const Model& model, const ExecutorOptions& options);

  // Evaluates one step. The plan must keep to the options; token ids must be below n_vocab, positions of learned tables
  // below n_position_max: Error(usage) otherwise, before anything is written. Allocates nothing.
  void forward(const StepPlan& plan);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace llm::model

#endif
