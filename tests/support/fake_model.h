#ifndef TESTS_FAKE_MODEL_H
#define TESTS_FAKE_MODEL_H

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "engine/engine_core.h"

namespace llm::engine {

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15ULL + b + 0x7f4a7c15ULL;
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9ULL;
  return x ^ (x >> 29);
}

// A model whose results depend on every id through the state alone: each position's entry is a number made of its id
// and position, each row's result the sum over what it can see, the record a running hash. A wrong block, a lost copy
// or a stale record changes the result.
struct FakeModel : StepRunner {
  explicit FakeModel(std::vector<StateGroup> groups_, int block_tokens_ = 4, std::int64_t n_vocab_ = 13)
      : groups(std::move(groups_)), block_tokens(block_tokens_), n_vocab(n_vocab_) {}

  static constexpr std::uint64_t unit = 8;  // bytes of a position and of a record
  static StateGroup full() { return {.kind = StateKind::per_token, .window = 0, .unit_bytes = unit}; }
  static StateGroup windowed(int n) { return {.kind = StateKind::per_token, .window = n, .unit_bytes = unit}; }
  static StateGroup record() { return {.kind = StateKind::per_sequence, .window = 0, .unit_bytes = unit}; }
  static StateGroup source() { return {.kind = StateKind::per_source, .window = 0, .unit_bytes = unit}; }

  static std::uint64_t entry(TokenId id, std::int64_t position) {
    return mix(static_cast<std::uint64_t>(id) + 1, static_cast<std::uint64_t>(position));
  }

  // What row n - 1 of ids must give.
  std::uint64_t expected(std::span<const TokenId> ids, std::span<const TokenId> source_ids = {}) const {
    std::uint64_t h = 0;
    const auto n = static_cast<std::int64_t>(ids.size());
    for (const StateGroup& group : groups) {
      std::uint64_t sum = 0;
      if (group.kind == StateKind::per_sequence) {
        for (const TokenId id : ids) sum = mix(sum, static_cast<std::uint64_t>(id));
      } else if (group.kind == StateKind::per_source) {
        for (std::size_t i = 0; i < source_ids.size(); ++i) sum += entry(source_ids[i], static_cast<std::int64_t>(i));
      } else {
        for (std::int64_t p = first_visible(group, n - 1); p < n; ++p)
          sum += entry(ids[static_cast<std::size_t>(p)], p);
      }
      h = mix(h, sum);
    }
    return h;
  }
  float logit(std::uint64_t h, std::int64_t v) const {
    return static_cast<float>(mix(h, static_cast<std::uint64_t>(v)) >> 44) / 65536.0f;
  }
  TokenId best(std::span<const float> logits) const {
    std::size_t best = 0;
    for (std::size_t v = 1; v < logits.size(); ++v) best = logits[v] > logits[best] ? v : best;
    return static_cast<TokenId>(best);
  }
  // The next id after ids.
  TokenId next(std::span<const TokenId> ids, std::span<const TokenId> source_ids = {}) const {
    const std::uint64_t h = expected(ids, source_ids);
    TokenId best_id = 0;
    for (TokenId v = 1; v < n_vocab; ++v) best_id = logit(h, v) > logit(h, best_id) ? v : best_id;
    return best_id;
  }

  void run(const model::StepPlan& plan) override {
    ++n_steps;
    if (fail_at != 0 && n_steps == fail_at) throw std::runtime_error("the model fails");
    std::size_t at_output = 0;
    for (const model::SequenceSlice& slice : plan.slices) {
      for (int r = 0; r < slice.n_rows; ++r) {
        const TokenId id = plan.tokens[static_cast<std::size_t>(slice.row_begin + r)];
        const std::uint64_t h = row(plan, slice, id, slice.position + r);
        if (at_output == plan.output_rows.size() || plan.output_rows[at_output] != slice.row_begin + r) continue;
        if (plan.logits != nullptr) {
          for (std::int64_t v = 0; v < n_vocab; ++v) {
            plan.logits[static_cast<std::int64_t>(at_output) * n_vocab + v] = logit(h, v);
          }
        }
        if (plan.last_hidden != nullptr) plan.last_hidden[at_output] = logit(h, 0);
        ++at_output;
      }
    }
    for (std::int64_t i = 0; i < plan.n_output_tasks; ++i) plan.on_outputs(i);
  }

  std::vector<StateGroup> groups;
  int block_tokens;
  std::int64_t n_vocab;
  std::uint64_t n_steps = 0;
  std::uint64_t fail_at = 0;  // number of the step that throws; 0: none

 private:
  static std::int64_t first_visible(const StateGroup& group, std::int64_t position) {
    return group.window > 0 ? std::max<std::int64_t>(0, position - group.window + 1) : 0;
  }
  std::byte* cell(std::byte* const* table, std::int64_t position) const {
    return table[position / block_tokens] + position % block_tokens * static_cast<std::int64_t>(unit);
  }

  std::uint64_t row(const model::StepPlan& plan, const model::SequenceSlice& slice, TokenId id,
                    std::int64_t position) const {
    std::uint64_t h = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const StateGroup& group = groups[g];
      std::byte* const* table = slice.tables[g];
      std::uint64_t sum = 0;
      if (group.kind == StateKind::per_sequence) {
        std::memcpy(&sum, table[0], unit);
        sum = mix(sum, static_cast<std::uint64_t>(id));
        std::memcpy(table[0], &sum, unit);
      } else if (group.kind == StateKind::per_source) {
        if (plan.encode) {
          const std::uint64_t value = entry(id, position);
          std::memcpy(cell(table, position), &value, unit);
        } else {
          for (std::int64_t p = 0; p < slice.n_source; ++p) sum += read(cell(table, p));
        }
      } else if (!plan.encode) {
        const std::uint64_t value = entry(id, position);
        std::memcpy(cell(table, position), &value, unit);
        for (std::int64_t p = first_visible(group, position); p <= position; ++p) sum += read(cell(table, p));
      }
      h = mix(h, sum);
    }
    return h;
  }
  static std::uint64_t read(const std::byte* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, unit);
    return value;
  }
};

// Generates greedily up to a length and keeps what it saw.
struct GreedyClient : SequenceClient {
  explicit GreedyClient(const FakeModel& model_, std::int64_t n_prompt_, std::int64_t n_wanted_)
      : model(&model_), n_prompt(n_prompt_), n_wanted(n_wanted_) {}

  Advance advance(const StepOutputs& outputs, std::vector<TokenId>& ids) override {
    const TokenId id = model->best(outputs.row(outputs.n_rows - 1));
    ids.push_back(id);
    answer.push_back(id);
    ended = static_cast<std::int64_t>(answer.size()) >= n_wanted;
    const auto n = static_cast<std::int64_t>(ids.size());
    return {.n_valid = n - 1, .outputs_from = n - 1, .n_guesses = 0, .done = ended};
  }
  void fail(const std::exception_ptr& e) override { error = e; }
  void began(std::int64_t n) override { n_cached = n; }

  const FakeModel* model;
  std::int64_t n_prompt, n_wanted;
  std::vector<TokenId> answer;
  std::int64_t n_cached = -1;
  bool ended = false;
  std::exception_ptr error;
};

}  // namespace llm::engine

#endif
