#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/block.h"

// Multi-head latent attention. The cache holds a token's normed latent vector [kv_rank] and its rotated key [rope_dim],
// shared by all heads. Queries are brought into the latent space (the absorbed form) in every step, whatever its rows:
// q_latent = W_k^T q, scores = q_latent latent + q_rope key, result = W_v (softmax latent).

namespace llm::model {
namespace {

class LatentAttentionBlock final : public Block {
 public:
  LatentAttentionBlock(Build& build, const LatentAttention& spec)
      : spec_(spec), n_embd_(build.n_embd), rope_(build.rope_index(spec.rope)) {
    Binder& b = build.binder;
    const std::int64_t n_q = std::int64_t{spec.n_head} * (spec.nope_dim + spec.rope_dim);
    if (spec.q_rank != 0) {
      q_a_ = b.linear("attn_q_a", spec.q_rank, n_embd_, spec.bias);
      q_norm_ = b.norm({.eps = spec.norm_eps}, "attn_q_a_norm", spec.q_rank);
      q_ = b.linear("attn_q_b", n_q, spec.q_rank);
    } else {
      q_ = b.linear("attn_q", n_q, n_embd_);
    }
    kv_a_ = b.linear("attn_kv_a_mqa", spec.kv_rank + spec.rope_dim, n_embd_, spec.bias);
    kv_norm_ = b.norm({.eps = spec.norm_eps}, "attn_kv_a_norm", spec.kv_rank);
    // As in attention: what errors of theirs do to scores goes through an exponential.
    for (Linear* linear : {&q_a_, &q_, &kv_a_}) linear->weight.fine = true;
    bind_latent(b);
    o_ = b.linear("attn_output", n_embd_, std::int64_t{spec.n_head} * spec.value_dim, spec.bias);
    attention_.n_head = spec.n_head;
    attention_.scale = spec.scale;
    slot_ = build.state.add_kv(StateKind::per_token, 0, {1, spec.kv_rank + spec.rope_dim, spec.kv_rank, true});
    group_ = build.state.slots()[static_cast<std::size_t>(slot_)].group;
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    out.push_back(q_a_ ? &q_a_.weight : &q_.weight);
    out.push_back(&kv_a_.weight);
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&q_a_, &q_, &kv_a_, &o_}) {
      if (*linear) needs.matmul(limits, linear->weight);
    }
    needs.scratch_of(ops::block_linear_scratch_bytes(*limits.k, k_b_));
    needs.scratch_of(ops::block_linear_scratch_bytes(*limits.k, v_b_));
    const ops::KvLayout& kv = limits.kv[static_cast<std::size_t>(slot_)];
    needs.scratch_of(ops::row_scratch_bytes(std::max({q_.weight.n_out, o_.weight.n_in, width() * spec_.n_head})));
    needs.scratch_of(ops::attention_scratch_bytes(*limits.k, attention_, kv));
    needs.attention =
        std::max(needs.attention, ops::attention_buffer_bytes(attention_, kv, limits.n_rows, limits.n_keys));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    const ops::Sequences sequences = step.sequences[static_cast<std::size_t>(group_)];
    const ops::KvLayout& kv = step.kv[static_cast<std::size_t>(slot_)];
    if (q_a_) {
      ops::matmul(c, in.packed, {{&q_a_.weight, q_a_.bias, b.q_latent}, {&kv_a_.weight, kv_a_.bias, b.kv}});
      const ops::PackedRows packed = ops::norm_pack(c, b.q_latent, q_norm_, {c, {&q_.weight}}, b.pack);
      ops::matmul(c, packed, {{&q_.weight, q_.bias, b.q}});
    } else {
      ops::matmul(c, in.packed, {{&q_.weight, q_.bias, b.q}, {&kv_a_.weight, kv_a_.bias, b.kv}});
    }
    const ops::Rows latent = b.kv.columns(0, spec_.kv_rank);
    ops::norm(c, latent, kv_norm_, latent);

    // Heads as rows: [n_rows * n_head, ...].
    const std::int64_t n = step.n_rows * spec_.n_head, head = spec_.nope_dim + spec_.rope_dim;
    const auto as_heads = [&](ops::Rows rows, std::int64_t begin, std::int64_t count, std::int64_t stride) {
      return ops::Rows{rows.data + begin, n, count, stride};
    };
    ops::copy(c, as_heads(b.q, 0, spec_.nope_dim, head), as_heads(b.q_nope, 0, spec_.nope_dim, spec_.nope_dim));
    ops::block_linear(c, b.q_nope, k_b_, spec_.n_head, nullptr, b.absorbed);
    ops::copy(c, as_heads(b.absorbed, 0, spec_.kv_rank, spec_.kv_rank), as_heads(b.query, 0, spec_.kv_rank, width()));
    ops::copy(c, as_heads(b.q, spec_.nope_dim, spec_.rope_dim, head),
              as_heads(b.query, spec_.kv_rank, spec_.rope_dim, width()));

    ops::prepare_and_store(c, heads(step, b.query, spec_.n_head), heads(step, b.kv, 1), {}, sequences, kv);
    ops::attention(c, b.query, attention_, kv, sequences, step.attention, b.absorbed);
    ops::block_linear(c, b.absorbed, v_b_, spec_.n_head, nullptr, b.result);
    const ops::PackedRows packed = ops::pack(c, b.result, {c, {&o_.weight}}, b.pack);
    ops::matmul(c, packed, {{&o_.weight, o_.bias, out.rows, out.add, out.scale}});
  }

 private:
  std::int64_t width() const { return spec_.kv_rank + spec_.rope_dim; }

  struct Buffers {
    ops::Rows q_latent, q, q_nope, absorbed, query, kv, result;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n) const {
    Buffers b;
    if (q_a_) b.q_latent = w.rows(n, spec_.q_rank);
    b.q = w.rows(n, q_.weight.n_out);
    b.q_nope = w.rows(n, std::int64_t{spec_.n_head} * spec_.nope_dim);
    b.absorbed = w.rows(n, std::int64_t{spec_.n_head} * spec_.kv_rank);
    b.query = w.rows(n, spec_.n_head * width());
    b.kv = w.rows(n, width());
    b.result = w.rows(n, o_.weight.n_in);
    b.pack = w.pack(n, std::max<std::int64_t>(o_.weight.n_in, spec_.q_rank));
    return b;
  }

  ops::Heads heads(const StepView& step, ops::Rows rows, int n_head) const {
    ops::Heads h;
    h.rows = rows;
    h.n_head = n_head;
    h.head_dim = static_cast<int>(width());
    h.rope = step.ropes[static_cast<std::size_t>(rope_)];
    h.pairing = spec_.rope.pairing;
    h.rope_begin = spec_.kv_rank;
    return h;
  }

  // GGUF files hold attn_k_b [n_head, kv_rank, nope_dim] and attn_v_b [n_head, value_dim, kv_rank]; folders and older
  // files one matrix with rows [n_head][nope_dim of the key, value_dim of the value] of kv_rank numbers.
  void bind_latent(Binder& b) {
    b.refuse_adapter("attn_kv_b");
    const std::int64_t n = spec_.n_head, nope = spec_.nope_dim, rank = spec_.kv_rank, v = spec_.value_dim;
    if (b.has("attn_k_b.weight")) {
      k_b_ = b.stacked("attn_k_b", n, rank, nope);
      v_b_ = b.stacked("attn_v_b", n, v, rank);
      return;
    }
    std::vector<std::int64_t> values;
    for (std::int64_t h = 0; h < n; ++h) {
      for (std::int64_t i = 0; i < v; ++i) values.push_back(h * (nope + v) + nope + i);
    }
    const formats::TensorView& both = *b.view("attn_kv_b.weight", {n * (nope + v), rank}, Presence::yes);
    v_b_ = b.reordered("attn_kv_b", n * (nope + v), rank, values);
    b.in_gguf({{"attn_v_b.weight", {n, v, rank}}});
    if (const TensorTypeInfo& info = tensor_type_info(both.type); info.block_elements == 1) {
      b.record("attn_k_b.weight", {n, rank, nope}, both.type, [=, &both](std::int64_t row, std::byte* out) {
        for (std::int64_t i = 0; i < nope; ++i) {
          const std::int64_t at = (row / rank * (nope + v) + i) * rank + row % rank;
          std::memcpy(out + i * info.block_bytes, both.data + at * info.block_bytes, info.block_bytes);
        }
      });
    }
    k_b_ = {reinterpret_cast<std::byte*>(b.allocate_floats(static_cast<std::size_t>(n * rank * nope))), TensorType::F32,
            n * rank, nope};
    if (b.header_only()) return;
    const std::uint64_t row_bytes = tensor_row_bytes(both.type, static_cast<std::uint64_t>(rank));
    float* keys = reinterpret_cast<float*>(const_cast<std::byte*>(k_b_.data));
    std::vector<float> row(static_cast<std::size_t>(rank));
    for (std::int64_t h = 0; h < n; ++h) {
      for (std::int64_t i = 0; i < nope; ++i) {
        const std::uint64_t at = static_cast<std::uint64_t>(h * (nope + v) + i) * row_bytes;
        kernels::kernels().decode_row(both.type, both.data + at, row.data(), rank);
        for (std::int64_t r = 0; r < rank; ++r) keys[(h * rank + r) * nope + i] = row[static_cast<std::size_t>(r)];
      }
    }
  }

  LatentAttention spec_;
  std::int64_t n_embd_;
  int rope_;
  Linear q_a_, q_, kv_a_, o_;
  ops::Norm q_norm_, kv_norm_;
  ops::WeightMatrix k_b_, v_b_;  // [n_head * kv_rank, nope_dim], [n_head * value_dim, kv_rank]
  ops::AttentionSpec attention_;
  int slot_ = 0;
  int group_ = 0;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const LatentAttention& spec) {
  return std::make_unique<LatentAttentionBlock>(build, spec);
}

}  // namespace llm::model
