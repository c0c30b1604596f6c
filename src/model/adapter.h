#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include <algorithm>
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
  std::int64_t n_experts = 1;             // of which it is one, under a common name in GGUF files
  bool same_rows = true;                  // GGUF files and folders agree on the rows, but for `heads`
  HeadRows heads = {};
  std::span<const std::int64_t> order = {};  // rows of the model's matrix in those of the file's; empty: the same

  std::int64_t n_rows() const { return order.empty() ? n_out : static_cast<std::int64_t>(order.size()); }
};

// The matrices of all experts, each n_out x n_in; GGUF files name them together, folders one by one.
struct AdaptedExperts {
  std::vector<AdaptedMatrix> each;
  std::int64_t n_used = 0;  // experts a row
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
    const std::int64_t rank = padded(rank_of(matrix));
    if (rank == 0) return nullptr;
    ranks_[matrix.where] += rank;
    const std::int64_t n_rows = matrix.n_rows();
    float* a = allocate(static_cast<std::size_t>(rank * matrix.n_in));
    float* b = allocate(static_cast<std::size_t>(rank * n_rows));
    if (a != nullptr) fill(matrix, 0, rank, a, b);
    return keep({matrix_of(a, rank, matrix.n_in), matrix_of(b, n_rows, rank)});
  }
  // The same for all experts: their A and B lie one after the other.
  template <typename Allocate>
  const ops::LowRank* bind(const AdaptedExperts& experts, const Allocate& allocate) {
    std::int64_t rank = 0;
    for (const AdaptedMatrix& matrix : experts.each) rank = std::max(rank, padded(rank_of(matrix)));
    if (rank == 0) return nullptr;
    const auto n = static_cast<std::int64_t>(experts.each.size());
    const AdaptedMatrix& first = experts.each.front();
    ranks_[first.where] += rank * experts.n_used;
    float* a = allocate(static_cast<std::size_t>(n * rank * first.n_in));
    float* b = allocate(static_cast<std::size_t>(n * rank * first.n_out));
    for (std::int64_t e = 0; a != nullptr && e < n; ++e) {
      fill(experts.each[static_cast<std::size_t>(e)], e, rank, a + e * rank * first.n_in, b + e * rank * first.n_out);
    }
    return keep({matrix_of(a, rank, first.n_in), matrix_of(b, first.n_out, rank)});
  }
  // The same for a table of n_in rows of n_out numbers: A lies as [n_in, rank].
  template <typename Allocate>
  const ops::LowRank* bind_table(const AdaptedMatrix& table, const Allocate& allocate) {
    const std::int64_t rank = padded(rank_of(table));
    if (rank == 0) return nullptr;
    float* a = allocate(static_cast<std::size_t>(rank * table.n_in));
    float* b = allocate(static_cast<std::size_t>(rank * table.n_out));
    if (a != nullptr) fill_table(table, rank, a, b);
    return keep({matrix_of(a, table.n_in, rank), matrix_of(b, table.n_out, rank)});
  }
  // Throws Error(model) for the first part that no matrix took.
  void check_all_used() const;
  // Largest sum of ranks within one layer.
  std::int64_t width() const;
  std::deque<ops::LowRank> take() { return std::move(low_ranks_); }

 private:
  static std::int64_t padded(std::int64_t rank) {
    return (rank + ops::low_rank_unit - 1) / ops::low_rank_unit * ops::low_rank_unit;
  }
  static ops::WeightMatrix matrix_of(const float* data, std::int64_t n_out, std::int64_t n_in) {
    return {reinterpret_cast<const std::byte*>(data), TensorType::F32, n_out, n_in};
  }
  const ops::LowRank* keep(ops::LowRank low_rank) { return &low_ranks_.emplace_back(low_rank); }
  const formats::AdapterPart* find(const Adapter& adapter, const AdaptedMatrix& matrix) const;
  std::int64_t rank_of(const AdaptedMatrix& matrix);
  void check(const Adapter& adapter, const formats::AdapterPart& part, const AdaptedMatrix& matrix) const;
  // number: of the expert, where a part has several.
  void fill(const AdaptedMatrix& matrix, std::int64_t number, std::int64_t rank, float* a, float* b) const;
  void fill_table(const AdaptedMatrix& table, std::int64_t rank, float* a, float* b) const;

  std::span<const Adapter> adapters_;
  bool gguf_;
  std::set<const formats::AdapterPart*> used_;
  std::map<std::string, std::int64_t> ranks_;  // by layer
  std::deque<ops::LowRank> low_ranks_;
};

}  // namespace llm::model

#endif
