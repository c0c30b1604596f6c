#include <cstring>

#include "model/block.h"

// Mixture of experts: rows are routed to the best experts, each a gated feed-forward; a shared one may be added.

namespace llm::model {
namespace {

class ExpertsBlock final : public Block {
 public:
  ExpertsBlock(Build& build, const Experts& spec) : spec_(spec), n_embd_(build.n_embd) {
    Binder& b = build.binder;
    router_weight_ = b.linear("ffn_gate_inp", spec.count, n_embd_, spec.router_bias ? Presence::yes : Presence::no);
    if (spec.correction_bias) spec_.router.correction_bias = b.floats("exp_probs_b.bias", {spec.count});
    const std::int64_t width = spec.width;
    switch (b.hyper().gguf() ? Experts::Fused::no : spec.fused_gate_up) {
      case Experts::Fused::no:
        gate_ = b.experts("ffn_gate_exps", spec.count, width, n_embd_);
        up_ = b.experts("ffn_up_exps", spec.count, width, n_embd_);
        down_ = b.experts("ffn_down_exps", spec.count, n_embd_, width);
        break;
      case Experts::Fused::halves:
        gate_ = b.expert_rows("ffn_gate_up_exps", spec.count, 2 * width, 0, width, n_embd_);
        b.in_gguf({{"ffn_gate_exps.weight", {spec.count, width, n_embd_}}});
        up_ = b.expert_rows("ffn_gate_up_exps", spec.count, 2 * width, width, width, n_embd_);
        b.in_gguf({{"ffn_up_exps.weight", {spec.count, width, n_embd_}}});
        down_ = b.experts("ffn_down_exps", spec.count, n_embd_, width);
        break;
      case Experts::Fused::interleaved:
        gate_ = b.expert_columns("ffn_gate_up_exps", spec.count, 2 * width, 0, 2, width, n_embd_);
        b.in_gguf({{"ffn_gate_exps.weight", {spec.count, width, n_embd_}}});
        up_ = b.expert_columns("ffn_gate_up_exps", spec.count, 2 * width, 1, 2, width, n_embd_);
        b.in_gguf({{"ffn_up_exps.weight", {spec.count, width, n_embd_}}});
        down_ = b.expert_columns("ffn_down_exps", spec.count, n_embd_, 0, 1, n_embd_, width);
        break;
    }
    const std::int64_t n_used = spec.router.n_used;
    gate_.first.low_rank = b.expert_adapters("ffn_gate_exps", spec.count, n_used, width, n_embd_);
    up_.first.low_rank = b.expert_adapters("ffn_up_exps", spec.count, n_used, width, n_embd_);
    down_.first.low_rank = b.expert_adapters("ffn_down_exps", spec.count, n_used, n_embd_, width);
    if (spec.bias) bind_biases(b);
    if (spec.shared) {
      shared_ = make_block(build, *spec.shared, {"ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"});
      if (spec.shared_gate) shared_gate_ = b.matrix("ffn_gate_inp_shexp", 1, n_embd_);
    }
    gated_.activation = spec.activation;
    if (spec.limit) {
      gated_.activation = Activation::quick_gelu;
      gated_.gate_max = *spec.limit;
      gated_.up_limit = *spec.limit;
      gated_.up_offset = 1;
    }
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    out.push_back(&router_weight_.weight);
    out.push_back(&gate_.first);
    out.push_back(&up_.first);
    if (shared_gate_) out.push_back(&shared_gate_);
    if (shared_) shared_->readers(out);
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    const std::size_t mark = workspace.mark();
    buffers(workspace, limits.n_rows);
    workspace.release(mark);
    needs.matmul(limits, router_weight_.weight);
    needs.scratch_of(ops::route_scratch_bytes(spec_.count));
    for (const ops::ExpertMatrices* m : {&gate_, &up_, &down_}) {
      needs.scratch_of(ops::expert_scratch_bytes(*limits.k, m->first));
      if (m->first.low_rank == nullptr) continue;
      needs.scratch_of(limits.k->matmul_scratch_bytes(m->first.low_rank->a.type, m->first.low_rank->a.n_in));
      needs.low_rank_scratch =
          std::max(needs.low_rank_scratch, ops::expert_low_rank_scratch_bytes(*limits.k, m->first));
    }
    needs.scratch_of(ops::row_scratch_bytes(std::max<std::int64_t>(spec_.width, n_embd_)));
    if (!shared_) return;
    shared_rows(workspace, limits.n_rows);
    shared_->plan(limits, workspace, needs);
    if (shared_gate_) needs.matmul(limits, shared_gate_);
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    run_shared(c, step, workspace, in, out);
    const Buffers b = buffers(workspace, step.n_rows);
    ops::matmul(c, in.packed, {{&router_weight_.weight, router_weight_.bias, b.logits}});
    const ops::ExpertChoice choice = ops::route(c, b.logits, spec_.router, b.choice);
    ops::expert_gated(c, in.packed, choice, gate_, up_, gated_, b.hidden);
    const ops::PackedRows packed = ops::pack(c, b.hidden, {c, {&down_.first}}, b.pack);
    ops::expert_down(c, packed, choice, down_, b.result);
    ops::expert_sum(c, b.result, choice, out.scale, out.rows);
  }

 private:
  struct Buffers {
    ops::Rows logits, hidden, result;
    std::byte* choice;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    const std::int64_t n_pairs = n_rows * spec_.router.n_used;
    Buffers b;
    b.logits = w.rows(n_rows, spec_.count);
    b.choice = w.bytes(ops::expert_choice_bytes(n_rows, spec_.count, spec_.router.n_used));
    b.hidden = w.rows(n_pairs, spec_.width);
    b.result = w.rows(n_pairs, n_embd_);
    b.pack = w.pack(n_pairs, spec_.width);
    return b;
  }
  struct SharedRows {
    ops::Rows result, gate;
  };
  SharedRows shared_rows(Workspace& w, std::int64_t n_rows) const {
    if (!shared_gate_) return {};
    return {w.rows(n_rows, n_embd_), w.rows(n_rows, 1)};
  }

  // Leaves out.rows with everything that the experts' sum is added to.
  void run_shared(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
                  const Output& out) const {
    if (shared_ != nullptr && !shared_gate_) {
      shared_->run(c, step, workspace, in, out);
      return;
    }
    if (!out.add) {
      const Worker::Part part = c.worker.part(out.rows.n_rows);
      for (std::int64_t i = part.begin; i < part.end; ++i) {
        std::memset(out.rows.row(i), 0, static_cast<std::size_t>(out.rows.n_cols) * sizeof(float));
      }
      c.worker.sync();
    }
    if (shared_ == nullptr) return;
    const SharedRows rows = shared_rows(workspace, step.n_rows);
    shared_->run(c, step, workspace, in, {rows.result, false, out.scale});
    ops::matmul(c, in.packed, {{&shared_gate_, nullptr, rows.gate}});
    ops::add_sigmoid_gated(c, rows.result, rows.gate, out.rows);
  }

  void bind_biases(Binder& b) {
    const std::int64_t width = spec_.width;
    if (b.hyper().gguf() || spec_.fused_gate_up == Experts::Fused::no) {
      gate_.bias = b.floats("ffn_gate_exps.bias", {spec_.count, width});
      up_.bias = b.floats("ffn_up_exps.bias", {spec_.count, width});
    } else {
      std::vector<std::int64_t> even, odd;
      for (std::int64_t i = 0; i < spec_.count * width; ++i) {
        even.push_back(2 * i);
        odd.push_back(2 * i + 1);
      }
      const std::int64_t n = 2 * spec_.count * width;
      gate_.bias = b.reordered_floats("ffn_gate_up_exps.bias", n, even, Presence::yes, {spec_.count, 2 * width});
      b.in_gguf({{"ffn_gate_exps.bias", {spec_.count, width}}});
      up_.bias = b.reordered_floats("ffn_gate_up_exps.bias", n, odd, Presence::yes, {spec_.count, 2 * width});
      b.in_gguf({{"ffn_up_exps.bias", {spec_.count, width}}});
    }
    down_.bias = b.floats("ffn_down_exps.bias", {spec_.count, n_embd_});
    gate_.bias_stride = up_.bias_stride = width;
    down_.bias_stride = n_embd_;
  }

  Experts spec_;
  std::int64_t n_embd_;
  Linear router_weight_;
  ops::ExpertMatrices gate_, up_, down_;
  ops::Gated gated_;
  std::unique_ptr<Block> shared_;
  ops::WeightMatrix shared_gate_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Experts& spec) {
  return std::make_unique<ExpertsBlock>(build, spec);
}

}  // namespace llm::model
