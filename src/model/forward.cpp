#include "model/forward.h"

namespace llm::model {
namespace {

void add_formats(const ops::Context& c, const Block* block, ops::InputFormats& formats) {
  if (block == nullptr) return;
  std::vector<const ops::WeightMatrix*> readers;
  block->readers(readers);
  for (const ops::WeightMatrix* reader : readers) formats.add(c, *reader);
}

// Norm (if there is one) and packing of a block's input.
Input make_input(const ops::Context& c, ops::Rows x, const std::optional<ops::Norm>& norm, ops::InputFormats formats,
                 bool needs_rows, ops::Rows normed, ops::PackBuffer pack) {
  if (!norm) return {ops::pack(c, x, formats, pack), x};
  if (!needs_rows) return {ops::norm_pack(c, x, *norm, formats, pack), {}};
  ops::norm(c, x, *norm, normed);
  return {ops::pack(c, normed, formats, pack), normed};
}

// x += scale * (norm of) the sum of the blocks' results, then the norm of the stream in post-norm layers.
template <typename Blocks>
void add_branch(const ops::Context& c, const StepView& step, const Workspace& workspace, const Blocks& blocks,
                const Input& in, const std::optional<ops::Norm>& post, const std::optional<ops::Norm>& after,
                float scale, ops::Rows x, ops::Rows branch) {
  if (post) {
    bool add = false;
    for (const auto& block : blocks) {
      block->run(c, step, workspace, in, {branch, add, 1});
      add = true;
    }
    ops::add_norm(c, branch, *post, scale, x);
  } else {
    for (const auto& block : blocks) block->run(c, step, workspace, in, {x, true, scale});
  }
  if (after) ops::norm(c, x, *after, x);
}

void embed(const ops::Context& c, const StackWeights& stack, const StackInputs& inputs, const StepView& step,
           const StepInput& in, const StackBuffers& b) {
  c.enter(ops::Part::inputs);
  const Embedding& e = stack.spec->embedding;
  const ops::Rows first = e.width != 0 ? b.embedded : b.x;
  const auto project = [&] {
    const ops::PackedRows packed = ops::pack(c, first, inputs.projection, b.pack);
    ops::matmul(c, packed, {{&stack.projection.weight, stack.projection.bias, b.x}});
  };
  ops::embed(c, stack.tokens, in.tokens, e.scale, false, first);
  if (stack.types) ops::embed(c, stack.types, in.token_types, 1, true, first);
  const bool early = e.width != 0 && e.project_before_positions;
  if (early) project();
  if (stack.positions) ops::add_positions(c, stack.positions, step.plain, e.position_offset, early ? b.x : first);
  if (stack.embedding_norm) ops::norm(c, first, *stack.embedding_norm, first);
  if (e.width != 0 && !early) project();
}

void run_layer(const ops::Context& c, const Layer& spec, const LayerWeights& w, const LayerInputs& inputs,
               const StepView& step, const StackBuffers& b, const Workspace& workspace) {
  const std::span<const std::unique_ptr<Block>> ffn(&w.ffn, w.ffn != nullptr ? 1 : 0);
  if (spec.residual_is_normed) {
    c.enter(ops::Part::mixer);
    ops::norm(c, b.x, *w.pre_mixer, b.x);
    const Input in{ops::pack(c, b.x, inputs.mixer, b.pack), b.x};
    add_branch(c, step, workspace, w.mixers, in, w.post_mixer, w.after_mixer, spec.residual_scale, b.x, b.branch);
    c.enter(ops::Part::feed_forward);
    ops::norm(c, b.x, *w.pre_ffn, b.x);
    const Input ffn_in{ops::pack(c, b.x, inputs.ffn, b.pack), b.x};
    add_branch(c, step, workspace, ffn, ffn_in, w.post_ffn, w.after_ffn, spec.residual_scale, b.x, b.branch);
    return;
  }
  if (spec.parallel) {
    c.enter(ops::Part::mixer);
    ops::InputFormats formats = inputs.mixer;
    if (spec.shared_norm) formats.add(inputs.ffn);
    const Input in = make_input(c, b.x, w.pre_mixer, formats, inputs.mixer_rows || inputs.ffn_rows, b.normed, b.pack);
    const Input ffn_in =
        spec.shared_norm ? in : make_input(c, b.x, w.pre_ffn, inputs.ffn, inputs.ffn_rows, b.normed, b.ffn_pack);
    add_branch(c, step, workspace, w.mixers, in, w.post_mixer, {}, spec.residual_scale, b.x, b.branch);
    c.enter(ops::Part::feed_forward);
    add_branch(c, step, workspace, ffn, ffn_in, w.post_ffn, {}, spec.residual_scale, b.x, b.branch);
    return;
  }
  if (!w.mixers.empty()) {
    c.enter(ops::Part::mixer);
    const Input in = make_input(c, b.x, w.pre_mixer, inputs.mixer, inputs.mixer_rows, b.normed, b.pack);
    add_branch(c, step, workspace, w.mixers, in, w.post_mixer, w.after_mixer, spec.residual_scale, b.x, b.branch);
  }
  if (w.cross != nullptr) {
    c.enter(ops::Part::cross_attention);
    const Input in = make_input(c, b.x, w.pre_cross, inputs.cross, false, b.normed, b.pack);
    add_branch(c, step, workspace, std::span(&w.cross, 1), in, {}, w.after_cross, spec.residual_scale, b.x, b.branch);
  }
  if (w.ffn != nullptr) {
    c.enter(ops::Part::feed_forward);
    const Input in = make_input(c, b.x, w.pre_ffn, inputs.ffn, inputs.ffn_rows, b.normed, b.pack);
    add_branch(c, step, workspace, ffn, in, w.post_ffn, w.after_ffn, spec.residual_scale, b.x, b.branch);
  }
}

void show(const ops::Context& c, const StepInput& in, std::size_t index, ops::Rows x) {
  if (in.on_hidden == nullptr || !*in.on_hidden) return;
  if (c.worker.id == 0) (*in.on_hidden)(static_cast<int>(index), x.data, x.n_rows, x.n_cols);
  c.worker.sync();
}

}  // namespace

StackInputs inputs_of(const ops::Context& c, const StackWeights& stack) {
  StackInputs result;
  if (stack.projection) result.projection.add(c, stack.projection.weight);
  for (const LayerWeights& layer : stack.layers) {
    LayerInputs& inputs = result.layers.emplace_back();
    for (const auto& mixer : layer.mixers) {
      add_formats(c, mixer.get(), inputs.mixer);
      inputs.mixer_rows = inputs.mixer_rows || mixer->needs_rows();
    }
    add_formats(c, layer.cross.get(), inputs.cross);
    add_formats(c, layer.ffn.get(), inputs.ffn);
    inputs.ffn_rows = layer.ffn != nullptr && layer.ffn->needs_rows();
  }
  return result;
}

StackBuffers stack_buffers(Workspace& w, const Stack& spec, std::int64_t n_embd, std::int64_t n_rows) {
  StackBuffers b;
  b.x = w.rows(n_rows, n_embd);
  b.normed = w.rows(n_rows, n_embd);
  b.branch = w.rows(n_rows, n_embd);
  if (spec.embedding.width != 0) b.embedded = w.rows(n_rows, spec.embedding.width);
  b.pack = w.pack(n_rows, std::max<std::int64_t>(n_embd, spec.embedding.width));
  b.ffn_pack = w.pack(n_rows, n_embd);
  return b;
}

void run_stack(const ops::Context& c, const StackWeights& stack, const StackInputs& inputs, const StepView& step,
               const StepInput& in, const StackBuffers& b, Workspace workspace) {
  embed(c, stack, inputs, step, in, b);
  show(c, in, 0, b.x);
  for (std::size_t i = 0; i < stack.spec->layers.size(); ++i) {
    const std::size_t bound = stack.spec->group_of(i);
    const Layer& spec = stack.spec->layers[i];
    const LayerWeights& weights = stack.layers[bound];
    if (weights.stream) ops::norm(c, b.x, *weights.stream, b.x);
    run_layer(c, spec, weights, inputs.layers[bound], step, b, workspace);
    show(c, in, i + 1, b.x);
    if (spec.stream_scale != 1) ops::scale(c, b.x, spec.stream_scale);
  }
}

void run_source(const ops::Context& c, const StackWeights& decoder, const StackInputs& inputs, const StepView& step,
                const StackBuffers& b, Workspace workspace) {
  c.enter(ops::Part::cross_attention);
  ops::InputFormats formats;
  for (const LayerInputs& layer : inputs.layers) formats.add(layer.cross);
  const Input in{ops::pack(c, b.x, formats, b.pack), b.x};
  for (const LayerWeights& layer : decoder.layers) {
    if (layer.cross != nullptr) layer.cross->run(c, step, workspace, in, {});
  }
}

OutputBuffers output_buffers(Workspace& w, const ModelSpec& spec, std::int64_t n_rows) {
  OutputBuffers b;
  b.rows = w.rows(n_rows, spec.n_embd);
  const std::int64_t width = spec.head.width != 0 ? spec.head.width : spec.n_embd;
  if (spec.head.width != 0 || spec.head.transform) b.projected = w.rows(n_rows, width);
  b.pack = w.pack(n_rows, std::max<std::int64_t>(spec.n_embd, spec.head.width));
  return b;
}

void run_output(const ops::Context& c, const StackWeights& stack, const HeadWeights& head, const Head& spec,
                ops::Rows x, std::span<const std::int32_t> wanted, ops::Rows last_hidden, ops::Rows logits,
                const OutputBuffers& b) {
  c.enter(ops::Part::output);
  ops::gather_rows(c, x, wanted, b.rows);
  if (stack.final_norm) ops::norm(c, b.rows, *stack.final_norm, b.rows);
  if (last_hidden.data != nullptr) ops::copy(c, b.rows, last_hidden);
  if (logits.data == nullptr) return;
  ops::Rows rows = b.rows;
  if (head.projection) {
    const Activation act = spec.transform ? spec.transform_activation : Activation::none;
    const ops::PackedRows packed = ops::pack(c, rows, {c, {&head.projection.weight}}, b.pack);
    ops::matmul(c, packed, {{&head.projection.weight, head.projection.bias, b.projected, false, 1, act}});
    if (spec.transform) ops::norm(c, b.projected, head.transform_norm, b.projected);
    rows = b.projected;
  }
  const ops::PackedRows packed = ops::pack(c, rows, {c, {&head.output}}, b.pack);
  ops::matmul(c, packed, {{&head.output, head.bias, logits, false, spec.scale}});
  if (spec.softcap != 0) ops::softcap(c, logits, spec.softcap);
}

}  // namespace llm::model
