#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/adapter_file.h"
#include "ops/ops.h"

namespace llm::model {

// An adapter that a model is loaded with, and how strongly it counts.
struct Adapter {
  std::unique_ptr<formats::AdapterFile> file;
  float scale = 1;
};

// Rows of a projection by head, where GGUF files and folders store them in different orders: a row's number within its
// head is 2 j + p in GGUF files and p * head_dim / 2 + j in folders.
struct HeadRows {
  int n_head = 0;  // 0: not known
  bool gguf_interleaves = false;
};

// A matrix that may be adapted, as the model reads it.
struct AdaptedMatrix {
  std::string gguf_name;                  // without ".weight"
  std::vector<std::string> folder_names;  // paths of the module, with every prefix that folders of the family use
  std::string where;                      // the layer, for the sum of ranks
  std::int64_t n_out = 0, n_in = 0;       // as stored
  bool same_rows = true;                  // GGUF files and folders agree on the rows, but for `heads`
  HeadRows heads = {};
  std::span<const std::int64_t> order = {};  // rows of the model's matrix in those of the file's; empty: the same
};

// Gives matrices their low-rank parts: those of all adapters side by side, scales multiplied in.
class Adapters {
 public:
  // gguf: what the model's file is. architectures: names that GGUF adapters for it may carry. allocate gives memory of
  // the model. Throws Error(model) for an adapter of another architecture.
  Adapters(std::span<const Adapter> adapters, bool gguf, std::span<const std::string_view> architectures);

  bool has(const AdaptedMatrix& matrix) const;
  // Null if no adapter changes the matrix. Throws Error(model) that names adapter and matrix if one does not fit.
  template <typename Allocate>
  const ops::LowRank* bind(const AdaptedMatrix& matrix, const Allocate& allocate) {
    const std::int64_t rank = rank_of(matrix);
    if (rank == 0) return nullptr;
    const std::int64_t n_rows = matrix.order.empty() ? matrix.n_out : static_cast<std::int64_t>(matrix.order.size());
    float* a = allocate(static_cast<std::size_t>(rank * matrix.n_in));
    float* b = allocate(static_cast<std::size_t>(rank * n_rows));
    if (a != nullptr) fill(matrix, rank, a, b);
    return &low_ranks_.emplace_back(
        ops::LowRank{{reinterpret_cast<const std::byte*>(a), TensorType::F32, rank, matrix.n_in},
                     {reinterpret_cast<const std::byte*>(b), TensorType::F32, n_rows, rank}});
  }
  // Throws Error(model) for the first part that no matrix took.
  void check_all_used() const;
  // Largest sum of ranks within one layer.
  std::int64_t width() const;
  std::deque<ops::LowRank> take() { return std::move(low_ranks_); }

 private:
  const formats::AdapterPart* find(const Adapter& adapter, const AdaptedMatrix& matrix) const;
  std::int64_t rank_of(const AdaptedMatrix& matrix);
  void check(const Adapter& adapter, const formats::AdapterPart& part, const AdaptedMatrix& matrix) const;
  void fill(const AdaptedMatrix& matrix, std::int64_t rank, float* a, float* b) const;

  std::span<const Adapter> adapters_;
  bool gguf_;
  std::set<const formats::AdapterPart*> used_;
  std::map<std::string, std::int64_t> ranks_;  // by layer
  std::deque<ops::LowRank> low_ranks_;
};

}  // namespace llm::model

#endif
