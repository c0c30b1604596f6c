#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/binder.h"
#include "model/spec.h"
#include "model/state_layout.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace llm::model {

// Everything blocks share while a model is bound: tensors, state, tables of rotation.
struct Build {
  Binder& binder;
  StateLayout& state;
  std::vector<Rope>& ropes;  // the distinct ones; blocks keep a number
  int n_embd = 0;
  const float* relative_bias = nullptr;  // of the latest layer of the stack that holds a table
  bool relative_bias_bound = false;

  // Number of this rope in `ropes`; -1: no rotation.
  int rope_index(const Rope& rope);
};

// A step as the blocks of all layers see it; the same for every worker.
struct StepView {
  std::int64_t n_rows = 0;
  std::span<const ops::Sequences> sequences = {};  // one entry a state group
  ops::Sequences transient = {};                   // encoders: keys and values within the step
  ops::Sequences plain = {};                       // positions only
  std::span<const ops::KvLayout> kv = {};          // one entry a slot
  std::span<const ops::RopeTable> ropes = {};
  ops::AttentionBuffer attention = {};
  bool source_pass = false;  // encoder-decoder: cross attention stores keys and values of the source
};

// What a step may hold at most.
struct Limits {
  std::int64_t n_rows = 0;
  std::int64_t n_sequences = 0;
  std::int64_t n_keys = 0;
  int n_workers = 1;
  const kernels::KernelTable* k = nullptr;
  std::span<const ops::KvLayout> kv = {};
};

// Needs of a block beside its rows: scratch of a worker, buffer of the attention.
struct Needs {
  std::size_t scratch = 0;
  std::size_t attention = 0;
  std::size_t low_rank_scratch = 0;  // behind it, for adapters
  void scratch_of(std::size_t bytes) { scratch = std::max(scratch, bytes); }
  void matmul(const Limits& limits, const ops::WeightMatrix& weight) {
    scratch_of(ops::matmul_scratch_bytes(*limits.k, weight, limits.n_rows));
    if (weight.low_rank == nullptr) return;
    scratch_of(limits.k->matmul_scratch_bytes(weight.low_rank->a.type, weight.low_rank->a.n_in));
    low_rank_scratch = std::max(low_rank_scratch, ops::low_rank_scratch_bytes(*limits.k, weight, limits.n_rows));
  }
};

// The input of a block: rows packed for its products, and as floats if it reads them (needs_rows).
struct Input {
  ops::PackedRows packed = {};
  ops::Rows rows = {};
};

// Where a block's result goes: rows = scale * result, or rows += that.
struct Output {
  ops::Rows rows = {};
  bool add = false;
  float scale = 1;
};

// A mixer or a feed-forward with its weights: reads the (normed) stream, gives a branch of it.
class Block {
 public:
  virtual ~Block() = default;
  // Matrices that read the packed input.
  virtual void readers(std::vector<const ops::WeightMatrix*>& out) const = 0;
  virtual bool needs_rows() const { return false; }
  // Takes the buffers that run() takes, for the largest step, and says what else it needs.
  virtual void plan(const Limits& limits, Workspace& workspace, Needs& needs) const = 0;
  virtual void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
                   const Output& out) const = 0;
};

// One overload for each kind of mixer and feed-forward, in mixers/.
std::unique_ptr<Block> make_block(Build& build, const Attention& spec);
std::unique_ptr<Block> make_block(Build& build, const LatentAttention& spec);
std::unique_ptr<Block> make_block(Build& build, const Mamba& spec);
std::unique_ptr<Block> make_block(Build& build, const Mamba2& spec);
std::unique_ptr<Block> make_block(Build& build, const GatedDelta& spec);
std::unique_ptr<Block> make_block(Build& build, const ShortConv& spec);
std::unique_ptr<Block> make_block(Build& build, const RecurrentUnit& spec);
std::unique_ptr<Block> make_block(Build& build, const Rwkv& spec);
std::unique_ptr<Block> make_block(Build& build, const ChannelMix& spec);
std::unique_ptr<Block> make_block(Build& build, const Experts& spec);
struct MlpNames {
  std::string gate = "ffn_gate", up = "ffn_up", down = "ffn_down";
};
std::unique_ptr<Block> make_block(Build& build, const Mlp& spec, const MlpNames& names = {});

}  // namespace llm::model

#endif
