#include "model/weights.h"

#include <fmt/format.h>

#include <cmath>
#include <llm/error.hpp>

#include "model/family.h"

namespace llm::model {
namespace {

// Table of sinusoids [n, width]: first half sines, second half cosines.
ops::WeightMatrix sinusoids(Binder& binder, const Embedding& e, std::int64_t width) {
  const std::int64_t n = e.n_positions, half = width / 2;
  float* table = binder.allocate_floats(static_cast<std::size_t>(n * width));
  for (std::int64_t p = 0; table != nullptr && p < n; ++p) {
    for (std::int64_t k = 0; k < half; ++k) {
      const double exponent = e.positions == Positions::sinusoid
                                  ? 2.0 * static_cast<double>(k) / static_cast<double>(width)
                                  : static_cast<double>(k) / static_cast<double>(half - 1);
      const double angle = static_cast<double>(p) * std::pow(10'000.0, -exponent);
      table[p * width + k] = static_cast<float>(std::sin(angle));
      table[p * width + half + k] = static_cast<float>(std::cos(angle));
    }
  }
  return {reinterpret_cast<const std::byte*>(table), TensorType::F32, n, width};
}

std::optional<ops::Norm> bind_norm(Binder& binder, const std::optional<Norm>& norm, std::string_view name,
                                   std::int64_t width) {
  if (!norm) return std::nullopt;
  return binder.norm(*norm, norm->tensor.empty() ? name : norm->tensor, width);
}

}  // namespace

int Build::rope_index(const Rope& rope) {
  if (rope.dims == 0) return -1;
  for (std::size_t i = 0; i < ropes.size(); ++i) {
    Rope same = ropes[i];
    same.pairing = rope.pairing;
    if (same == rope) return static_cast<int>(i);
  }
  ropes.push_back(rope);
  return static_cast<int>(ropes.size()) - 1;
}

Weights::Weights(const formats::WeightsFile& source, bool only_header, std::span<const Adapter> adapters,
                 bool recording)
    : file(&source), header_only(only_header) {
  const Hyper hyper(source);
  const Family& family = find_family(hyper);
  spec = resolve(hyper, family);
  Binder binder(hyper, family, header_only, adapters, recording);
  bind(hyper, binder);
  bound = binder.take_bound();
  if (recording) answers = hyper.answers();
}

void Weights::bind(const Hyper& hyper, Binder& binder) {
  if (spec.kind == ModelKind::encoder_decoder) encoder = bind_stack(binder, spec.encoder, spec.n_vocab_source);
  decoder = bind_stack(binder, spec.decoder, spec.n_vocab);
  const Head& h = spec.head;
  if (h.exists) {
    binder.enter(spec.decoder, -1);
    const std::int64_t width = h.width != 0 ? h.width : spec.n_embd;
    if (h.width != 0 && !h.transform) head.projection = binder.linear("output_projection", h.width, spec.n_embd);
    if (h.transform) {
      head.projection = binder.linear("output_transform", width, spec.n_embd, h.transform_bias);
      head.transform_norm = binder.norm(h.transform_norm, "output_transform_norm", width);
    }
    if (h.tied) {
      head.output = decoder.tokens;
      binder.adapt("output", head.output);
    } else {
      head.output = binder.matrix("output", spec.n_vocab, width);
    }
    head.bias = h.final_logits_bias ? binder.floats("final_logits_bias.bias", {spec.n_vocab}, Presence::if_found)
                                    : binder.floats("output.bias", {spec.n_vocab}, h.bias);
  }
  bind_ropes(binder);
  n_parameters = binder.n_parameters();
  converted_bytes = binder.converted_bytes();
  unused_tensors = binder.unused_tensors();
  unused_keys = hyper.unused_keys();
  binder.adapters().check_all_used();
  low_rank_width = binder.adapters().width();
  low_ranks_ = binder.adapters().take();
  memory_ = binder.take_memory();
}

StackWeights Weights::bind_stack(Binder& binder, const Stack& stack, int n_vocab) {
  StackWeights s;
  s.spec = &stack;
  binder.enter(stack, -1);
  const Embedding& e = stack.embedding;
  const std::int64_t width = e.width != 0 ? e.width : spec.n_embd;
  s.tokens = binder.token_table("token_embd", n_vocab, width);
  const std::int64_t position_width = e.project_before_positions ? spec.n_embd : width;
  if (e.positions == Positions::learned) {
    s.positions = binder.table("position_embd", e.n_positions, position_width);
  } else if (e.positions != Positions::none) {
    // Some files hold the table, perhaps rounded; then that is what the model was run with.
    s.positions = binder.matrix("position_embd", e.n_positions, position_width, Presence::if_found);
    if (s.positions.n_out == 0) s.positions = sinusoids(binder, e, position_width);
  }
  if (e.n_token_types != 0) s.types = binder.table("token_types", e.n_token_types, width);
  s.embedding_norm = bind_norm(binder, e.norm, "token_embd_norm", width);
  if (e.width != 0) s.projection = binder.linear("embd_projection", spec.n_embd, width, e.project_bias);
  s.final_norm = bind_norm(binder, stack.final_norm, "output_norm", spec.n_embd);
  Build build{binder, state, ropes, spec.n_embd};
  for (std::size_t i = 0; i < stack.n_groups(); ++i) {
    binder.enter(stack, static_cast<int>(i));
    s.layers.push_back(bind_layer(build, stack.layers[i]));
  }
  return s;
}

LayerWeights Weights::bind_layer(Build& build, const Layer& layer) {
  Binder& b = build.binder;
  const std::int64_t n = build.n_embd;
  LayerWeights w;
  w.stream = bind_norm(b, layer.stream, "stream_norm", n);
  w.pre_mixer = bind_norm(b, layer.pre_mixer, "attn_norm", n);
  for (const MixerSpec& mixer : layer.mixers) {
    w.mixers.push_back(std::visit([&](const auto& kind) { return make_block(build, kind); }, mixer));
  }
  w.post_mixer = bind_norm(b, layer.post_mixer, "post_attention_norm", n);
  w.after_mixer = bind_norm(b, layer.after_mixer, "attn_output_norm", n);
  w.pre_cross = bind_norm(b, layer.pre_cross, "cross_attn_norm", n);
  if (layer.cross) w.cross = make_block(build, *layer.cross);
  w.after_cross = bind_norm(b, layer.after_cross, "cross_attn_output_norm", n);
  w.pre_ffn = bind_norm(b, layer.pre_ffn, "ffn_norm", n);
  std::visit(
      [&](const auto& kind) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(kind)>, std::monostate>) w.ffn = make_block(build, kind);
      },
      layer.ffn);
  w.post_ffn = bind_norm(b, layer.post_ffn, "post_ffw_norm", n);
  w.after_ffn = bind_norm(b, layer.after_ffn, "layer_output_norm", n);
  return w;
}

void Weights::bind_ropes(Binder& binder) {
  binder.enter(spec.decoder, -1);
  for (Rope& rope : ropes) {
    std::vector<float> divisors;
    if (rope.divisors) {
      if (const formats::TensorView* view = binder.view("rope_freqs.weight", {rope.dims / 2}, Presence::if_found)) {
        if (!header_only) divisors = binder.decode(*view);
      }
    }
    if (rope.scaling.kind == RopeScaling::Kind::longrope && binder.hyper().gguf()) {
      for (const bool is_long : {false, true}) {
        const formats::TensorView* view = binder.view(
            is_long ? "rope_factors_long.weight" : "rope_factors_short.weight", {rope.dims / 2}, Presence::yes);
        std::vector<double>& factors = is_long ? rope.scaling.long_factor : rope.scaling.short_factor;
        factors.assign(static_cast<std::size_t>(rope.dims / 2), 1);
        if (header_only) continue;
        const std::vector<float> values = binder.decode(*view);
        factors.assign(values.begin(), values.end());
      }
    }
    rope_divisors.push_back(std::move(divisors));
    rope_angles.emplace_back();
    model::rope_angles(rope, spec.n_context_train, rope_divisors.back(), rope_angles.back());
    spec.rope_by_length = spec.rope_by_length || rope.scaling.by_length();
  }
}

}  // namespace llm::model
