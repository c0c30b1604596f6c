#include "model/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/quote.h"

namespace llm::model {
namespace {

constexpr std::int64_t max_heads = 1 << 16;
constexpr std::int64_t max_width = 1 << 24;

constexpr Key gguf_rope_type{"rope.scaling.type"};
constexpr Key gguf_rope_factor{"rope.scaling.factor"};
constexpr Key gguf_rope_linear{"rope.scale_linear"};
constexpr Key gguf_original_context{"rope.scaling.original_context_length"};
constexpr Key gguf_attention_factor{"rope.scaling.attn_factor"};
constexpr Key gguf_log_multiplier{"rope.scaling.yarn_log_multiplier"};
constexpr Key gguf_beta_fast{"rope.scaling.yarn_beta_fast"};
constexpr Key gguf_beta_slow{"rope.scaling.yarn_beta_slow"};

RopeScaling gguf_scaling(const Hyper& h) {
  RopeScaling s;
  const bool has_factor = h.has(gguf_rope_factor) || h.has(gguf_rope_linear);
  std::string type = h.text_or(gguf_rope_type, has_factor ? "linear" : "none");
  if (type == "none" && h.file().find_tensor("rope_factors_long.weight") != nullptr) type = "longrope";
  s.original_context =
      static_cast<double>(h.integer_or(gguf_original_context, h.integer(keys::n_context, 1, Hyper::max_count), 1));
  s.factor = h.number_or(gguf_rope_factor, h.number_or(gguf_rope_linear, 1));
  if (s.factor == 0) s.factor = 1;
  if (!(s.factor > 0)) h.fail(gguf_rope_factor, fmt::format("{}", s.factor), "a positive number");
  const double given = h.number_or(gguf_attention_factor, 1);
  if (type == "none") return s;
  if (type == "linear") {
    s.kind = s.factor == 1 ? RopeScaling::Kind::none : RopeScaling::Kind::linear;
  } else if (type == "yarn") {
    s.kind = RopeScaling::Kind::yarn;
    s.beta_fast = h.number_or(gguf_beta_fast, 32);
    s.beta_slow = h.number_or(gguf_beta_slow, 1);
    const auto m = [&](double scale) { return 0.1 * scale * std::log(s.factor) + 1; };
    const double g = h.number_or(gguf_log_multiplier, 0);
    s.attention_factor = given * (g != 0 ? m(1) / m(g) : m(1));
  } else if (type == "longrope") {
    s.kind = RopeScaling::Kind::longrope;
    s.attention_factor = given;
  } else {
    h.fail(gguf_rope_type, formats::quote(type), "none, linear, yarn or longrope");
  }
  return s;
}

// Keys of one rotation in config.json: those of the object at `path`.
class RopeKeys {
 public:
  RopeKeys(const Hyper& h, std::string path) : h_(h), path_(std::move(path)) {}

  std::string name(std::string_view key) const { return path_ + "." + std::string(key); }
  double number_or(std::string_view key, double otherwise) const {
    const std::string full = name(key);
    return h_.number_or({"", {full}}, otherwise);
  }
  double number(std::string_view key) const {
    const std::string full = name(key);
    return h_.number({"", {full}});
  }
  std::optional<double> given(std::string_view key) const {
    const std::string full = name(key);
    const Key found{"", {full}};
    return h_.has(found) ? std::optional(h_.number(found)) : std::nullopt;
  }
  bool flag_or(std::string_view key, bool otherwise) const {
    const std::string full = name(key);
    return h_.flag_or({"", {full}}, otherwise);
  }
  // One number for each rotated pair.
  std::vector<double> factors(std::string_view key, int n_pairs) const {
    const std::string full = name(key);
    const Key list{"", {full}};
    std::vector<double> result = h_.numbers(list).value_or(std::vector<double>{});
    if (result.size() != static_cast<std::size_t>(n_pairs)) {
      h_.fail(list, fmt::format("{} numbers", result.size()), fmt::format("{}", n_pairs));
    }
    for (const double f : result) {
      if (!(f > 0)) h_.fail(list, fmt::format("{}", f), "positive numbers");
    }
    return result;
  }
  [[noreturn]] void fail(std::string_view key, const std::string& found, const std::string& expected) const {
    const std::string full = name(key);
    h_.fail({"", {full}}, found, expected);
  }

 private:
  const Hyper& h_;
  std::string path_;
};

// rope_scaling or rope_parameters of config.json, at `path`.
RopeScaling config_scaling(const Hyper& h, const std::string& path, int dims, const RopeDefaults& defaults) {
  const RopeKeys at(h, path);
  const std::string type_key = at.name("rope_type"), old_type_key = at.name("type");
  const Key type{"", {type_key, old_type_key}};
  std::string kind = h.text_or(type, "default");
  if (kind == "su" || (kind == "yarn" && defaults.yarn_is_longrope)) kind = "longrope";
  RopeScaling s;
  if (kind == "default") return s;
  const double context = static_cast<double>(h.integer_or(keys::n_context, 2048, 1));
  const std::string original = at.name("original_max_position_embeddings");
  // Beside the object it counts more than in it, but not where layers differ.
  const bool typed = path.find('.') != std::string::npos;
  const Key original_key{"", {typed ? std::string_view() : "original_max_position_embeddings", original}};
  const double trained = defaults.original_context != 0 ? defaults.original_context : context;
  s.original_context = h.number_or(original_key, trained, 1);
  const std::optional<double> factor = at.given("factor");
  if (factor && !(*factor > 0)) at.fail("factor", fmt::format("{}", *factor), "a positive number");
  const bool by_context = kind == "yarn" || kind == "longrope";
  s.factor = by_context ? factor.value_or(context / s.original_context) : factor ? *factor : at.number("factor");
  if (kind == "linear") {
    s.kind = RopeScaling::Kind::linear;
  } else if (kind == "dynamic") {
    s.kind = RopeScaling::Kind::dynamic;
    s.original_context = context;
    if (dims <= 2) h.fail(type, "dynamic with 2 rotated entries", "more");
  } else if (kind == "llama3") {
    s.kind = RopeScaling::Kind::llama3;
    s.low_freq_factor = at.number("low_freq_factor");
    s.high_freq_factor = at.number("high_freq_factor");
    if (s.low_freq_factor == s.high_freq_factor) h.fail(type, "equal low and high factors", "different ones");
  } else if (kind == "yarn") {
    s.kind = RopeScaling::Kind::yarn;
    const double fast = at.number_or("beta_fast", 32), slow = at.number_or("beta_slow", 1);
    s.beta_fast = fast != 0 ? fast : 32;
    s.beta_slow = slow != 0 ? slow : 1;
    s.mscale = at.number_or("mscale", 0);
    s.mscale_all_dim = at.number_or("mscale_all_dim", 0);
    s.truncate = at.flag_or("truncate", true);
    s.attention_factor = at.given("attention_factor");
  } else if (kind == "longrope") {
    s.kind = RopeScaling::Kind::longrope;
    s.attention_factor = at.given("attention_factor");
    s.short_factor = at.factors("short_factor", dims / 2);
    s.long_factor = at.factors("long_factor", dims / 2);
  } else {
    h.fail(type, formats::quote(kind), "default, linear, dynamic, llama3, yarn or longrope");
  }
  return s;
}

// An odd fraction of a head: its pairs are those of the even number above, their frequencies those of the odd one.
void set_odd_period(const Hyper& h, Rope& rope, int period) {
  if (rope.scaling.kind == RopeScaling::Kind::yarn || rope.scaling.kind == RopeScaling::Kind::longrope) {
    h.fail(keys::rope_fraction, fmt::format("{} rotated entries", period), "an even number with this kind of scaling");
  }
  rope.period = period;
}

// Rotation by three coordinates (M-RoPE) pairs halves; in texts all three are the position.
RopePairing gguf_pairing(const Hyper& h, RopePairing pairing) {
  const Key sections{"rope.dimension_sections"};
  const std::vector<double> widths = h.numbers(sections).value_or(std::vector<double>{});
  const bool used = std::any_of(widths.begin(), widths.end(), [](double width) { return width != 0; });
  return used ? RopePairing::halves : pairing;
}

int checked_dims(const Hyper& h, const Key& key, std::int64_t dims, int head_dim) {
  if (dims < 0 || dims > head_dim || dims % 2 != 0) {
    h.fail(key, fmt::format("{} rotated entries", dims), fmt::format("an even number up to {}", head_dim));
  }
  return static_cast<int>(dims);
}

}  // namespace

Norm rms_norm(const Hyper& h, double otherwise) {
  const double eps = h.gguf() ? h.number(keys::rms_eps, 0) : h.number_or(keys::rms_eps, otherwise, 0);
  return {.kind = NormKind::rms, .eps = static_cast<float>(eps)};
}

Norm layer_norm(const Hyper& h, double otherwise, Presence bias) {
  const double eps = h.gguf() ? h.number(keys::layer_norm_eps, 0) : h.number_or(keys::layer_norm_eps, otherwise, 0);
  return {.kind = NormKind::layer, .eps = static_cast<float>(eps), .bias = bias};
}

Activation activation_named(const Hyper& h, const Key& key, std::string_view name, Activation gelu) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "relu") return Activation::relu;
  if (name == "relu2") return Activation::relu2;
  h.fail(key, formats::quote(name),
         "silu, swish, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu or relu2");
}

Activation activation(const Hyper& h, Activation otherwise, Activation gelu) {
  const std::optional<std::string> name = h.text(keys::activation);
  if (!name) return otherwise;
  const Activation result = activation_named(h, keys::activation, *name, gelu);
  if (result != otherwise) h.answer(keys::activation, *name);
  return result;
}

Presence if_gguf_else(const Hyper& h, bool there) {
  if (h.gguf()) return Presence::if_found;
  return there ? Presence::yes : Presence::no;
}

Presence by_key(const Hyper& h, const Key& key, bool otherwise) {
  return if_gguf_else(h, h.flag_or(key, otherwise));
}

Rope rope(const Hyper& h, int dims, const RopeDefaults& defaults, std::string_view layer_type) {
  Rope r;
  r.dims = dims;
  if (h.gguf()) {
    r.base = h.number_or(keys::rope_base, defaults.base);
    r.scaling = gguf_scaling(h);
    r.divisors = true;
  } else {
    const std::string typed = "rope_parameters." + std::string(layer_type);
    const bool is_typed = h.has({"", {typed}}), is_old = h.has({"", {"rope_scaling"}});
    const bool is_new = h.has({"", {"rope_parameters"}});
    const std::string path = is_typed ? typed : is_new && !is_old ? "rope_parameters" : "rope_scaling";
    const std::string base = path + ".rope_theta";
    const Key base_key{"", {base, keys::rope_base.hugging_face[0], keys::rope_base.hugging_face[1]}};
    r.base = h.number_or(base_key, defaults.base);
    r.scaling = is_old || is_new ? config_scaling(h, path, dims, defaults) : defaults.scaling;
  }
  if (!(r.base > 1)) h.fail(keys::rope_base, fmt::format("{}", r.base), "a number above 1");
  return r;
}

Rope windowed_rope(const Hyper& h, const Rope& full, double base) {
  Rope r = full;
  if (h.has({"", {"rope_parameters.sliding_attention"}})) {
    r = rope(h, full.dims, {.base = base}, "sliding_attention");
    r.pairing = full.pairing;
  } else {
    r.base = base;
    r.scaling = {};
  }
  return r;
}

Attention attention(const Hyper& h, int i, const AttentionDefaults& d) {
  Attention a;
  a.n_head = static_cast<int>(h.integer_at(keys::n_head, i, 1, max_heads));
  const bool named = h.gguf() || d.n_head_kv == 0 || h.is_null(keys::n_head_kv);
  a.n_head_kv = static_cast<int>(h.integer_at_or(keys::n_head_kv, i, named ? a.n_head : d.n_head_kv, 1, max_heads));
  if (a.n_head % a.n_head_kv != 0) {
    h.fail(keys::n_head_kv, fmt::format("{}", a.n_head_kv), fmt::format("a divisor of {} heads", a.n_head));
  }
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_width);
  const bool by_default = d.head_dim != 0 && !h.gguf() && !h.is_null(keys::head_dim);
  const std::int64_t even = by_default ? d.head_dim : n_embd / a.n_head;
  a.head_dim = static_cast<int>(h.integer_or(keys::head_dim, even, 1, max_width));
  a.value_dim = static_cast<int>(h.integer_or(keys::value_dim, a.head_dim, 1, max_width));
  if (a.head_dim < 1) h.fail(keys::n_head, fmt::format("{}", a.n_head), fmt::format("at most {}", n_embd));
  if (d.has_rope) {
    int dims = a.head_dim, period = dims;
    if (h.gguf()) {
      dims = period = checked_dims(h, keys::rope_dims, h.integer_or(keys::rope_dims, a.head_dim), a.head_dim);
    } else {
      const Key fraction{
          "",
          {"rope_parameters.full_attention.partial_rotary_factor", "rope_parameters.partial_rotary_factor",
           "rope_scaling.partial_rotary_factor", "partial_rotary_factor", "rotary_pct"}};
      const double part = h.number_or(fraction, d.rope_fraction, 0);
      period = static_cast<int>(std::min(part, 2.0) * a.head_dim);
      dims = checked_dims(h, fraction, period + period % 2, a.head_dim);
    }
    RopeDefaults defaults = d.rope;
    defaults.base = d.rope_base;
    a.rope = rope(h, dims, defaults);
    if (period % 2 != 0) set_odd_period(h, a.rope, period);
    a.rope.pairing = h.gguf() ? gguf_pairing(h, d.gguf_pairing) : d.pairing;
    a.gguf_interleaves = d.gguf_pairing == RopePairing::adjacent && d.pairing == RopePairing::halves;
  }
  a.qkv_bias = a.output_bias = by_key(h, keys::attention_bias, false);
  return a;
}

Mlp mlp(const Hyper& h, int i, Activation act, bool gated, int default_width) {
  Mlp m;
  const bool named = default_width == 0 || h.has(keys::n_ff);
  m.width = named ? static_cast<int>(h.integer_at(keys::n_ff, i, 1, max_width)) : default_width;
  m.activation = act;
  m.gated = gated;
  m.bias = by_key(h, keys::mlp_bias, false);
  return m;
}

Experts experts(const Hyper& h, int i, Activation act, const ExpertsDefaults& defaults) {
  constexpr std::int64_t max_experts = 1 << 14;
  const auto number = [&](const Key& key, int otherwise, std::int64_t high) {
    const bool is_default = !h.gguf() && otherwise != 0 && !h.has(key);
    return static_cast<int>(is_default ? otherwise : h.integer_at(key, i, 1, high));
  };
  Experts e;
  e.count = number(keys::n_experts, defaults.count, max_experts);
  e.router.n_used = number(keys::n_experts_used, defaults.used, e.count);
  if (e.router.n_used > e.count) h.fail(keys::n_experts, fmt::format("{}", e.count), "at least the experts used");
  const Key& width = h.has(keys::n_ff_expert) ? keys::n_ff_expert : keys::n_ff;
  e.width = static_cast<int>(h.integer_at(width, i, 1, max_width));
  e.activation = act;
  // Readers of GGUF files divide by no smaller sum.
  if (h.gguf()) e.router.sum_min = 6.103515625e-5f;
  return e;
}

void set_sigmoid_router(const Hyper& h, Experts& e, const SigmoidRouterDefaults& d) {
  constexpr int max_groups = 64;
  if (h.gguf()) {
    const std::int64_t gating = h.integer_or(keys::gating, 2, 0, 4);
    if (gating != 2 && gating != 0) h.fail(keys::gating, fmt::format("{}", gating), "2 (sigmoid)");
  } else {
    const Key score{"", {"scoring_func"}};
    const std::string name = h.text_or(score, "sigmoid");
    if (name != "sigmoid") h.fail(score, formats::quote(name), "sigmoid");
    const Key method{"", {"topk_method"}};
    const std::string choice = h.text_or(method, "noaux_tc");
    if (choice != "noaux_tc") h.fail(method, formats::quote(choice), "noaux_tc");
  }
  e.router.score = ops::Router::Score::sigmoid;
  e.correction_bias = true;
  const int n_groups = h.gguf() ? 1 : d.n_groups, n_groups_used = h.gguf() ? 1 : d.n_groups_used;
  e.router.n_groups = static_cast<int>(h.integer_or(keys::n_groups, n_groups, 0, max_groups));
  e.router.n_groups = std::max(e.router.n_groups, 1);
  if (e.count % e.router.n_groups != 0) {
    h.fail(keys::n_groups, fmt::format("{}", e.router.n_groups), fmt::format("a divisor of {} experts", e.count));
  }
  e.router.n_groups_used = static_cast<int>(h.integer_or(keys::n_groups_used, n_groups_used, 0, e.router.n_groups));
  e.router.n_groups_used = std::max(e.router.n_groups_used, 1);
  e.router.group_by_best_two = true;
  e.router.normalize = h.flag_or(keys::routed_norm, !h.gguf() && d.normalize);
  e.router.sum_offset = 1e-20f;
  const double scale = h.number_or(keys::routed_scale, h.gguf() ? 1 : d.scale);
  e.router.scale = scale != 0 ? static_cast<float>(scale) : 1;
}

float softcap(const Hyper& h, const Key& key, double otherwise) {
  if (h.is_null(key)) {
    h.answer(key, 0.0);
    return 0;
  }
  return static_cast<float>(h.number_or(key, otherwise, 0));
}

void set_learned_positions(const Hyper& h, ModelSpec& m, int offset) {
  Embedding& e = m.decoder.embedding;
  e.positions = Positions::learned;
  e.position_offset = offset;
  m.n_position_max = h.integer(keys::n_context, 1, 1 << 24);
  e.n_positions = static_cast<int>(m.n_position_max) + offset;
}

std::optional<bool> windowed_by_type(const Hyper& h, int i) {
  const std::optional<std::vector<std::string>> types = h.texts(keys::layer_types);
  if (!types) return std::nullopt;
  if (types->size() != static_cast<std::size_t>(h.n_layer())) {
    h.fail(keys::layer_types, fmt::format("{} entries", types->size()), fmt::format("{}", h.n_layer()));
  }
  const std::string& type = (*types)[static_cast<std::size_t>(i)];
  if (type == "sliding_attention") return true;
  if (type == "full_attention") return false;
  h.fail(keys::layer_types, formats::quote(type), "full_attention or sliding_attention");
}

bool windowed_by_pattern(const Hyper& h, int i, int default_period) {
  if (h.is_array(keys::window_pattern)) return h.integer_at(keys::window_pattern, i, 0, 1) == 1;
  const std::int64_t period = h.integer_or(keys::window_pattern, default_period, 0, Hyper::max_count);
  return period == 0 || i % period < period - 1;
}

void set_window(Attention& a, std::int64_t window) {
  if (window <= 0) return;
  a.window_kind = WindowKind::sliding;
  a.window = static_cast<int>(window);
}

void set_switched_window(const Hyper& h, Attention& a, bool windowed, std::int64_t otherwise) {
  if (h.gguf()) return;
  const std::int64_t window = h.integer_or(keys::window, otherwise, 0);
  if (h.flag_or({"", {"use_sliding_window"}}, false) && windowed) set_window(a, window);
}

void set_late_window(const Hyper& h, Attention& a, int i) {
  if (h.gguf()) return;
  const bool late = i >= h.integer_or({"", {"max_window_layers"}}, 28);
  set_switched_window(h, a, windowed_by_type(h, i).value_or(late));
}

Layer encoder_layer(const Hyper& h, int i, const Norm& norm, Activation act) {
  Attention a = attention(h, i, {.has_rope = false});
  a.causal = encoder_is_causal(h);
  a.qkv_bias = a.output_bias = if_gguf_else(h, true);
  Mlp m = mlp(h, i, act, false);
  m.bias = if_gguf_else(h, true);
  return {.mixers = {a}, .after_mixer = norm, .ffn = m, .after_ffn = norm};
}

void set_mask_head(const Hyper& h, ModelSpec& m, std::string_view tensor, const Norm& norm, Activation act) {
  if (h.gguf() || h.file().find_tensor(tensor) == nullptr) return;
  m.head.exists = m.head.transform = true;
  m.head.tied = h.flag_or(keys::tied, true);
  m.head.width = m.decoder.embedding.width;
  m.head.transform_activation = act;
  m.head.transform_norm = norm;
  m.head.bias = Presence::yes;
}

bool encoder_is_causal(const Hyper& h) {
  return h.gguf() && h.flag_or(keys::causal, true);
}

int n_token_types(const Hyper& h, int otherwise) {
  if (!h.gguf()) return static_cast<int>(h.integer_or({"", {"type_vocab_size"}}, otherwise, 0, 1 << 10));
  const formats::TensorView* table = h.file().find_tensor("token_types.weight");
  return table == nullptr ? 0 : static_cast<int>(std::min<std::int64_t>(table->extent[1], 1 << 10));
}

int n_vocab(const Hyper& h) {
  constexpr std::int64_t max_vocab = 1 << 24;
  if (h.gguf()) {
    const formats::Metadata& meta = h.file().metadata();
    const std::string_view model = meta.find_string("tokenizer.ggml.model").value_or("none");
    const formats::ArrayView* tokens = model == "none" ? nullptr : meta.find_array("tokenizer.ggml.tokens");
    if (tokens != nullptr && tokens->count >= 1 && tokens->count <= max_vocab) {
      h.use(keys::n_vocab);
      return static_cast<int>(tokens->count);
    }
  }
  return static_cast<int>(h.integer(keys::n_vocab, 1, max_vocab));
}

// Slopes fall geometrically over the largest power of two of heads; the others take those of twice as many heads at the
// even places.
std::vector<float> alibi_slopes(int n_head, double max_bias) {
  int power = 1;
  while (power * 2 <= n_head) power *= 2;
  std::vector<float> slopes;
  for (int k = 0; k < n_head; ++k) {
    const double exponent = (k < power ? (k + 1.0) / power : (2 * (k - power) + 1) / (2.0 * power)) * max_bias;
    slopes.push_back(static_cast<float>(std::exp2(-exponent)));
  }
  return slopes;
}

}  // namespace llm::model
