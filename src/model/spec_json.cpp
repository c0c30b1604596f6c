#include "model/spec_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/rope.h"

namespace llm::model {
namespace {

using nlohmann::json;

template <typename Enum>
int number(Enum value) {
  return static_cast<int>(value);
}

json of(const Norm& n) {
  return {{"kind", number(n.kind)}, {"eps", n.eps}, {"weight", n.weight}};
}

json of(const Attention& a);
json of(const Mlp& m);

template <typename T>
json of(const std::optional<T>& value) {
  return value ? of(*value) : json(nullptr);
}

json of(const Rope& r) {
  if (r.dims == 0) return nullptr;
  static constexpr const char* kinds[] = {"none", "linear", "dynamic", "llama3", "yarn", "longrope"};
  const RopeScaling& s = r.scaling;
  json j = {{"dims", r.dims},
            {"period", r.period != 0 ? r.period : r.dims},
            {"base", r.base},
            {"scaling", kinds[number(s.kind)]}};
  if (s.kind == RopeScaling::Kind::none) return j;
  json options = {{"original_context", s.original_context}};
  if (s.kind != RopeScaling::Kind::longrope) options["factor"] = s.factor;
  if (s.kind == RopeScaling::Kind::llama3) {
    options["low_freq_factor"] = s.low_freq_factor;
    options["high_freq_factor"] = s.high_freq_factor;
  }
  if (s.kind == RopeScaling::Kind::yarn) {
    options["beta_fast"] = s.beta_fast;
    options["beta_slow"] = s.beta_slow;
    options["truncate"] = s.truncate;
  }
  if (s.kind == RopeScaling::Kind::linear) options.erase("original_context");
  // The factor of cosines and sines, however it is given.
  Rope plain = r;
  plain.scaling.long_factor = plain.scaling.short_factor = std::vector<double>(static_cast<std::size_t>(r.dims / 2), 1);
  RopeAngles angles;
  rope_angles(plain, 1, {}, angles);
  options["attention_factor"] = angles.attention_factor;
  j["scaling_options"] = options;
  return j;
}

json of(const Attention& a) {
  json j = {{"n_head", a.n_head},
            {"n_head_kv", a.n_head_kv},
            {"head_dim", a.head_dim},
            {"value_dim", a.values()},
            {"scale", a.scale != 0 ? a.scale : 1 / std::sqrt(static_cast<float>(a.head_dim))},
            {"causal", a.causal},
            {"window_kind", number(a.window_kind)},
            {"window", a.window},
            {"softcap", a.softcap},
            {"sinks", a.sinks},
            {"alibi_slopes", a.alibi_slopes},
            {"rope", of(a.rope)},
            {"qk_norm_over", number(a.qk_norm_over)},
            {"clamp", a.clamp},
            {"output_gate", a.output_gate},
            {"input_scale", a.input_scale},
            {"key_scale", a.key_scale},
            {"output_scale", a.output_scale},
            {"cross", a.cross}};
  if (a.qk_norm_over != Attention::NormOver::none) {
    j["qk_norm"] = of(a.qk_norm);
    j["qk_norm_per_head"] = a.qk_norm_per_head;
    j["qk_norm_after_rope"] = a.qk_norm_after_rope;
    j["clamp_after_norm"] = a.clamp_after_norm;
  }
  if (a.relative.n_buckets != 0) {
    j["relative"] = {{"n_buckets", a.relative.n_buckets},
                     {"max_distance", a.relative.max_distance},
                     {"both", a.relative.both_sides}};
  }
  return j;
}

json of(const LatentAttention& a) {
  return {{"n_head", a.n_head},     {"q_rank", a.q_rank},
          {"kv_rank", a.kv_rank},   {"nope_dim", a.nope_dim},
          {"rope_dim", a.rope_dim}, {"value_dim", a.value_dim},
          {"scale", a.scale},       {"norm_eps", a.norm_eps},
          {"rope", of(a.rope)},     {"pairing", number(a.rope.pairing)}};
}

json of(const Mamba& m) {
  return {{"inner", m.inner},
          {"state", m.state},
          {"conv", m.conv},
          {"dt_rank", m.dt_rank},
          {"activation", number(m.activation)},
          {"norm", of(m.norm)},
          {"norm_weights", m.norm_weights}};
}

json of(const Mamba2& m) {
  json j = {{"inner", m.inner},
            {"state", m.state},
            {"conv", m.conv},
            {"n_heads", m.n_heads},
            {"n_groups", m.n_groups},
            {"activation", number(m.activation)},
            {"gate", number(m.gate)},
            {"input_scale", m.input_scale},
            {"output_scale", m.output_scale}};
  if (m.gate != Mamba2::Gate::plain) {
    j["norm_groups"] = m.norm_groups;
    j["norm_eps"] = m.norm_eps;
  }
  j["dt_min"] = m.dt_min;
  j["dt_max"] = m.dt_max;
  j["part_scales"] = m.part_scales.empty() ? std::vector<float>(5, 1) : m.part_scales;
  return j;
}

json of(const GatedDelta& g) {
  return {{"n_key_heads", g.n_key_heads},
          {"n_value_heads", g.n_value_heads},
          {"key_dim", g.key_dim},
          {"value_dim", g.value_dim},
          {"conv", g.conv},
          {"norm_eps", g.norm_eps}};
}

json of(const ShortConv& s) {
  return {{"inner", s.inner}, {"conv", s.conv}};
}

json of(const RecurrentUnit& r) {
  return {{"width", r.width}, {"n_blocks", r.n_blocks}, {"conv", r.conv}, {"activation", number(r.activation)}};
}

json of(const Rwkv& r) {
  return {{"inner", r.inner}};
}

json of(const Mlp& m) {
  return {{"width", m.width},
          {"activation", number(m.activation)},
          {"gated", m.gated},
          {"gate_scale", m.gate_scale},
          {"output_scale", m.output_scale}};
}

json of(const Experts& e) {
  const ops::Router& r = e.router;
  json j = {{"count", e.count},
            {"width", e.width},
            {"activation", number(e.activation)},
            {"n_used", r.n_used},
            {"score", number(r.score)},
            {"softmax_of_chosen", r.softmax_of_chosen},
            {"normalize", r.normalize},
            {"scale", r.scale},
            {"n_groups", r.n_groups},
            {"correction_bias", e.correction_bias},
            {"router_bias", e.router_bias},
            {"bias", e.bias},
            {"limit", e.limit ? json(*e.limit) : json(nullptr)},
            {"shared", of(e.shared)},
            {"shared_gate", e.shared_gate}};
  if (r.n_groups > 1) {
    j["n_groups_used"] = r.n_groups_used;
    j["group_by_best_two"] = r.group_by_best_two;
  }
  return j;
}

json of(const ChannelMix& c) {
  return {{"width", c.width}};
}

json of(const std::monostate&) {
  return nullptr;
}

template <typename... Kinds>
json of(const std::variant<Kinds...>& kind) {
  json j = std::visit([](const auto& value) { return of(value); }, kind);
  if (j.is_object()) j["type"] = kind.index();
  return j;
}

json of(const Layer& l) {
  json j = {{"stream", of(l.stream)},
            {"pre_mixer", of(l.pre_mixer)},
            {"post_mixer", of(l.post_mixer)},
            {"after_mixer", of(l.after_mixer)},
            {"pre_cross", of(l.pre_cross)},
            {"cross", of(l.cross)},
            {"after_cross", of(l.after_cross)},
            {"pre_ffn", of(l.pre_ffn)},
            {"ffn", of(l.ffn)},
            {"post_ffn", of(l.post_ffn)},
            {"after_ffn", of(l.after_ffn)},
            {"parallel", l.parallel},
            {"residual_is_normed", l.residual_is_normed},
            {"residual_scale", l.residual_scale},
            {"stream_scale", l.stream_scale},
            {"mixers", json::array()}};
  if (l.parallel) j["shared_norm"] = l.shared_norm;
  for (const MixerSpec& mixer : l.mixers) j["mixers"].push_back(of(mixer));
  return j;
}

json of(const Embedding& e) {
  return {{"width", e.width},
          {"scale", e.scale},
          {"positions", number(e.positions)},
          {"n_positions", e.n_positions - e.position_offset},
          {"n_token_types", e.n_token_types},
          {"norm", of(e.norm)},
          {"project_before_positions", e.project_before_positions}};
}

json of(const Stack& s) {
  json j = {{"embedding", of(s.embedding)},
            {"layers", json::array()},
            {"final_norm", of(s.final_norm)},
            {"layer_group", s.layer_group}};
  for (const Layer& layer : s.layers) j["layers"].push_back(of(layer));
  return j;
}

json of(const Head& h) {
  if (!h.exists) return nullptr;
  json j = {{"tied", h.tied},   {"width", h.width},     {"transform", h.transform},
            {"scale", h.scale}, {"softcap", h.softcap}, {"norm", of(h.norm)}};
  if (h.transform) {
    j["transform_activation"] = number(h.transform_activation);
    j["transform_norm"] = of(h.transform_norm);
  }
  return j;
}

bool equal_numbers(double a, double b) {
  constexpr double relative = 2e-7;
  return a == b || std::fabs(a - b) <= relative * std::max(std::fabs(a), std::fabs(b));
}

}  // namespace

json spec_json(const ModelSpec& m) {
  json j = of(m.decoder);
  j["kind"] = number(m.kind);
  j["n_embd"] = m.n_embd;
  j["n_vocab"] = m.n_vocab;
  j["n_context_train"] = m.n_context_train;
  j["head"] = of(m.head);
  if (m.kind == ModelKind::encoder_decoder) {
    j["encoder"] = of(m.encoder);
    j["n_vocab_source"] = m.n_vocab_source;
    j["decoder_start_token"] = m.decoder_start_token;
  }
  return j;
}

std::string first_difference(const json& a, const json& b) {
  if (a.is_number() && b.is_number()) {
    return equal_numbers(a.get<double>(), b.get<double>()) ? "" : fmt::format(": {} and {}", a.dump(), b.dump());
  }
  const auto within = [](const std::string& key, const std::string& difference) {
    return difference.starts_with(':') ? key + difference : key + "." + difference;
  };
  if (a.is_object() && b.is_object()) {
    std::set<std::string> all;
    for (const json* side : {&a, &b}) {
      for (const auto& [key, value] : side->items()) all.insert(key);
    }
    for (const std::string& key : all) {
      const json none;
      const std::string difference = first_difference(a.contains(key) ? a[key] : none, b.contains(key) ? b[key] : none);
      if (!difference.empty()) return within(key, difference);
    }
    return "";
  }
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::string difference = first_difference(a[i], b[i]);
      if (!difference.empty()) return within(std::to_string(i), difference);
    }
    return "";
  }
  if (a == b) return "";
  const auto shown = [](const json& value) { return value.is_structured() ? "something" : value.dump(); };
  return fmt::format(": {} and {}", shown(a), shown(b));
}

}  // namespace llm::model
