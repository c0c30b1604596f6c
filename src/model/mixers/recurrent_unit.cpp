#include "model/block.h"

// RG-LRU block (RecurrentGemma): projections to x and y, causal convolution of x, gates of each block of channels from
// it, the linear recurrence, times act(y).

namespace llm::model {
namespace {

class RecurrentUnitBlock final : public Block {
 public:
  RecurrentUnitBlock(Build& build, const RecurrentUnit& u) : spec_(u) {
    Binder& b = build.binder;
    const std::int64_t width = u.width, block = u.width / u.n_blocks;
    x_ = b.linear("lru_x", width, build.n_embd, Presence::yes);
    y_ = b.linear("lru_y", width, build.n_embd, Presence::yes);
    out_ = b.linear("lru_out", build.n_embd, width, Presence::yes);
    conv_.weight = b.floats("lru_conv.weight", {width, u.conv});
    conv_.bias = b.floats("lru_conv.bias", {width});
    conv_.width = u.conv;
    const auto gate = [&](const std::string& name) {
      Linear result;
      result.weight = b.expert_columns(name, u.n_blocks, block, 0, 1, block, block).first;
      result.weight.n_out = width;
      result.bias = b.floats(name + ".bias", {u.n_blocks, block});
      return result;
    };
    input_gate_ = gate("lru_input_gate");
    recurrent_gate_ = gate("lru_recurrent_gate");
    lambda_ = b.floats("lru_lambda.weight", {width});
    conv_state_ = build.state.add_record((u.conv - 1) * width);
    unit_state_ = build.state.add_record(width);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    out.push_back(&x_.weight);
    out.push_back(&y_.weight);
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&x_, &y_, &out_}) needs.matmul(limits, linear->weight);
    for (const Linear* gate : {&input_gate_, &recurrent_gate_}) {
      needs.scratch_of(ops::block_linear_scratch_bytes(*limits.k, gate->weight));
    }
    needs.scratch_of(ops::row_scratch_bytes(spec_.width));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    ops::matmul(c, in.packed, {{&x_.weight, x_.bias, b.x}, {&y_.weight, y_.bias, b.y, false, 1, spec_.activation}});
    ops::causal_conv(c, b.x, conv_, sequences, conv_state_, b.u);
    ops::block_linear(c, b.u, input_gate_.weight, spec_.n_blocks, input_gate_.bias, b.input_gate);
    ops::block_linear(c, b.u, recurrent_gate_.weight, spec_.n_blocks, recurrent_gate_.bias, b.recurrent_gate);
    ops::linear_recurrent_unit(
        c, {.x = b.u, .input_gate = b.input_gate, .recurrent_gate = b.recurrent_gate, .lambda = lambda_, .out = b.u},
        sequences, unit_state_);
    ops::multiply(c, b.y, b.u);
    ops::matmul(c, ops::pack(c, b.u, {c, {&out_.weight}}, b.pack),
                {{&out_.weight, out_.bias, out.rows, out.add, out.scale}});
  }

 private:
  struct Buffers {
    ops::Rows x, y, u, input_gate, recurrent_gate;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    const std::int64_t n = spec_.width;
    return {w.rows(n_rows, n), w.rows(n_rows, n), w.rows(n_rows, n),
            w.rows(n_rows, n), w.rows(n_rows, n), w.pack(n_rows, n)};
  }

  RecurrentUnit spec_;
  Linear x_, y_, out_;
  Linear input_gate_, recurrent_gate_;  // rows of all blocks, one below the other
  ops::CausalConv conv_;
  const float* lambda_;
  std::size_t conv_state_, unit_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const RecurrentUnit& spec) {
  return std::make_unique<RecurrentUnitBlock>(build, spec);
}

}  // namespace llm::model
