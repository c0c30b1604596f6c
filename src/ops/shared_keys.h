#ifndef OPS_SHARED_KEYS_H
#define OPS_SHARED_KEYS_H

#include <algorithm>
#include <cstdint>

#include "ops/attention.h"

// Which sequences of a step read the same keys; private to this room.

namespace llm::ops {

// Sequences [first, end), at least two, of one row each, whose first n_spans spans lie in the same blocks and are seen
// whole by every one of them.
struct SharedRun {
  std::int64_t first = 0, end = 0;
  std::int64_t n_spans = 0;

  std::int64_t n_rows() const { return end - first; }
};

class SharedRuns {
 public:
  // Runs of at most max_rows sequences. Scores that depend on the distance of query and key are not shared.
  SharedRuns(const AttentionSpec& spec, const KvLayout& kv, Sequences sequences, std::int64_t max_rows)
      : sequences_(sequences), block_tokens_(kv.block_tokens), max_rows_(max_rows) {
    any_ = spec.causal && spec.window_kind == WindowKind::none && spec.alibi_slopes == nullptr &&
           spec.position_bias == nullptr && sequences.size() > 1;
  }

  // The first run that begins at sequence i or later; an empty one at the end.
  SharedRun next(std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(sequences_.size());
    while (any_ && i + 1 < n) {
      SharedRun run{i, i + 1, whole_spans(at(i))};
      for (; run.end < n && run.n_rows() < max_rows_; ++run.end) {
        const std::int64_t n_spans = shared_spans(run, at(run.end));
        if (2 * n_spans <= run.n_spans) break;  // more would be lost than won
        run.n_spans = n_spans;
      }
      if (run.n_rows() > 1) return run;
      ++i;
    }
    return {n, n, 0};
  }

 private:
  const SequenceRows& at(std::int64_t i) const { return sequences_[static_cast<std::size_t>(i)]; }

  // Spans that a sequence of one row sees whole.
  static std::int64_t whole_spans(const SequenceRows& s) {
    return s.n_rows == 1 ? (s.position + 1) / kernels::attention_span : 0;
  }

  std::int64_t shared_spans(const SharedRun& run, const SequenceRows& s) const {
    const SequenceRows& first = at(run.first);
    if (s.row_begin != first.row_begin + run.n_rows()) return 0;
    const std::int64_t most = std::min(run.n_spans, whole_spans(s));
    for (std::int64_t span = 0; span < most; ++span) {
      const std::int64_t end = ((span + 1) * kernels::attention_span - 1) / block_tokens_ + 1;
      for (std::int64_t b = span * kernels::attention_span / block_tokens_; b < end; ++b) {
        if (first.blocks[b] != s.blocks[b]) return span;
      }
    }
    return most;
  }

  Sequences sequences_;
  std::int64_t block_tokens_;
  std::int64_t max_rows_;
  bool any_ = false;
};

}  // namespace llm::ops

#endif
