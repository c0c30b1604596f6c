#include <fmt/format.h>

#include <algorithm>
#include <llm/error.hpp>

#include "base/arena.h"
#include "base/threads.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/weights.h"

namespace llm::model {
namespace {

// Offsets of everything in the arena, from the model and the largest step.
struct Plan {
  std::size_t workspace = 0, workspace_bytes = 0;
  std::size_t attention = 0, attention_bytes = 0;
  std::size_t transient = 0, transient_bytes = 0;
  std::size_t low_rank = 0;
  std::vector<std::size_t> ropes;
  std::size_t scratch_bytes = 0;  // of each worker
  std::size_t total = 0;
};

int transient_blocks(const ExecutorOptions& o) {
  return o.max_rows / o.block_tokens + o.max_sequences + 1;
}

ExecutorOptions checked(const Model& model, ExecutorOptions o) {
  const auto need = [](bool ok, std::string_view what, std::int64_t found, std::string_view expected) {
    if (!ok) throw Error(ErrorCode::usage, fmt::format("{}: {}, expected {}", what, found, expected));
  };
  need(o.n_threads >= 1 && o.n_threads <= 4096, "threads", o.n_threads, "1 to 4096");
  need(o.max_rows >= 1 && o.max_rows <= 1 << 20, "rows of a step", o.max_rows, "1 to 1048576");
  need(o.max_sequences >= 1 && o.max_sequences <= 1 << 20, "sequences of a step", o.max_sequences, "1 to 1048576");
  need(o.block_tokens >= 32 && o.block_tokens % 32 == 0, "positions of a block", o.block_tokens, "a multiple of 32");
  if (o.max_context == 0) o.max_context = std::max<std::int64_t>(model.spec().n_context_train, o.max_rows);
  o.max_sequences = std::min(o.max_sequences, o.max_rows);
  return o;
}

void plan_stack(const StackWeights& stack, const ModelSpec& spec, const Limits& limits, Workspace& workspace,
                Needs& needs) {
  const std::size_t mark = workspace.mark();
  stack_buffers(workspace, *stack.spec, spec.n_embd, limits.n_rows);
  const std::size_t base = workspace.mark();
  const auto visit = [&](const Block* block) {
    if (block == nullptr) return;
    workspace.release(base);
    block->plan(limits, workspace, needs);
  };
  for (const LayerWeights& layer : stack.layers) {
    for (const auto& mixer : layer.mixers) visit(mixer.get());
    visit(layer.cross.get());
    visit(layer.ffn.get());
  }
  if (stack.projection) needs.matmul(limits, stack.projection.weight);
  needs.scratch_of(ops::row_scratch_bytes(std::max<std::int64_t>(spec.n_embd, stack.spec->embedding.width)));
  if (const ops::LowRank* low_rank = stack.tokens.low_rank) {
    const std::size_t bytes = ops::low_rank_result_bytes(*limits.k, low_rank->b, low_rank->b.n_out) + arena_alignment;
    needs.low_rank_scratch = std::max(needs.low_rank_scratch, bytes);
  }
  workspace.release(mark);
}

Plan make_plan(const Weights& w, const ExecutorOptions& o, std::span<const ops::KvLayout> kv) {
  const kernels::KernelTable& k = kernels::kernels();
  Limits limits{o.max_rows, o.max_sequences, o.max_context, o.n_threads, &k, kv};
  limits.n_keys = std::max<std::int64_t>(limits.n_keys, o.max_rows);
  Needs needs;
  Workspace workspace(nullptr, k, o.n_threads);
  plan_stack(w.decoder, w.spec, limits, workspace, needs);
  if (w.encoder.spec != nullptr) plan_stack(w.encoder, w.spec, limits, workspace, needs);
  // Results are made when the layers' buffers are of no use but the stream.
  stack_buffers(workspace, *w.decoder.spec, w.spec.n_embd, o.max_rows);
  output_buffers(workspace, w.spec, o.max_rows);
  if (w.head.projection) needs.matmul(limits, w.head.projection.weight);
  if (w.spec.head.exists) needs.matmul(limits, w.head.output);
  needs.scratch_of(ops::row_scratch_bytes(w.spec.n_vocab));

  ArenaPlan arena;
  Plan plan;
  plan.workspace_bytes = workspace.high();
  plan.workspace = arena.take(plan.workspace_bytes);
  plan.attention_bytes = needs.attention;
  plan.attention = arena.take(plan.attention_bytes);
  if (w.state.has_transient()) {
    plan.transient_bytes =
        w.state.transient_block_bytes(o.block_tokens) * static_cast<std::size_t>(transient_blocks(o));
    plan.transient = arena.take(plan.transient_bytes);
  }
  for (const Rope& rope : w.ropes) plan.ropes.push_back(arena.take(ops::rope_table_bytes(o.max_rows, rope.dims)));
  if (w.low_rank_width > 0) {
    plan.low_rank = arena.take(static_cast<std::size_t>(o.max_rows * w.low_rank_width) * sizeof(float));
  }
  const std::size_t units = (needs.scratch + arena_alignment - 1) / arena_alignment;
  plan.scratch_bytes = units * arena_alignment + needs.low_rank_scratch;
  plan.total = arena.bytes();
  return plan;
}

}  // namespace

class Executor::Impl {
 public:
  Impl(const Model& model, const ExecutorOptions& options)
      : w_(model.weights()),
        options_(checked(model, options)),
        kv_(w_.state.layouts(options_.kv_type, options_.block_tokens)),
        plan_(make_plan(w_, options_, kv_)),
        arena_(plan_.total),
        team_(options_.n_threads, plan_.scratch_bytes),
        k_(kernels::kernels()) {
    model.state_groups(options_.kv_type);  // checks the type
    if (options_.profile) profile_ = std::make_unique<ops::Profile>();
    if (w_.header_only) throw Error(ErrorCode::internal, "a model described from its header cannot be executed");
    ops::clear({arena_.at(plan_.attention), plan_.attention_bytes});
    const Worker nobody{};
    const ops::Context c{nobody, k_, options_.exact};
    decoder_inputs_ = inputs_of(c, w_.decoder);
    if (w_.encoder.spec != nullptr) encoder_inputs_ = inputs_of(c, w_.encoder);
    const std::size_t n = static_cast<std::size_t>(options_.max_sequences);
    const std::size_t n_groups = w_.state.groups().size();
    sequences_.resize(n * (n_groups + 2));
    group_spans_.resize(n_groups);
    rope_tables_.resize(w_.ropes.size());
    if (w_.spec.rope_by_length) slice_angles_.resize(n * w_.ropes.size());
    token_types_.assign(static_cast<std::size_t>(options_.max_rows), 0);
    for (int i = 0; w_.state.has_transient() && i < transient_blocks(options_); ++i) {
      transient_table_.push_back(arena_.at(plan_.transient + w_.state.transient_block_bytes(options_.block_tokens) *
                                                                 static_cast<std::size_t>(i)));
    }
  }

  void forward(const StepPlan& plan) {
    check(plan);
    const bool encode = plan.encode;
    const StackWeights& stack = encode ? w_.encoder : w_.decoder;
    StepView step = view(plan);
    const std::int64_t n_rows = step.n_rows;
    if (n_rows == 0) return;
    prepare_angles(plan);
    const std::int64_t n_out = static_cast<std::int64_t>(plan.output_rows.size());
    const ops::Rows last_hidden{plan.last_hidden, n_out, w_.spec.n_embd, w_.spec.n_embd};
    const ops::Rows logits{encode ? nullptr : plan.logits, n_out, w_.spec.n_vocab, w_.spec.n_vocab};
    const bool want_output = n_out != 0 && (last_hidden.data != nullptr || logits.data != nullptr);
    const StepInput in{plan.tokens,
                       plan.token_types.empty() ? std::span<const std::int32_t>(token_types_).first(plan.tokens.size())
                                                : plan.token_types,
                       &plan.on_hidden};
    if (profile_ != nullptr) profile_->begin_step();
    team_.run([&](const Worker& worker) {
      const ops::Context c{worker, k_, options_.exact,
                           w_.low_rank_width > 0 ? arena_.at<float>(plan_.low_rank) : nullptr,
                           worker.id == 0 ? profile_.get() : nullptr};
      StepView mine = step;
      for (std::size_t i = 0; i < w_.ropes.size(); ++i) fill_rope(c, i, step.plain, plan.slices);
      Workspace workspace(arena_.at(plan_.workspace), k_, options_.n_threads);
      const StackBuffers buffers = stack_buffers(workspace, *stack.spec, w_.spec.n_embd, n_rows);
      run_stack(c, stack, encode ? encoder_inputs_ : decoder_inputs_, mine, in, buffers, workspace);
      if (want_output) {
        Workspace rest = workspace;
        const OutputBuffers out = output_buffers(rest, w_.spec, n_out);
        run_output(c, stack, w_.head, w_.spec.head, buffers.x, plan.output_rows, last_hidden, logits, out);
      }
      if (want_output && plan.n_output_tasks > 0) {
        worker.sync();
        for (std::int64_t i = worker.take(); i < plan.n_output_tasks; i = worker.take()) plan.on_outputs(i);
      }
      if (encode) {
        if (stack.final_norm) ops::norm(c, buffers.x, *stack.final_norm, buffers.x);
        mine.source_pass = true;
        run_source(c, w_.decoder, decoder_inputs_, mine, buffers, workspace);
      }
    });
    if (profile_ != nullptr) profile_->end_step();
  }

  const ExecutorOptions& options() const { return options_; }
  const ops::Profile* profile() const { return profile_.get(); }
  std::size_t arena_bytes() const {
    return plan_.total + plan_.scratch_bytes * static_cast<std::size_t>(options_.n_threads);
  }

 private:
  // Everything that could lead out of a buffer or table, before the region opens.
  void check(const StepPlan& plan) const {
    const auto fail = [&](std::string_view what, std::int64_t found, std::string_view expected, std::int64_t limit) {
      throw Error(ErrorCode::usage, fmt::format("step: {} {}, expected {} {}", what, found, expected, limit));
    };
    const ModelSpec& spec = w_.spec;
    const std::int64_t n_rows = static_cast<std::int64_t>(plan.tokens.size());
    if (n_rows > options_.max_rows) fail("rows", n_rows, "at most", options_.max_rows);
    if (static_cast<std::int64_t>(plan.slices.size()) > options_.max_sequences) {
      fail("sequences", static_cast<std::int64_t>(plan.slices.size()), "at most", options_.max_sequences);
    }
    if (plan.encode && spec.kind != ModelKind::encoder_decoder)
      fail("encoder pass of a model without encoder", 1, "", 0);
    const std::int64_t n_vocab = plan.encode ? spec.n_vocab_source : spec.n_vocab;
    for (const std::int32_t token : plan.tokens) {
      if (token < 0 || token >= n_vocab) fail("token", token, "below", n_vocab);
    }
    const Stack& stack = plan.encode ? spec.encoder : spec.decoder;
    const Embedding& e = stack.embedding;
    if (!plan.token_types.empty()) {
      if (plan.token_types.size() != plan.tokens.size()) {
        fail("token types", static_cast<std::int64_t>(plan.token_types.size()), "as many as tokens:", n_rows);
      }
      for (const std::int32_t type : plan.token_types) {
        if (type < 0 || type >= std::max(e.n_token_types, 1)) fail("token type", type, "below", e.n_token_types);
      }
    }
    std::int64_t row = 0;
    for (const SequenceSlice& s : plan.slices) {
      if (s.row_begin != row || s.n_rows < 0) fail("slice begins at row", s.row_begin, "", row);
      row += s.n_rows;
      const std::int64_t end = s.position + s.n_rows;
      if (s.position < 0) fail("position", s.position, "at least", 0);
      if ((plan.encode || spec.needs_whole_sequence()) && s.position != 0)
        fail("position", s.position, "whole sequences from", 0);
      if (e.positions != Positions::none && end > spec.n_position_max) {
        fail("sequence of", end, "positions, the model's table allows", spec.n_position_max);
      }
      if (!plan.encode && !spec.needs_whole_sequence() && end > options_.max_context) {
        fail("position", end - 1, "below", options_.max_context);
      }
      if (s.tables.size() != w_.state.groups().size()) {
        fail("state tables", static_cast<std::int64_t>(s.tables.size()), "",
             static_cast<std::int64_t>(w_.state.groups().size()));
      }
    }
    if (row != n_rows) fail("rows of all slices", row, "", n_rows);
    for (const std::int32_t wanted : plan.output_rows) {
      if (wanted < 0 || wanted >= n_rows) fail("output row", wanted, "below", n_rows);
    }
    if (static_cast<std::int64_t>(plan.output_rows.size()) > n_rows) {
      fail("output rows", static_cast<std::int64_t>(plan.output_rows.size()), "at most", n_rows);
    }
    if (plan.logits != nullptr && !spec.head.exists) fail("logits of a model without output matrix", 1, "", 0);
  }

  // The plan's sequences as operations want them: one list a state group, one for the transient keys, one plain.
  StepView view(const StepPlan& plan) {
    StepView step;
    step.n_rows = static_cast<std::int64_t>(plan.tokens.size());
    const std::size_t n = plan.slices.size();
    const std::size_t n_groups = group_spans_.size();
    ops::SequenceRows* at = sequences_.data();
    const auto fill = [&](auto&& complete) {
      ops::SequenceRows* first = at;
      for (const SequenceSlice& s : plan.slices) {
        *at = {s.row_begin, s.n_rows, s.position, s.position + s.n_rows, nullptr, nullptr};
        complete(s, *at);
        ++at;
      }
      return ops::Sequences(first, n);
    };
    for (std::size_t g = 0; g < n_groups; ++g) {
      const StateKind kind = w_.state.groups()[g].kind;
      group_spans_[g] = fill([&](const SequenceSlice& s, ops::SequenceRows& rows) {
        if (kind == StateKind::per_sequence) {
          rows.record = s.tables[g][0];
        } else {
          rows.blocks = s.tables[g];
        }
        if (kind == StateKind::per_source && !plan.encode) rows.n_keys = s.n_source;
      });
    }
    int block = 0;
    step.transient = fill([&](const SequenceSlice& s, ops::SequenceRows& rows) {
      rows.blocks = transient_table_.data() + block;
      block += (s.n_rows + options_.block_tokens - 1) / options_.block_tokens;
    });
    step.plain = fill([](const SequenceSlice&, ops::SequenceRows&) {});
    step.sequences = group_spans_;
    step.kv = kv_;
    for (std::size_t i = 0; i < w_.ropes.size(); ++i) {
      rope_tables_[i] = {arena_.at<float>(plan_.ropes[i]), w_.ropes[i].dims};
    }
    step.ropes = rope_tables_;
    step.attention = {arena_.at(plan_.attention), plan_.attention_bytes};
    return step;
  }

  void prepare_angles(const StepPlan& plan) {
    if (!w_.spec.rope_by_length) return;
    for (std::size_t r = 0; r < w_.ropes.size(); ++r) {
      if (!w_.ropes[r].scaling.by_length()) continue;
      for (std::size_t s = 0; s < plan.slices.size(); ++s) {
        const std::int64_t length = plan.slices[s].rope_length;
        rope_angles(w_.ropes[r], length != 0 ? length : w_.spec.n_context_train, w_.rope_divisors[r],
                    slice_angles_[s * w_.ropes.size() + r]);
      }
    }
  }

  void fill_rope(const ops::Context& c, std::size_t i, ops::Sequences sequences,
                 std::span<const SequenceSlice> slices) {
    float* memory = arena_.at<float>(plan_.ropes[i]);
    const auto fill = [&](const RopeAngles& angles, ops::Sequences of) {
      ops::fill_rope_table(c, {angles.inverse_frequency, angles.attention_factor}, of, memory);
    };
    if (!w_.ropes[i].scaling.by_length()) {
      fill(w_.rope_angles[i], sequences);
      return;
    }
    for (std::size_t s = 0; s < slices.size(); ++s) {
      fill(slice_angles_[s * w_.ropes.size() + i], sequences.subspan(s, 1));
    }
  }

  const Weights& w_;
  ExecutorOptions options_;
  std::vector<ops::KvLayout> kv_;
  Plan plan_;
  Arena arena_;
  Team team_;
  const kernels::KernelTable& k_;
  std::unique_ptr<ops::Profile> profile_;
  StackInputs decoder_inputs_, encoder_inputs_;
  std::vector<ops::SequenceRows> sequences_;  // [state groups + 2][max_sequences]
  std::vector<ops::Sequences> group_spans_;
  std::vector<ops::RopeTable> rope_tables_;
  std::vector<RopeAngles> slice_angles_;  // [max_sequences][ropes]
  std::vector<std::int32_t> token_types_;
  std::vector<std::byte*> transient_table_;
};

Executor::Executor(const Model& model, const ExecutorOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
Executor::~Executor() = default;

const ExecutorOptions& Executor::options() const {
  return impl_->options();
}
std::size_t Executor::arena_bytes() const {
  return impl_->arena_bytes();
}
const ops::Profile* Executor::profile() const {
  return impl_->profile();
}
void Executor::forward(const StepPlan& plan) {
  impl_->forward(plan);
}

std::size_t Executor::arena_bytes(const Model& model, const ExecutorOptions& options) {
  const Weights& w = model.weights();
  const ExecutorOptions o = checked(model, options);
  model.state_groups(o.kv_type);
  const Plan plan = make_plan(w, o, w.state.layouts(o.kv_type, o.block_tokens));
  return plan.total + plan.scratch_bytes * static_cast<std::size_t>(o.n_threads);
}

}  // namespace llm::model
