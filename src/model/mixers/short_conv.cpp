#include "model/block.h"

// Gated short convolution (LFM2): projection to B, C and u, causal convolution of B u by channels, times C.

namespace llm::model {
namespace {

class ShortConvBlock final : public Block {
 public:
  ShortConvBlock(Build& build, const ShortConv& s) : inner_(s.inner) {
    Binder& b = build.binder;
    in_ = b.linear("shortconv.in_proj", 3 * inner_, build.n_embd, s.bias);
    conv_.weight = b.floats("shortconv.conv.weight", {inner_, s.conv});
    conv_.bias = b.floats("shortconv.conv.bias", {inner_}, s.bias);
    conv_.width = s.conv;
    out_ = b.linear("shortconv.out_proj", build.n_embd, inner_, s.bias);
    conv_state_ = build.state.add_record((s.conv - 1) * inner_);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override { out.push_back(&in_.weight); }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&in_, &out_}) needs.matmul(limits, linear->weight);
    needs.scratch_of(ops::row_scratch_bytes(inner_));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Rows before = b.in.columns(0, inner_), after = b.in.columns(inner_, inner_),
                    u = b.in.columns(2 * inner_, inner_);
    ops::matmul(c, in.packed, {{&in_.weight, in_.bias, b.in}});
    ops::multiply(c, before, u);
    ops::causal_conv(c, u, conv_, step.sequences[group_], conv_state_, b.conv);
    ops::multiply(c, after, b.conv);
    ops::matmul(c, ops::pack(c, b.conv, {c, {&out_.weight}}, b.pack),
                {{&out_.weight, out_.bias, out.rows, out.add, out.scale}});
  }

 private:
  struct Buffers {
    ops::Rows in, conv;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, 3 * inner_), w.rows(n_rows, inner_), w.pack(n_rows, inner_)};
  }

  std::int64_t inner_;
  Linear in_, out_;
  ops::CausalConv conv_;
  std::size_t conv_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const ShortConv& spec) {
  return std::make_unique<ShortConvBlock>(build, spec);
}

}  // namespace llm::model
