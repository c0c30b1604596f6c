#include <cmath>

#include "model/block.h"

// Gated delta rule (Qwen3-Next): projections to q, k, v, a gate z, and b, alpha of each value head; convolution of
// q, k and v together; q and k of length 1; the recurrence; norm of each head, times silu(z).

namespace llm::model {
namespace {

constexpr float length_eps = 1e-6f;

// Rows that stand per key head, in parts of these widths, as all of the first part, all of the second, ...
std::vector<std::int64_t> by_parts(int n_key_heads, std::initializer_list<std::int64_t> widths) {
  std::int64_t stride = 0;
  for (const std::int64_t width : widths) stride += width;
  std::vector<std::int64_t> order;
  std::int64_t begin = 0;
  for (const std::int64_t width : widths) {
    for (std::int64_t head = 0; head < n_key_heads; ++head) {
      for (std::int64_t i = 0; i < width; ++i) order.push_back(head * stride + begin + i);
    }
    begin += width;
  }
  return order;
}

class GatedDeltaBlock final : public Block {
 public:
  GatedDeltaBlock(Build& build, const GatedDelta& g)
      : spec_(g),
        n_keys_(std::int64_t{g.n_key_heads} * g.key_dim),
        n_values_(std::int64_t{g.n_value_heads} * g.value_dim),
        n_conv_(2 * n_keys_ + n_values_) {
    Binder& b = build.binder;
    bind_projections(b, build.n_embd);
    conv_.weight = b.floats("ssm_conv1d.weight", {n_conv_, g.conv});
    conv_.width = g.conv;
    conv_.activation = Activation::silu;
    dt_bias_ = b.floats("ssm_dt.bias", {g.n_value_heads});
    a_ = b.floats("ssm_a.weight", {g.n_value_heads});
    norm_ = {NormKind::rms, head_norm(b), nullptr, g.norm_eps};
    out_ = b.matrix("ssm_out", build.n_embd, n_values_);
    conv_state_ = build.state.add_record((g.conv - 1) * n_conv_);
    scan_state_ = build.state.add_record(n_values_ * g.key_dim);
    group_ = static_cast<std::size_t>(build.state.record_group());
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    for (const Linear* linear : {&qkv_, &z_, &ba_}) out.push_back(&linear->weight);
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&qkv_, &z_, &ba_}) needs.matmul(limits, linear->weight);
    needs.matmul(limits, out_);
    needs.scratch_of(ops::row_scratch_bytes(n_conv_));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[group_];
    ops::matmul(c, in.packed,
                {{&qkv_.weight, nullptr, b.qkv}, {&z_.weight, nullptr, b.z}, {&ba_.weight, nullptr, b.ba}});
    ops::causal_conv(c, b.qkv, conv_, sequences, conv_state_, b.conv);
    const ops::Rows q = b.conv.columns(0, n_keys_), k = b.conv.columns(n_keys_, n_keys_),
                    v = b.conv.columns(2 * n_keys_, n_values_);
    ops::l2_normalize(c, q, spec_.n_key_heads, length_eps, 1 / std::sqrt(static_cast<float>(spec_.key_dim)));
    ops::l2_normalize(c, k, spec_.n_key_heads, length_eps, 1);
    ops::gated_delta(c,
                     {.n_key_heads = spec_.n_key_heads,
                      .n_value_heads = spec_.n_value_heads,
                      .key_dim = spec_.key_dim,
                      .value_dim = spec_.value_dim,
                      .q = q,
                      .k = k,
                      .v = v,
                      .alpha = b.ba.columns(spec_.n_value_heads, spec_.n_value_heads),
                      .b = b.ba.columns(0, spec_.n_value_heads),
                      .a = a_,
                      .dt_bias = dt_bias_,
                      .out = v},
                     sequences, scan_state_);
    ops::grouped_norm(c, v, norm_, spec_.n_value_heads, b.z, true, v);
    ops::matmul(c, ops::pack(c, v, {c, {&out_}}, b.pack), {{&out_, nullptr, out.rows, out.add, out.scale}});
  }

 private:
  struct Buffers {
    ops::Rows qkv, z, ba, conv;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, n_conv_), w.rows(n_rows, n_values_), w.rows(n_rows, 2 * std::int64_t{spec_.n_value_heads}),
            w.rows(n_rows, n_conv_), w.pack(n_rows, n_values_)};
  }

  // q, k, v and z in one matrix with rows per key head, or q, k, v as they are used and z beside them (GGUF); b and
  // alpha per key head.
  void bind_projections(Binder& b, std::int64_t n_embd) {
    const std::int64_t per_key = spec_.n_value_heads / spec_.n_key_heads, values = per_key * spec_.value_dim;
    if (!b.hyper().gguf() || b.has("ssm_in.weight")) {
      Linear fused;
      fused.weight = b.reordered("ssm_in", n_conv_ + n_values_, n_embd,
                                 by_parts(spec_.n_key_heads, {spec_.key_dim, spec_.key_dim, values, values}));
      b.in_gguf({{"attn_qkv.weight", {n_conv_, n_embd}}, {"attn_gate.weight", {n_values_, n_embd}}});
      qkv_ = fused.rows(0, n_conv_);
      z_ = fused.rows(n_conv_, n_values_);
    } else {
      qkv_ = b.linear("attn_qkv", n_conv_, n_embd);
      z_ = b.linear("attn_gate", n_values_, n_embd);
    }
    ba_.weight = b.reordered("ssm_ba", 2 * std::int64_t{spec_.n_value_heads}, n_embd,
                             by_parts(spec_.n_key_heads, {per_key, per_key}));
  }

  // One weight for all heads, repeated for each.
  const float* head_norm(Binder& b) const {
    const float* weight = b.floats("ssm_norm.weight", {spec_.value_dim});
    float* repeated = b.allocate_floats(static_cast<std::size_t>(n_values_));
    for (std::int64_t i = 0; repeated != nullptr && i < n_values_; ++i) repeated[i] = weight[i % spec_.value_dim];
    return repeated;
  }

  GatedDelta spec_;
  std::int64_t n_keys_, n_values_, n_conv_;
  Linear qkv_, z_, ba_;
  ops::WeightMatrix out_;
  ops::CausalConv conv_;
  const float* dt_bias_;
  const float* a_;
  ops::Norm norm_;
  std::size_t conv_state_, scan_state_, group_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const GatedDelta& spec) {
  return std::make_unique<GatedDeltaBlock>(build, spec);
}

}  // namespace llm::model
