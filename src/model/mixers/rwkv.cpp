#include "model/block.h"

// RWKV-4: time mix (the wkv recurrence behind a gate) and channel mix (squared relu behind a gate). Each of their
// matrices reads its own mix of a row with the row before it.

namespace llm::model {
namespace {

// A projection of its own mix of the input.
struct MixedLinear {
  ops::WeightMatrix weight;
  const float* mix = nullptr;  // [n_embd]

  void bind(Binder& b, std::string_view matrix, const std::string& lerp, std::int64_t n_out, std::int64_t n_embd) {
    weight = b.matrix(matrix, n_out, n_embd);
    mix = b.floats(lerp + ".weight", {n_embd});
  }
  // `last`: nobody else reads the row before in this step.
  void run(const ops::Context& c, ops::Rows x, ops::Sequences sequences, std::size_t shift_state, bool last,
           ops::Rows mixed, ops::PackBuffer pack, Activation activation, ops::Rows out) const {
    ops::token_shift(c, x, mix, sequences, shift_state, last, mixed);
    ops::matmul(c, ops::pack(c, mixed, {c, {&weight}}, pack), {{&weight, nullptr, out, false, 1, activation}});
  }
};

class RwkvBlock final : public Block {
 public:
  RwkvBlock(Build& build, const Rwkv& r) : inner_(r.inner), n_embd_(build.n_embd) {
    Binder& b = build.binder;
    key_.bind(b, "time_mix_key", "time_mix_lerp_k", inner_, n_embd_);
    value_.bind(b, "time_mix_value", "time_mix_lerp_v", inner_, n_embd_);
    receptance_.bind(b, "time_mix_receptance", "time_mix_lerp_r", inner_, n_embd_);
    first_ = b.floats("time_mix_first.weight", {inner_});
    decay_ = b.floats("time_mix_decay.weight", {inner_});
    out_ = b.matrix("time_mix_output", n_embd_, inner_);
    shift_state_ = build.state.add_record(n_embd_);
    wkv_state_ = build.state.add_record(3 * inner_);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>&) const override {}
  bool needs_rows() const override { return true; }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const MixedLinear* mixed : {&key_, &value_, &receptance_}) needs.matmul(limits, mixed->weight);
    needs.matmul(limits, out_);
    needs.scratch_of(ops::row_scratch_bytes(std::max(inner_, n_embd_)));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    const auto project = [&](const MixedLinear& linear, bool last, ops::Rows to) {
      linear.run(c, in.rows, sequences, shift_state_, last, b.mixed, b.pack, Activation::none, to);
    };
    project(key_, false, b.key);
    project(value_, false, b.value);
    project(receptance_, true, b.receptance);
    ops::wkv(c, {.r = b.receptance, .k = b.key, .v = b.value, .first = first_, .decay = decay_, .out = b.result},
             sequences, wkv_state_);
    ops::matmul(c, ops::pack(c, b.result, {c, {&out_}}, b.pack), {{&out_, nullptr, out.rows, out.add, out.scale}});
  }

 private:
  struct Buffers {
    ops::Rows mixed, key, value, receptance, result;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, n_embd_), w.rows(n_rows, inner_), w.rows(n_rows, inner_),
            w.rows(n_rows, inner_),  w.rows(n_rows, inner_), w.pack(n_rows, std::max(inner_, n_embd_))};
  }

  std::int64_t inner_, n_embd_;
  MixedLinear key_, value_, receptance_;
  ops::WeightMatrix out_;
  const float* first_;
  const float* decay_;
  std::size_t shift_state_, wkv_state_, group_;
};

class ChannelMixBlock final : public Block {
 public:
  ChannelMixBlock(Build& build, const ChannelMix& m) : width_(m.width), n_embd_(build.n_embd) {
    Binder& b = build.binder;
    key_.bind(b, "channel_mix_key", "channel_mix_lerp_k", width_, n_embd_);
    receptance_.bind(b, "channel_mix_receptance", "channel_mix_lerp_r", n_embd_, n_embd_);
    value_ = b.matrix("channel_mix_value", n_embd_, width_);
    shift_state_ = build.state.add_record(n_embd_);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>&) const override {}
  bool needs_rows() const override { return true; }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const ops::WeightMatrix* weight : {&key_.weight, &receptance_.weight, &value_}) needs.matmul(limits, *weight);
    needs.scratch_of(ops::row_scratch_bytes(std::max(width_, n_embd_)));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    key_.run(c, in.rows, sequences, shift_state_, false, b.mixed, b.pack, Activation::relu2, b.key);
    receptance_.run(c, in.rows, sequences, shift_state_, true, b.mixed, b.pack, Activation::sigmoid, b.receptance);
    ops::matmul(c, ops::pack(c, b.key, {c, {&value_}}, b.pack), {{&value_, nullptr, b.value, false, out.scale}});
    ops::multiply(c, b.receptance, b.value);
    if (out.add) {
      ops::add(c, b.value, 1, out.rows);
    } else {
      ops::copy(c, b.value, out.rows);
    }
  }

 private:
  struct Buffers {
    ops::Rows mixed, key, receptance, value;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, n_embd_), w.rows(n_rows, width_), w.rows(n_rows, n_embd_), w.rows(n_rows, n_embd_),
            w.pack(n_rows, std::max(width_, n_embd_))};
  }

  std::int64_t width_, n_embd_;
  MixedLinear key_, receptance_;
  ops::WeightMatrix value_;
  std::size_t shift_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Rwkv& spec) {
  return std::make_unique<RwkvBlock>(build, spec);
}

std::unique_ptr<Block> make_block(Build& build, const ChannelMix& spec) {
  return std::make_unique<ChannelMixBlock>(build, spec);
}

}  // namespace llm::model
