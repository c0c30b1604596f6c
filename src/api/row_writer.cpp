#include "api/row_writer.h"

#include <algorithm>

#include "base/cpu.h"

namespace llm::api {

constexpr std::size_t piece_bytes = 4 << 20;

RowWriter::RowWriter(formats::GgufWriter& writer) : writer_(writer), n_threads_(default_thread_count()) {}

void RowWriter::write(std::int64_t n_rows, std::size_t n_bytes, std::size_t scratch_bytes, const Make& make,
                      const std::function<void(std::int64_t)>& on_rows) {
  if (n_rows == 0) return;
  const auto step = std::clamp<std::int64_t>(static_cast<std::int64_t>(piece_bytes / (n_bytes + 1)), 1, n_rows);
  piece_.resize(static_cast<std::size_t>(step) * n_bytes);
  Team team(n_rows > 1 ? n_threads_ : 1, scratch_bytes);
  for (std::int64_t row = 0; row < n_rows; row += step) {
    const std::int64_t n = std::min(step, n_rows - row);
    team.run([&](const Worker& worker) {
      const Worker::Part part = worker.part(n);
      for (std::int64_t i = part.begin; i < part.end; ++i) {
        make(row + i, worker.scratch, piece_.data() + static_cast<std::size_t>(i) * n_bytes);
      }
    });
    writer_.write({piece_.data(), static_cast<std::size_t>(n) * n_bytes});
    on_rows(n);
  }
}

}  // namespace llm::api
