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
  std::string type = h.text_or(gguf_rope_type, h.has(gguf_rope_factor) ? "linear" : "none");
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

// rope_scaling or rope_parameters of config.json, at `path`.
RopeScaling config_scaling(const Hyper& h, const std::string& path, int dims) {
  const auto name = [&](std::string_view key) { return path + "." + std::string(key); };
  const std::string type_key = name("rope_type"), old_type_key = name("type");
  const Key type{"", {type_key, old_type_key}};
  RopeScaling s;
  const std::string kind = h.text_or(type, "default");
  const auto number = [&](std::string_view key, double otherwise) {
    const std::string full = name(key);
    return h.number_or({"", {full}}, otherwise);
  };
  const double context = static_cast<double>(h.integer_or(keys::n_context, 2048, 1));
  const std::string original = name("original_max_position_embeddings");
  const Key original_key{"", {"original_max_position_embeddings", original}};
  s.original_context = h.number_or(original_key, context, 1);
  s.factor = number("factor", 1);
  if (!(s.factor > 0)) h.fail(type, fmt::format("factor {}", s.factor), "a positive factor");
  if (kind == "default") {
    s = {};
  } else if (kind == "linear") {
    s.kind = RopeScaling::Kind::linear;
  } else if (kind == "dynamic") {
    s.kind = RopeScaling::Kind::dynamic;
    s.original_context = context;
    if (dims <= 2) h.fail(type, "dynamic with 2 rotated entries", "more");
  } else if (kind == "llama3") {
    s.kind = RopeScaling::Kind::llama3;
    s.low_freq_factor = number("low_freq_factor", 1);
    s.high_freq_factor = number("high_freq_factor", 4);
    if (s.low_freq_factor == s.high_freq_factor) h.fail(type, "equal low and high factors", "different ones");
  } else if (kind == "yarn") {
    s.kind = RopeScaling::Kind::yarn;
    s.beta_fast = number("beta_fast", 32);
    s.beta_slow = number("beta_slow", 1);
    s.mscale = number("mscale", 0);
    s.mscale_all_dim = number("mscale_all_dim", 0);
    const std::string truncate = name("truncate"), factor = name("attention_factor");
    s.truncate = h.flag_or({"", {truncate}}, true);
    const Key factor_key{"", {factor}};
    if (h.has(factor_key)) s.attention_factor = h.number(factor_key);
  } else if (kind == "longrope" || kind == "su") {
    s.kind = RopeScaling::Kind::longrope;
    if (h.has({"", {"original_max_position_embeddings"}}) || s.factor == 1) s.factor = context / s.original_context;
    const std::string factor = name("attention_factor");
    const Key factor_key{"", {factor}};
    if (h.has(factor_key)) s.attention_factor = h.number(factor_key);
    for (const bool is_long : {false, true}) {
      const std::string key = name(is_long ? "long_factor" : "short_factor");
      const Key list{"", {key}};
      std::vector<double> factors = h.numbers(list).value_or(std::vector<double>{});
      if (factors.size() != static_cast<std::size_t>(dims / 2)) {
        h.fail(list, fmt::format("{} numbers", factors.size()), fmt::format("{}", dims / 2));
      }
      for (const double f : factors) {
        if (!(f > 0)) h.fail(list, fmt::format("{}", f), "positive numbers");
      }
      (is_long ? s.long_factor : s.short_factor) = std::move(factors);
    }
  } else {
    h.fail(type, formats::quote(kind), "default, linear, dynamic, llama3, yarn or longrope");
  }
  return s;
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
  return name ? activation_named(h, keys::activation, *name, gelu) : otherwise;
}

Presence if_gguf_else(const Hyper& h, bool there) {
  if (h.gguf()) return Presence::if_found;
  return there ? Presence::yes : Presence::no;
}

Presence by_key(const Hyper& h, const Key& key, bool otherwise) {
  return if_gguf_else(h, h.flag_or(key, otherwise));
}

Rope rope(const Hyper& h, int dims, double default_base, std::string_view layer_type) {
  Rope r;
  r.dims = dims;
  if (h.gguf()) {
    r.base = h.number_or(keys::rope_base, default_base);
    r.scaling = gguf_scaling(h);
    r.divisors = true;
  } else {
    const std::string typed = "rope_parameters." + std::string(layer_type);
    const bool is_typed = h.has({"", {typed}});
    const std::string path = is_typed ? typed : h.has({"", {"rope_parameters"}}) ? "rope_parameters" : "rope_scaling";
    const std::string base = path + ".rope_theta";
    r.base = h.number_or({"", {base, keys::rope_base.hugging_face[0], keys::rope_base.hugging_face[1]}}, default_base);
    r.scaling = config_scaling(h, path, dims);
  }
  if (!(r.base > 1)) h.fail(keys::rope_base, fmt::format("{}", r.base), "a number above 1");
  return r;
}

Attention attention(const Hyper& h, int i, const AttentionDefaults& d) {
  Attention a;
  a.n_head = static_cast<int>(h.integer_at(keys::n_head, i, 1, max_heads));
  a.n_head_kv = static_cast<int>(h.integer_at_or(keys::n_head_kv, i, a.n_head, 1, max_heads));
  if (a.n_head % a.n_head_kv != 0) {
    h.fail(keys::n_head_kv, fmt::format("{}", a.n_head_kv), fmt::format("a divisor of {} heads", a.n_head));
  }
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_width);
  const std::int64_t even = d.head_dim != 0 && !h.gguf() ? d.head_dim : n_embd / a.n_head;
  a.head_dim = static_cast<int>(h.integer_or(keys::head_dim, even, 1, max_width));
  a.value_dim = static_cast<int>(h.integer_or(keys::value_dim, a.head_dim, 1, max_width));
  if (a.head_dim < 1) h.fail(keys::n_head, fmt::format("{}", a.n_head), fmt::format("at most {}", n_embd));
  if (d.has_rope) {
    int dims = a.head_dim;
    if (h.gguf()) {
      dims = checked_dims(h, keys::rope_dims, h.integer_or(keys::rope_dims, a.head_dim), a.head_dim);
    } else {
      const Key fraction{"", {"partial_rotary_factor", "rotary_pct", "rope_parameters.partial_rotary_factor"}};
      const double part = h.number_or(fraction, d.rope_fraction, 0);
      dims = checked_dims(h, fraction, static_cast<std::int64_t>(part * a.head_dim), a.head_dim);
    }
    a.rope = rope(h, dims, d.rope_base, d.layer_type);
    a.rope.pairing = h.gguf() ? d.gguf_pairing : d.pairing;
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

Experts experts(const Hyper& h, int i, Activation act) {
  constexpr std::int64_t max_experts = 1 << 14;
  Experts e;
  e.count = static_cast<int>(h.integer_at(keys::n_experts, i, 1, max_experts));
  e.router.n_used = static_cast<int>(h.integer_at(keys::n_experts_used, i, 1, e.count));
  const Key& width = h.has(keys::n_ff_expert) ? keys::n_ff_expert : keys::n_ff;
  e.width = static_cast<int>(h.integer_at(width, i, 1, max_width));
  e.activation = act;
  return e;
}

void set_sigmoid_router(const Hyper& h, Experts& e, double default_scale) {
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
  e.router.n_groups = static_cast<int>(h.integer_or(keys::n_groups, 1, 0, max_groups));
  e.router.n_groups = std::max(e.router.n_groups, 1);
  if (e.count % e.router.n_groups != 0) {
    h.fail(keys::n_groups, fmt::format("{}", e.router.n_groups), fmt::format("a divisor of {} experts", e.count));
  }
  e.router.n_groups_used = static_cast<int>(h.integer_or(keys::n_groups_used, 1, 0, e.router.n_groups));
  e.router.n_groups_used = std::max(e.router.n_groups_used, 1);
  e.router.group_by_best_two = true;
  e.router.normalize = h.flag_or(keys::routed_norm, !h.gguf());
  e.router.sum_offset = 1e-20f;
  const double scale = h.number_or(keys::routed_scale, h.gguf() ? 1 : default_scale);
  e.router.scale = scale != 0 ? static_cast<float>(scale) : 1;
}

float softcap(const Hyper& h, const Key& key, double otherwise) {
  if (h.is_null(key)) return 0;
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

void set_late_window(const Hyper& h, Attention& a, int i) {
  if (h.gguf()) return;
  const bool late = i >= h.integer_or({"", {"max_window_layers"}}, 28);
  const bool windowed = windowed_by_type(h, i).value_or(late);
  const std::int64_t window = h.integer_or(keys::window, 4096, 0);
  if (h.flag_or({"", {"use_sliding_window"}}, false) && windowed) set_window(a, window);
}

Layer encoder_layer(const Hyper& h, int i, const Norm& norm, Activation act) {
  Attention a = attention(h, i, {.has_rope = false});
  a.causal = false;
  a.qkv_bias = a.output_bias = if_gguf_else(h, true);
  Mlp m = mlp(h, i, act, false);
  m.bias = if_gguf_else(h, true);
  return {.mixers = {a}, .after_mixer = norm, .ffn = m, .after_ffn = norm};
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
std::vector<float> alibi_slopes(int n_head) {
  int power = 1;
  while (power * 2 <= n_head) power *= 2;
  std::vector<float> slopes;
  for (int k = 0; k < n_head; ++k) {
    const double exponent = k < power ? 8.0 * (k + 1) / power : 8.0 * (2 * (k - power) + 1) / (2.0 * power);
    slopes.push_back(static_cast<float>(std::exp2(-exponent)));
  }
  return slopes;
}

}  // namespace llm::model
