#ifndef MODEL_BINDER_H
#define MODEL_BINDER_H

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "model/adapter.h"
#include "model/bound_tensor.h"
#include "model/family.h"
#include "model/hyper.h"
#include "ops/ops.h"

namespace llm::model {

struct Linear {
  ops::WeightMatrix weight = {};
  const float* bias = nullptr;

  explicit operator bool() const { return weight.n_out != 0; }
  Linear rows(std::int64_t begin, std::int64_t count) const {
    return {weight.data != nullptr ? weight.rows(begin, count)
                                   : ops::WeightMatrix{nullptr, weight.type, count, weight.n_in},
            bias != nullptr ? bias + begin : nullptr};
  }
};

// Finds tensors under the names of the file's format, checks their shapes, and converts what products cannot read as it
// lies. Every tensor asked for counts as used. From the header alone (no data) all checks are made, and pointers to
// converted numbers are null.
class Binder {
 public:
  // recording: remembers every tensor that was bound.
  Binder(const Hyper& hyper, const Family& family, bool header_only, std::span<const Adapter> adapters = {},
         bool recording = false);

  // Where names are looked up from now on: a stack's own tensors (layer -1) or those of one layer.
  void enter(const Stack& stack, int layer);
  const Hyper& hyper() const { return hyper_; }
  bool header_only() const { return header_only_; }

  bool has(std::string_view name) const;       // canonical, with ".weight" or ".bias"
  bool numbered(std::string_view name) const;  // one tensor for each expert or head

  // n_out x n_in in the file's type, with what adapters add. A Presence of no gives an empty one and leaves the tensor
  // unused.
  ops::WeightMatrix matrix(std::string_view name, std::int64_t n_out, std::int64_t n_in,
                           Presence presence = Presence::yes, HeadRows heads = {});
  // The same for one that products do not read: an adapter for it is refused.
  ops::WeightMatrix table(std::string_view name, std::int64_t n_out, std::int64_t n_in);
  // The table of the tokens' vectors; its low-rank part has A as [n_out, rank].
  ops::WeightMatrix token_table(std::string_view name, std::int64_t n_out, std::int64_t n_in);
  // What adapters add to the matrices of all experts, under their GGUF name.
  const ops::LowRank* expert_adapters(std::string_view name, int count, std::int64_t n_used, std::int64_t n_out,
                                      std::int64_t n_in);
  void refuse_adapter(std::string_view name);
  // What adapters add to a matrix that serves under this name too (tied embeddings).
  void adapt(std::string_view name, ops::WeightMatrix& weight);
  // A tensor [n, n_out, n_in] as n * n_out rows.
  ops::WeightMatrix stacked(std::string_view name, std::int64_t n, std::int64_t n_out, std::int64_t n_in);
  // Chosen rows of the file's matrix, copied: row i of the result is row order[i].
  ops::WeightMatrix reordered(std::string_view name, std::int64_t n_out, std::int64_t n_in,
                              const std::vector<std::int64_t>& order);
  // bias_factor: of the bias as it is stored.
  Linear linear(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence bias = Presence::no,
                float bias_factor = 1, HeadRows heads = {});
  // Floats of any shape with these extents (slowest first, ones left out), converted to F32.
  const float* floats(std::string_view name, std::initializer_list<std::int64_t> shape,
                      Presence presence = Presence::yes);
  // Numbers order[0], order[1] ... of a tensor of n numbers (or of this shape).
  const float* reordered_floats(std::string_view name, std::int64_t n, const std::vector<std::int64_t>& order,
                                Presence presence = Presence::yes, std::initializer_list<std::int64_t> shape = {});
  // Vectors "name" with {} = 0 ... n - 1, side by side.
  const float* floats_each(std::string_view name, int n, std::int64_t width);
  ops::Norm norm(const Norm& norm, std::string_view name, std::int64_t width);

  // Matrices of all experts: stacked in one tensor [count, n_out, n_in] or one tensor an expert.
  ops::ExpertMatrices experts(std::string_view name, int count, std::int64_t n_out, std::int64_t n_in);
  // Columns [begin, begin + n_out) of every expert's stacked rows (a fused tensor [count, n_total, n_in]).
  ops::ExpertMatrices expert_rows(std::string_view name, int count, std::int64_t n_total, std::int64_t begin,
                                  std::int64_t n_out, std::int64_t n_in);
  // A fused tensor [count, n_in, n_total] (input-major), or its MXFP4 form NAME_blocks [count, n_total, n_in / 32, 16]
  // and NAME_scales: columns begin, begin + step, ... as matrices [n_out, n_in].
  ops::ExpertMatrices expert_columns(std::string_view name, int count, std::int64_t n_total, std::int64_t begin,
                                     std::int64_t step, std::int64_t n_out, std::int64_t n_in);

  // For a writer of GGUF files. What was bound last stands there as these tensors, one after the other (rows in the
  // order in which they are read here).
  struct GgufPart {
    std::string_view name;            // canonical, with ".weight" or ".bias"
    std::vector<std::int64_t> shape;  // slowest first
  };
  void in_gguf(std::initializer_list<GgufPart> parts);
  // A tensor that GGUF files have beside those bound; `row` gives its rows.
  void record(std::string_view name, std::vector<std::int64_t> shape, TensorType type,
              std::function<void(std::int64_t row, std::byte* out)> row);
  // The rows of weight and bias `name` are entries of heads, rotated in this way.
  void rotated(std::string_view name, int n_head, int head_dim, const Rope& rope);
  std::vector<BoundTensor> take_bound() { return std::move(bound_); }

  // Memory of the model; bytes are counted from the header too (null then).
  std::byte* allocate(std::size_t bytes);
  float* allocate_floats(std::size_t count) { return reinterpret_cast<float*>(allocate(count * sizeof(float))); }

  // The tensor that a canonical name means here, marked as used, and its shape checked; null if it is absent.
  const formats::TensorView* view(std::string_view name, std::initializer_list<std::int64_t> shape, Presence presence);
  std::string file_name(std::string_view name) const;  // as the file calls it, for messages
  [[noreturn]] void fail(std::string_view name, const std::string& found, const std::string& expected) const;
  // All numbers of a tensor as floats.
  std::vector<float> decode(const formats::TensorView& tensor) const;

  std::int64_t n_parameters() const { return n_parameters_; }
  std::uint64_t converted_bytes() const { return converted_bytes_; }
  std::vector<std::string> unused_tensors() const;
  std::vector<Arena> take_memory() { return std::move(memory_); }
  Adapters& adapters() { return adapters_; }

 private:
  std::string actual_name(std::string_view name, int number = -1) const;
  std::string gguf_name(std::string_view name) const;
  std::string folder_name(std::string_view name, int number, const std::string& scope) const;
  ops::WeightMatrix stored_matrix(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence presence);
  // number: of an expert; -1: no expert's matrix.
  AdaptedMatrix describe(std::string_view name, std::int64_t n_out, std::int64_t n_in, int number = -1) const;
  const ops::LowRank* low_rank(const AdaptedMatrix& matrix);
  const TensorRule* rule_for(std::string_view name) const;
  void mark(const formats::TensorView& tensor);
  const formats::TensorView* find(std::string_view name, int number = -1) const;
  void record_rows(std::string_view name, std::vector<std::int64_t> shape, const formats::TensorView& tensor);
  void record_parts(std::string_view name, std::vector<std::int64_t> shape,
                    std::vector<const formats::TensorView*> parts);
  void record_floats(std::string_view name, std::vector<std::int64_t> shape, const formats::TensorView& tensor,
                     const TensorRule* rule);
  const Naming& naming() const { return encoder_ ? family_.encoder_naming : family_.naming; }

  const Hyper& hyper_;
  const formats::WeightsFile& file_;
  const Family& family_;
  bool header_only_;
  bool recording_;
  Adapters adapters_;
  std::string gguf_scope_;
  std::string hf_base_[2];  // prefix of each stack, as found: [0] decoder, [1] encoder
  std::string hf_layer_;
  int layer_ = -1;
  bool encoder_ = false;
  std::set<std::string_view> used_;
  std::vector<Arena> memory_;
  std::vector<BoundTensor> bound_;
  std::uint64_t converted_bytes_ = 0;
  std::int64_t n_parameters_ = 0;
};

}  // namespace llm::model

#endif
