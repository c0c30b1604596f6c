#include "model/block.h"

// Selective state space (Mamba): projection to u and z, short causal convolution of u, dt, B and C from u, scan, gate.

namespace llm::model {
namespace {

class MambaBlock final : public Block {
 public:
  MambaBlock(Build& build, const Mamba& m) : spec_(m) {
    Binder& b = build.binder;
    in_ = b.linear("ssm_in", 2 * std::int64_t{m.inner}, build.n_embd, m.bias);
    conv_.weight = b.floats("ssm_conv1d.weight", {m.inner, m.conv});
    conv_.bias = b.floats("ssm_conv1d.bias", {m.inner}, m.conv_bias);
    conv_.width = m.conv;
    conv_.activation = m.activation;
    x_ = b.matrix("ssm_x", m.dt_rank + 2 * std::int64_t{m.state}, m.inner);
    dt_ = b.linear("ssm_dt", m.inner, m.dt_rank, Presence::yes);
    a_ = b.floats("ssm_a.weight", {m.inner, m.state});
    d_ = b.floats("ssm_d.weight", {m.inner});
    out_ = b.linear("ssm_out", build.n_embd, m.inner, m.bias);
    if (m.norm) {
      Norm norm = *m.norm;
      norm.weight = m.norm_weights;
      dt_norm_ = b.norm(norm, "ssm_dt_norm", m.dt_rank);
      b_norm_ = b.norm(norm, "ssm_b_norm", m.state);
      c_norm_ = b.norm(norm, "ssm_c_norm", m.state);
    }
    conv_state_ = build.state.add_record(std::int64_t{m.conv - 1} * m.inner);
    scan_state_ = build.state.add_record(std::int64_t{m.inner} * m.state);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override { out.push_back(&in_.weight); }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const ops::WeightMatrix* w : {&in_.weight, &x_, &dt_.weight, &out_.weight}) needs.matmul(limits, *w);
    needs.scratch_of(ops::row_scratch_bytes(2 * std::int64_t{spec_.inner}));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    ops::matmul(c, in.packed, {{&in_.weight, in_.bias, b.in}});
    ops::causal_conv(c, b.in.columns(0, spec_.inner), conv_, sequences, conv_state_, b.u);
    ops::matmul(c, ops::pack(c, b.u, {c, {&x_}}, b.pack), {{&x_, nullptr, b.x}});
    const ops::Rows dt = b.x.columns(0, spec_.dt_rank), state_in = b.x.columns(spec_.dt_rank, spec_.state),
                    state_out = b.x.columns(spec_.dt_rank + spec_.state, spec_.state);
    if (spec_.norm) {
      ops::norm(c, dt, dt_norm_, dt);
      ops::norm(c, state_in, b_norm_, state_in);
      ops::norm(c, state_out, c_norm_, state_out);
    }
    ops::matmul(c, ops::pack(c, dt, {c, {&dt_.weight}}, b.pack), {{&dt_.weight, dt_.bias, b.dt}});
    ops::selective_scan(c,
                        {.u = b.u,
                         .dt = b.dt,
                         .b = state_in,
                         .c = state_out,
                         .z = b.in.columns(spec_.inner, spec_.inner),
                         .a = a_,
                         .d = d_,
                         .out = b.u},
                        sequences, scan_state_);
    ops::matmul(c, ops::pack(c, b.u, {c, {&out_.weight}}, b.pack),
                {{&out_.weight, out_.bias, out.rows, out.add, out.scale}});
  }

 private:
  struct Buffers {
    ops::Rows in, u, x, dt;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, 2 * std::int64_t{spec_.inner}), w.rows(n_rows, spec_.inner),
            w.rows(n_rows, spec_.dt_rank + 2 * std::int64_t{spec_.state}), w.rows(n_rows, spec_.inner),
            w.pack(n_rows, std::max(spec_.inner, spec_.dt_rank))};
  }

  Mamba spec_;
  Linear in_, dt_, out_;
  ops::WeightMatrix x_;
  ops::CausalConv conv_;
  const float* a_;
  const float* d_;
  ops::Norm dt_norm_, b_norm_, c_norm_;
  std::size_t conv_state_, scan_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Mamba& spec) {
  return std::make_unique<MambaBlock>(build, spec);
}

}  // namespace llm::model
