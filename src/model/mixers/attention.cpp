#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/block.h"

// Attention over keys and values of the sequence, of the encoder's output (cross), or of the step itself (encoders).

namespace llm::model {
namespace {

// Rows of a projection whose rows are per key/value head: its query heads, its key, its value; as q | k | v.
std::vector<std::int64_t> grouped_order(const Attention& a) {
  const int group = a.n_head / a.n_head_kv;
  const std::int64_t stride = std::int64_t{group} * a.head_dim + a.head_dim + a.values();
  std::vector<std::int64_t> order;
  for (int g = 0; g < a.n_head_kv; ++g) {
    for (std::int64_t i = 0; i < std::int64_t{group} * a.head_dim; ++i) order.push_back(g * stride + i);
  }
  for (int g = 0; g < a.n_head_kv; ++g) {
    for (std::int64_t i = 0; i < a.head_dim; ++i) order.push_back(g * stride + std::int64_t{group} * a.head_dim + i);
  }
  for (int g = 0; g < a.n_head_kv; ++g) {
    for (std::int64_t i = 0; i < a.values(); ++i) {
      order.push_back(g * stride + std::int64_t{group + 1} * a.head_dim + i);
    }
  }
  return order;
}

// Rows [head][q, gate] as all of q, all gates.
std::vector<std::int64_t> gated_order(const Attention& a) {
  std::vector<std::int64_t> order;
  for (int part = 0; part < 2; ++part) {
    for (std::int64_t h = 0; h < a.n_head; ++h) {
      for (std::int64_t i = 0; i < a.head_dim; ++i) order.push_back((2 * h + part) * a.head_dim + i);
    }
  }
  return order;
}

// Bucket of a distance d = key - position (T5): half of the buckets for d > 0 if both sides count; exact for small
// distances, logarithmic up to max_distance.
int bucket_of(const RelativeBias& r, std::int64_t d) {
  int n = r.n_buckets;
  int bucket = 0;
  std::int64_t distance = std::max<std::int64_t>(-d, 0);
  if (r.both_sides) {
    n /= 2;
    if (d > 0) bucket = n;
    distance = std::abs(d);
  }
  const int exact = n / 2;
  if (distance < exact) return bucket + static_cast<int>(distance);
  const double place = std::log(static_cast<double>(distance) / exact) /
                       std::log(static_cast<double>(r.max_distance) / exact) * (n - exact);
  return bucket + std::min(n - 1, exact + static_cast<int>(place));
}

class AttentionBlock final : public Block {
 public:
  AttentionBlock(Build& build, const Attention& a) : spec_(a), rope_(build.rope_index(a.rope)) {
    Binder& b = build.binder;
    const std::int64_t n_q = std::int64_t{a.n_head} * a.head_dim, n_k = std::int64_t{a.n_head_kv} * a.head_dim,
                       n_v = std::int64_t{a.n_head_kv} * a.values(), n_out = std::int64_t{a.n_head} * a.values();
    const std::string p = a.cross ? "cross_attn_" : "attn_";
    if (!a.cross && b.has("attn_qkv.weight")) {
      bind_fused(b, build.n_embd, n_q, n_k, n_v);
    } else {
      bind_queries(b, p, build.n_embd, n_q);
      k_ = b.linear(p + "k", n_k, build.n_embd, a.qkv_bias, 1 / a.input_scale, {a.n_head_kv, a.gguf_interleaves});
      v_ = b.linear(p + "v", n_v, build.n_embd, a.qkv_bias, 1 / a.input_scale);
      b.rotated(p + "q", a.n_head, a.head_dim, a.rope);
      b.rotated(p + "k", a.n_head_kv, a.head_dim, a.rope);
    }
    // What errors of theirs do to scores goes through an exponential. The gate reads the same input.
    for (Linear* linear : {&q_, &gate_, &k_, &v_}) linear->weight.fine = true;
    o_ = b.linear(p + "output", build.n_embd, n_out, a.output_bias);
    bind_norms(b, n_q, n_k);
    if (a.sinks) attention_.sinks = b.floats("attn_sinks.weight", {a.n_head});
    bind_relative(build);

    attention_.n_head = a.n_head;
    attention_.scale = a.scale != 0 ? a.scale : 1 / std::sqrt(static_cast<float>(a.head_dim));
    attention_.causal = a.causal && !a.cross;
    attention_.window_kind = a.window_kind;
    attention_.window = a.window;
    attention_.softcap = a.softcap;
    attention_.alibi_slopes = spec_.alibi_slopes.empty() ? nullptr : spec_.alibi_slopes.data();

    const KvShape shape{a.n_head_kv, a.head_dim, a.values(), false};
    if (a.cross) {
      slot_ = build.state.add_kv(StateKind::per_source, 0, shape);
    } else if (a.causal) {
      slot_ = build.state.add_kv(StateKind::per_token, a.window_kind == WindowKind::sliding ? a.window : 0, shape);
    } else {
      slot_ = build.state.add_transient_kv(shape);
    }
    group_ = build.state.slots()[static_cast<std::size_t>(slot_)].group;
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    for (const Linear* linear : {&q_, &gate_, &k_, &v_}) {
      if (*linear) out.push_back(&linear->weight);
    }
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&q_, &gate_, &k_, &v_, &o_}) {
      if (*linear) needs.matmul(limits, linear->weight);
    }
    const ops::KvLayout& kv = limits.kv[static_cast<std::size_t>(slot_)];
    needs.scratch_of(ops::row_scratch_bytes(std::max(q_.weight.n_out, o_.weight.n_in)));
    needs.scratch_of(ops::attention_scratch_bytes(*limits.k, attention_, kv));
    needs.attention =
        std::max(needs.attention, ops::attention_buffer_bytes(attention_, kv, limits.n_rows, limits.n_keys));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    Buffers b = buffers(workspace, step.n_rows);
    const ops::KvLayout& kv = step.kv[static_cast<std::size_t>(slot_)];
    const ops::Sequences sequences = group_ < 0 ? step.transient : step.sequences[static_cast<std::size_t>(group_)];
    project(c, step, in, b);
    if (spec_.clamp != 0 && b.v.data != nullptr) ops::clamp(c, b.v, -spec_.clamp, spec_.clamp);
    ops::Heads q = heads(step, b.q, spec_.n_head, q_norm_, 1);
    ops::Heads k = heads(step, b.k, spec_.n_head_kv, k_norm_, spec_.key_scale);
    if (spec_.clamp_after_norm) {
      for (ops::Heads* h : {&q, &k}) {
        ops::Heads normed = *h;
        normed.clamp = 0;
        normed.rope = {};
        normed.scale = 1;
        ops::prepare_heads(c, normed);
        h->norm_over = ops::Heads::NormOver::none;
      }
    }
    ops::prepare_and_store(c, q, k, b.v, sequences, kv);
    if (spec_.cross && step.source_pass) return;
    ops::attention(c, b.q, attention_, kv, sequences, step.attention, b.result);
    if (gate_) {
      ops::activation(c, b.gate, Activation::sigmoid);
      ops::multiply(c, b.gate, b.result);
    }
    const ops::PackedRows packed = ops::pack(c, b.result, {c, {&o_.weight}}, b.pack);
    ops::matmul(c, packed, {{&o_.weight, o_.bias, out.rows, out.add, out.scale * spec_.output_scale}});
  }

 private:
  struct Buffers {
    ops::Rows q, gate, k, v, result;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    Buffers b;
    b.q = w.rows(n_rows, q_.weight.n_out);
    if (gate_) b.gate = w.rows(n_rows, gate_.weight.n_out);
    b.k = w.rows(n_rows, k_.weight.n_out);
    b.v = w.rows(n_rows, v_.weight.n_out);
    b.result = w.rows(n_rows, o_.weight.n_in);
    b.pack = w.pack(n_rows, o_.weight.n_in);
    return b;
  }

  void bind_fused(Binder& b, std::int64_t n_embd, std::int64_t n_q, std::int64_t n_k, std::int64_t n_v) {
    const std::int64_t total = n_q + n_k + n_v;
    Linear fused;
    if (spec_.fused_order == QkvOrder::per_head) {
      const std::vector<std::int64_t> order = grouped_order(spec_);
      fused.weight = b.reordered("attn_qkv", total, n_embd, order);
      fused.bias = b.reordered_floats("attn_qkv.bias", total, order, spec_.qkv_bias);
    } else {
      const bool same_rows = !spec_.gguf_interleaves && !spec_.gguf_reorders_qkv;
      fused = b.linear("attn_qkv", total, n_embd, spec_.qkv_bias, 1, {same_rows ? 1 : 0, false});
    }
    q_ = fused.rows(0, n_q);
    k_ = fused.rows(n_q, n_k);
    v_ = fused.rows(n_q + n_k, n_v);
  }

  void bind_queries(Binder& b, const std::string& prefix, std::int64_t n_embd, std::int64_t n_q) {
    if (!spec_.output_gate) {
      q_ = b.linear(prefix + "q", n_q, n_embd, spec_.qkv_bias, 1 / spec_.input_scale,
                    {spec_.n_head, spec_.gguf_interleaves});
      return;
    }
    const std::vector<std::int64_t> order = gated_order(spec_);
    Linear both;
    both.weight = b.reordered(prefix + "q", 2 * n_q, n_embd, order);
    both.bias = b.reordered_floats(prefix + "q.bias", 2 * n_q, order, spec_.qkv_bias);
    q_ = both.rows(0, n_q);
    gate_ = both.rows(n_q, n_q);
  }

  void bind_norms(Binder& b, std::int64_t n_q, std::int64_t n_k) {
    if (spec_.qk_norm_over == Attention::NormOver::none) return;
    if (spec_.qk_norm_over == Attention::NormOver::row) {
      q_norm_ = b.norm(spec_.qk_norm, "attn_q_norm", n_q);
      k_norm_ = b.norm(spec_.qk_norm, "attn_k_norm", n_k);
    } else if (!spec_.qk_norm_per_head) {
      q_norm_ = b.norm(spec_.qk_norm, "attn_q_norm", spec_.head_dim);
      k_norm_ = b.norm(spec_.qk_norm, "attn_k_norm", spec_.head_dim);
    } else {
      q_norm_ = {spec_.qk_norm.kind, head_weights(b, "attn_q_norm.weight", spec_.n_head), nullptr, spec_.qk_norm.eps};
      k_norm_ = {spec_.qk_norm.kind, head_weights(b, "attn_k_norm.weight", spec_.n_head_kv), nullptr,
                 spec_.qk_norm.eps};
    }
  }

  // [n, head_dim], in one tensor or one tensor a head.
  const float* head_weights(Binder& b, std::string_view name, int n) const {
    return b.numbered(name) ? b.floats_each(name, n, spec_.head_dim) : b.floats(name, {n, spec_.head_dim});
  }

  void bind_relative(Build& build) {
    const RelativeBias& r = spec_.relative;
    if (r.n_buckets == 0) return;
    attention_.bias_min = -r.max_distance;
    attention_.bias_width = (r.both_sides ? 2 : 1) * std::int64_t{r.max_distance} + 1;
    if (!build.relative_bias_bound || build.binder.has("attn_rel_b.weight")) {
      const float* table = build.binder.floats("attn_rel_b.weight", {r.n_buckets, spec_.n_head});
      float* bias = build.binder.allocate_floats(static_cast<std::size_t>(spec_.n_head * attention_.bias_width));
      for (std::int64_t h = 0; bias != nullptr && h < spec_.n_head; ++h) {
        for (std::int64_t i = 0; i < attention_.bias_width; ++i) {
          bias[h * attention_.bias_width + i] = table[bucket_of(r, attention_.bias_min + i) * spec_.n_head + h];
        }
      }
      build.relative_bias = bias;
      build.relative_bias_bound = true;
    }
    attention_.position_bias = build.relative_bias;
  }

  // Cross attention reads the encoder's output once (keys and values), the decoder's rows in every step (queries).
  void project(const ops::Context& c, const StepView& step, const Input& in, Buffers& b) const {
    const float scale = spec_.input_scale;
    const ops::Product q{&q_.weight, q_.bias, b.q, false, scale}, k{&k_.weight, k_.bias, b.k, false, scale},
        v{&v_.weight, v_.bias, b.v, false, scale}, gate{&gate_.weight, gate_.bias, b.gate, false, scale};
    if (spec_.cross && step.source_pass) {
      ops::matmul(c, in.packed, {k, v});
      b.q = {};
    } else if (spec_.cross) {
      ops::matmul(c, in.packed, {q});
      b.k = {};
      b.v = {};
    } else if (gate_) {
      ops::matmul(c, in.packed, {q, k, v, gate});
    } else {
      ops::matmul(c, in.packed, {q, k, v});
    }
  }

  ops::Heads heads(const StepView& step, ops::Rows rows, int n_head, const ops::Norm& norm, float scale) const {
    ops::Heads h;
    h.rows = rows;
    h.n_head = n_head;
    h.head_dim = spec_.head_dim;
    h.clamp = spec_.clamp;
    h.norm_over = static_cast<ops::Heads::NormOver>(spec_.qk_norm_over);
    h.norm = norm;
    h.norm_weight_per_head = spec_.qk_norm_per_head;
    h.norm_after_rope = spec_.qk_norm_after_rope;
    if (rope_ >= 0) h.rope = step.ropes[static_cast<std::size_t>(rope_)];
    h.pairing = spec_.rope.pairing;
    h.scale = scale;
    return h;
  }

  Attention spec_;
  int rope_;
  Linear q_, gate_, k_, v_, o_;
  ops::Norm q_norm_, k_norm_;
  ops::AttentionSpec attention_;
  int slot_ = 0;
  int group_ = 0;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Attention& spec) {
  return std::make_unique<AttentionBlock>(build, spec);
}

}  // namespace llm::model
