#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/arena.h"
#include "model/block.h"
#include "model/rope.h"
#include "model/spec.h"

namespace llm::model {

// One layer bound to its tensors.
struct LayerWeights {
  std::optional<ops::Norm> stream, pre_mixer, post_mixer, after_mixer, pre_cross, after_cross, pre_ffn, post_ffn,
      after_ffn;
  std::vector<std::unique_ptr<Block>> mixers;
  std::unique_ptr<Block> cross, ffn;
};

struct StackWeights {
  const Stack* spec = nullptr;
  ops::WeightMatrix tokens, positions, types;
  std::optional<ops::Norm> embedding_norm, final_norm;
  Linear projection;  // embedding's width to n_embd
  std::vector<LayerWeights> layers;

  // The layer that computes layer i.
  const LayerWeights& layer(std::size_t i) const { return layers[spec->group_of(i)]; }
};

struct HeadWeights {
  Linear projection;  // n_embd to the embedding's width, or the transform
  ops::Norm transform_norm;
  ops::WeightMatrix output;
  const float* bias = nullptr;
};

// Everything a model computes with. Built once, never changed.
class Weights {
 public:
  // recording: `bound` lists every tensor that was read.
  Weights(const formats::WeightsFile& file, bool header_only, std::span<const Adapter> adapters = {},
          bool recording = false);

  ModelSpec spec;
  StackWeights decoder, encoder;
  HeadWeights head;
  StateLayout state;
  std::vector<Rope> ropes;
  std::vector<RopeAngles> rope_angles;            // of each rope, at the training length
  std::vector<std::vector<float>> rope_divisors;  // of each rope; empty: none

  std::unique_ptr<formats::WeightsFile> owned_file;
  const formats::WeightsFile* file = nullptr;
  bool header_only = false;
  std::int64_t n_parameters = 0;
  std::uint64_t converted_bytes = 0;
  std::int64_t low_rank_width = 0;  // of adapters: largest sum of ranks within a layer
  std::vector<std::string> unused_keys, unused_tensors;
  std::vector<BoundTensor> bound;
  std::map<std::string, Hyper::Answer, std::less<>> answers;  // Hyper::answers(), if recording
  const std::deque<ops::LowRank>& low_ranks() const { return low_ranks_; }

 private:
  void bind(const Hyper& hyper, Binder& binder);
  StackWeights bind_stack(Binder& binder, const Stack& stack, int n_vocab);
  LayerWeights bind_layer(Build& build, const Layer& layer);
  void bind_ropes(Binder& binder);
  std::vector<Arena> memory_;
  std::deque<ops::LowRank> low_ranks_;
};

}  // namespace llm::model

#endif
