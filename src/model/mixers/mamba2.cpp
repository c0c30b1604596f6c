#include "model/block.h"

// State space with one decay a head (Mamba-2): projection to z, x, B, C and dt, convolution of x, B and C together,
// scan by heads, gate and norm.

namespace llm::model {
namespace {

class Mamba2Block final : public Block {
 public:
  Mamba2Block(Build& build, const Mamba2& m) : spec_(m), n_conv_(m.inner + 2 * std::int64_t{m.n_groups} * m.state) {
    Binder& b = build.binder;
    n_in_ = m.inner + n_conv_ + m.n_heads;
    in_ = b.linear("ssm_in", n_in_, build.n_embd, m.bias, 1 / m.input_scale);
    conv_.weight = b.floats("ssm_conv1d.weight", {n_conv_, m.conv});
    conv_.bias = b.floats("ssm_conv1d.bias", {n_conv_}, m.conv_bias);
    conv_.width = m.conv;
    conv_.activation = m.activation;
    dt_bias_ = b.floats("ssm_dt.bias", {m.n_heads});
    a_ = b.floats("ssm_a.weight", {m.n_heads, 1});
    d_ = b.floats("ssm_d.weight", {m.n_heads, 1});
    if (m.gate != Mamba2::Gate::plain) {
      // GGUF files hold the weights by groups.
      norm_ = {NormKind::rms, nullptr, nullptr, m.norm_eps};
      norm_.weight = b.hyper().gguf() ? b.floats("ssm_norm.weight", {m.n_groups, m.inner / m.n_groups})
                                      : b.floats("ssm_norm.weight", {m.inner});
      b.in_gguf({{"ssm_norm.weight", {m.n_groups, m.inner / m.n_groups}}});
    }
    out_ = b.linear("ssm_out", build.n_embd, m.inner, m.output_bias);
    bind_part_scales(b);
    conv_state_ = build.state.add_record((m.conv - 1) * n_conv_);
    scan_state_ = build.state.add_record(std::int64_t{m.inner} * m.state);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override { out.push_back(&in_.weight); }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    needs.matmul(limits, in_.weight);
    needs.matmul(limits, out_.weight);
    needs.scratch_of(ops::row_scratch_bytes(n_in_));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    const std::int64_t n_bc = std::int64_t{spec_.n_groups} * spec_.state;
    ops::matmul(c, in.packed, {{&in_.weight, in_.bias, b.in, false, spec_.input_scale}});
    if (part_scales_ != nullptr) ops::scale_columns(c, b.in, part_scales_);
    ops::causal_conv(c, b.in.columns(spec_.inner, n_conv_), conv_, sequences, conv_state_, b.conv);
    const ops::Rows z = b.in.columns(0, spec_.inner), y = b.conv.columns(0, spec_.inner);
    ops::head_scan(c,
                   {.n_heads = spec_.n_heads,
                    .head_dim = spec_.inner / spec_.n_heads,
                    .n_groups = spec_.n_groups,
                    .n_state = spec_.state,
                    .x = y,
                    .dt = b.in.columns(spec_.inner + n_conv_, spec_.n_heads),
                    .b = b.conv.columns(spec_.inner, n_bc),
                    .c = b.conv.columns(spec_.inner + n_bc, n_bc),
                    .a = a_,
                    .d = d_,
                    .dt_bias = dt_bias_,
                    .dt_min = spec_.dt_min,
                    .dt_max = spec_.dt_max,
                    .out = y},
                   sequences, scan_state_);
    if (spec_.gate == Mamba2::Gate::plain) {
      ops::gated(c, z, y, {.activation = Activation::silu}, y);
    } else {
      ops::grouped_norm(c, y, norm_, spec_.norm_groups, z, spec_.gate == Mamba2::Gate::norm_before, y);
    }
    ops::matmul(c, ops::pack(c, y, {c, {&out_.weight}}, b.pack),
                {{&out_.weight, out_.bias, out.rows, out.add, out.scale * spec_.output_scale}});
  }

 private:
  struct Buffers {
    ops::Rows in, conv;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, n_in_), w.rows(n_rows, n_conv_), w.pack(n_rows, spec_.inner)};
  }

  // One factor a column of the projection: those of z, x, B, C and dt over their widths.
  void bind_part_scales(Binder& b) {
    if (spec_.part_scales.empty()) return;
    const std::int64_t n_bc = std::int64_t{spec_.n_groups} * spec_.state;
    const std::int64_t widths[] = {spec_.inner, spec_.inner, n_bc, n_bc, spec_.n_heads};
    float* scales = b.allocate_floats(static_cast<std::size_t>(n_in_));
    part_scales_ = scales;
    if (scales == nullptr) return;
    for (std::size_t part = 0; part < std::size(widths); ++part) {
      scales = std::fill_n(scales, widths[part], spec_.part_scales[part]);
    }
  }

  Mamba2 spec_;
  std::int64_t n_conv_, n_in_ = 0;
  Linear in_, out_;
  ops::CausalConv conv_;
  const float* dt_bias_;
  const float* a_;
  const float* d_;
  const float* part_scales_ = nullptr;
  ops::Norm norm_;
  std::size_t conv_state_, scan_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Mamba2& spec) {
  return std::make_unique<Mamba2Block>(build, spec);
}

}  // namespace llm::model
