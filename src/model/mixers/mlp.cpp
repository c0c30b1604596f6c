#include "model/block.h"

// Feed-forward: down(act(gate x) * up x), or down(act(up x)).

namespace llm::model {
namespace {

class MlpBlock final : public Block {
 public:
  MlpBlock(Build& build, const Mlp& spec, const MlpNames& names) : spec_(spec) {
    Binder& b = build.binder;
    const bool fused = spec.gated && !b.has(names.gate + ".weight");
    if (fused) {
      const Linear both = b.linear(names.up, 2 * std::int64_t{spec.width}, build.n_embd, spec.bias);
      if (spec.gguf_apart) {
        const std::vector<std::int64_t> half = {spec.width, build.n_embd};
        b.in_gguf({{names.gate + ".weight", half}, {names.up + ".weight", half}});
      }
      gate_ = both.rows(0, spec.width);
      up_ = both.rows(spec.width, spec.width);
    } else {
      if (spec.gated) gate_ = b.linear(names.gate, spec.width, build.n_embd, spec.bias);
      up_ = b.linear(names.up, spec.width, build.n_embd, spec.bias);
    }
    down_ = b.linear(names.down, build.n_embd, spec.width, spec.bias);
  }

  void readers(std::vector<const ops::WeightMatrix*>& out) const override {
    if (gate_) out.push_back(&gate_.weight);
    out.push_back(&up_.weight);
  }

  void plan(const Limits& limits, Workspace& workspace, Needs& needs) const override {
    buffers(workspace, limits.n_rows);
    for (const Linear* linear : {&gate_, &up_, &down_}) {
      if (*linear) needs.matmul(limits, linear->weight);
    }
    needs.scratch_of(ops::row_scratch_bytes(spec_.width));
  }

  void run(const ops::Context& c, const StepView& step, Workspace workspace, const Input& in,
           const Output& out) const override {
    const Buffers b = buffers(workspace, step.n_rows);
    if (gate_) {
      ops::GatedProduct product{&gate_.weight, &up_.weight, gate_.bias, up_.bias, {}, b.hidden};
      product.gated.activation = spec_.activation;
      product.gated.gate_scale = spec_.gate_scale;
      ops::matmul_gated(c, in.packed, product);
    } else {
      ops::matmul(c, in.packed, {{&up_.weight, up_.bias, b.hidden, false, 1, spec_.activation}});
    }
    const ops::PackedRows packed = ops::pack(c, b.hidden, {c, {&down_.weight}}, b.pack);
    ops::matmul(c, packed, {{&down_.weight, down_.bias, out.rows, out.add, out.scale * spec_.output_scale}});
  }

 private:
  struct Buffers {
    ops::Rows hidden;
    ops::PackBuffer pack;
  };
  Buffers buffers(Workspace& w, std::int64_t n_rows) const {
    return {w.rows(n_rows, spec_.width), w.pack(n_rows, spec_.width)};
  }

  Mlp spec_;
  Linear gate_, up_, down_;
};

}  // namespace

std::unique_ptr<Block> make_block(Build& build, const Mlp& spec, const MlpNames& names) {
  return std::make_unique<MlpBlock>(build, spec, names);
}

}  // namespace llm::model
