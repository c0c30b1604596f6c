#include "model/adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <llm/error.hpp>

namespace llm::model {
namespace {

[[noreturn]] void refuse(const Adapter& adapter, const std::string& what) {
  throw Error(ErrorCode::model, fmt::format("{}: {}", adapter.file->path(), what));
}

// The numbers of one expert's matrix, or of the only one.
std::vector<float> decode(const Adapter& adapter, const formats::TensorView& tensor, std::int64_t number) {
  const std::int64_t n = tensor.extent[0] * tensor.extent[1];
  const std::uint64_t bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(tensor.extent[0])) *
                              static_cast<std::uint64_t>(tensor.extent[1]);
  std::vector<float> values(static_cast<std::size_t>(n));
  kernels::kernels().decode_row(tensor.type, tensor.data + static_cast<std::uint64_t>(number) * bytes, values.data(),
                                n);
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    refuse(adapter, fmt::format("{}: holds a number that is not finite", tensor.name));
  }
  return values;
}

}  // namespace

Adapters::Adapters(std::span<const Adapter> adapters, bool gguf, std::span<const std::string_view> architectures)
    : adapters_(adapters), gguf_(gguf) {
  for (const Adapter& adapter : adapters_) {
    if (adapter.file->kind() != formats::SourceKind::gguf) continue;
    const std::string& name = adapter.file->architecture();
    if (std::find(architectures.begin(), architectures.end(), name) != architectures.end()) continue;
    refuse(adapter, fmt::format("general.architecture: found '{}', expected '{}' as the model", name,
                                fmt::join(architectures, "' or '")));
  }
}

const formats::AdapterPart* Adapters::find(const Adapter& adapter, const AdaptedMatrix& matrix) const {
  const bool gguf = adapter.file->kind() == formats::SourceKind::gguf;
  for (const formats::AdapterPart& part : adapter.file->parts()) {
    if (gguf ? part.matrix == matrix.gguf_name
             : std::find(matrix.folder_names.begin(), matrix.folder_names.end(), part.matrix) !=
                   matrix.folder_names.end()) {
      return &part;
    }
  }
  return nullptr;
}

bool Adapters::has(const AdaptedMatrix& matrix) const {
  return std::any_of(adapters_.begin(), adapters_.end(),
                     [&](const Adapter& adapter) { return find(adapter, matrix) != nullptr; });
}

void Adapters::check(const Adapter& adapter, const formats::AdapterPart& part, const AdaptedMatrix& matrix) const {
  if (part.n_experts() != 1 && part.n_experts() != matrix.n_experts) {
    refuse(adapter, fmt::format("{}: changes the matrices of {} experts, expected {} as the model's", part.matrix,
                                part.n_experts(), matrix.n_experts));
  }
  if (part.n_experts() == 1 && matrix.n_experts > 1 && adapter.file->kind() == formats::SourceKind::gguf) {
    refuse(adapter,
           fmt::format("{}: changes one matrix, expected one for each of {} experts", part.matrix, matrix.n_experts));
  }
  if (part.n_out() != matrix.n_out || part.n_in() != matrix.n_in) {
    refuse(adapter, fmt::format("{}: changes a matrix of shape [{}, {}], expected [{}, {}] as the model's", part.matrix,
                                part.n_out(), part.n_in(), matrix.n_out, matrix.n_in));
  }
  const bool same_format = (adapter.file->kind() == formats::SourceKind::gguf) == gguf_;
  if (!same_format && !matrix.same_rows) {
    refuse(adapter,
           fmt::format("{}: GGUF files and Hugging Face folders store this matrix in different orders, expected "
                       "an adapter in the model's own format",
                       part.matrix));
  }
}

std::int64_t Adapters::rank_of(const AdaptedMatrix& matrix) {
  std::int64_t rank = 0;
  for (const Adapter& adapter : adapters_) {
    const formats::AdapterPart* part = find(adapter, matrix);
    if (part == nullptr) continue;
    check(adapter, *part, matrix);
    used_.insert(part);
    rank += part->rank();
  }
  return rank;
}

void Adapters::fill(const AdaptedMatrix& matrix, std::int64_t number, std::int64_t rank, float* a, float* b) const {
  const std::int64_t n_rows = matrix.n_rows();
  std::fill_n(a, rank * matrix.n_in, 0.0f);
  std::fill_n(b, rank * n_rows, 0.0f);
  std::int64_t first = 0;  // rank of the adapters before
  for (const Adapter& adapter : adapters_) {
    const formats::AdapterPart* part = find(adapter, matrix);
    if (part == nullptr) continue;
    const std::int64_t at_expert = part->n_experts() > 1 ? number : 0;
    const std::vector<float> part_a = decode(adapter, part->a, at_expert), part_b = decode(adapter, part->b, at_expert);
    std::copy(part_a.begin(), part_a.end(), a + first * matrix.n_in);
    const bool gguf = adapter.file->kind() == formats::SourceKind::gguf;
    const bool other_order = gguf != gguf_ && matrix.heads.gguf_interleaves;
    const std::int64_t head_dim = other_order ? matrix.n_out / matrix.heads.n_head : 1, half = head_dim / 2;
    const float scale = adapter.scale * part->scale;
    for (std::int64_t i = 0; i < n_rows; ++i) {
      std::int64_t row = matrix.order.empty() ? i : matrix.order[static_cast<std::size_t>(i)];
      if (other_order) {
        const std::int64_t head = row / head_dim * head_dim, at = row % head_dim;
        row = head + (gguf ? 2 * (at % half) + at / half : at % 2 * half + at / 2);
      }
      for (std::int64_t r = 0; r < part->rank(); ++r) {
        b[i * rank + first + r] = scale * part_b[static_cast<std::size_t>(row * part->rank() + r)];
      }
    }
    first += part->rank();
  }
}

void Adapters::fill_table(const AdaptedMatrix& table, std::int64_t rank, float* a, float* b) const {
  std::fill_n(a, rank * table.n_in, 0.0f);
  std::fill_n(b, rank * table.n_out, 0.0f);
  std::int64_t first = 0;
  for (const Adapter& adapter : adapters_) {
    const formats::AdapterPart* part = find(adapter, table);
    if (part == nullptr) continue;
    const std::vector<float> part_a = decode(adapter, part->a, 0), part_b = decode(adapter, part->b, 0);
    const std::int64_t n = part->rank();
    const float scale = adapter.scale * part->scale;
    for (std::int64_t r = 0; r < n; ++r) {
      for (std::int64_t i = 0; i < table.n_in; ++i) {
        a[i * rank + first + r] = part_a[static_cast<std::size_t>(part->by_input ? i * n + r : r * table.n_in + i)];
      }
      for (std::int64_t i = 0; i < table.n_out; ++i) {
        b[i * rank + first + r] = scale * part_b[static_cast<std::size_t>(i * n + r)];
      }
    }
    first += n;
  }
}

void Adapters::check_all_used() const {
  for (const Adapter& adapter : adapters_) {
    for (const formats::AdapterPart& part : adapter.file->parts()) {
      if (used_.contains(&part)) continue;
      refuse(adapter, fmt::format("{}: the model has no such matrix that can be adapted", part.matrix));
    }
  }
}

std::int64_t Adapters::width() const {
  std::int64_t width = 0;
  for (const auto& [layer, rank] : ranks_) width = std::max(width, rank);
  return width;
}

}  // namespace llm::model
