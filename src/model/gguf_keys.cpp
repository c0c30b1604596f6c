#include <algorithm>
#include <cmath>

#include "model/gguf_export.h"
#include "model/rope.h"

// Keys of GGUF files, without the architecture's prefix, from a specification.

namespace llm::model {
namespace {

using Numbers = std::vector<std::int64_t>;

class KeyWriter {
 public:
  explicit KeyWriter(const ModelSpec& spec) : spec_(spec) {}

  GgufKeys write() {
    const Stack& stack = spec_.decoder;
    keys_["block_count"] = std::int64_t{spec_.n_layer};
    if (spec_.kind == ModelKind::encoder_decoder) {
      keys_["block_count"] = static_cast<std::int64_t>(spec_.encoder.layers.size());
      keys_["decoder_block_count"] = std::int64_t{spec_.n_layer};
      if (spec_.decoder_start_token >= 0) keys_["decoder_start_token_id"] = std::int64_t{spec_.decoder_start_token};
    }
    keys_["context_length"] = spec_.n_position_max != 0 ? spec_.n_position_max : spec_.n_context_train;
    keys_["embedding_length"] = std::int64_t{spec_.n_embd};
    keys_["vocab_size"] = std::int64_t{spec_.n_vocab};
    if (spec_.kind == ModelKind::encoder) keys_["attention.causal"] = false;
    if (stack.embedding.norm) add(*stack.embedding.norm);
    if (stack.final_norm) add(*stack.final_norm);
    for (const Layer& layer : stack.layers) {
      for (const std::optional<Norm>* norm : {&layer.pre_mixer, &layer.pre_ffn, &layer.after_mixer}) {
        if (*norm) add(**norm);
      }
      for (const MixerSpec& mixer : layer.mixers) std::visit([this](const auto& kind) { add(kind); }, mixer);
      add_ffn(layer);
    }
    add_heads();
    add_widths();
    return std::move(keys_);
  }

 private:
  template <typename T>
  void once(const char* key, T value) {
    keys_.try_emplace(key, std::move(value));
  }

  void add(const Norm& norm) {
    once(norm.kind == NormKind::rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
         double{norm.eps});
  }

  void add(const Rope& rope, const char* base) {
    if (rope.dims == 0) return;
    once(base, rope.base);
    once("rope.dimension_count", std::int64_t{rope.dims});
  }

  void add_scaling(const Rope& rope, double log_multiplier) {
    const RopeScaling& s = rope.scaling;
    if (keys_.contains("rope.scaling.type") || s.kind == RopeScaling::Kind::none) return;
    const auto original = static_cast<std::int64_t>(s.original_context);
    RopeAngles angles;
    if (s.kind == RopeScaling::Kind::linear) {
      keys_["rope.scaling.type"] = std::string("linear");
      keys_["rope.scaling.factor"] = s.factor;
    } else if (s.kind == RopeScaling::Kind::yarn) {
      rope_angles(rope, 1, {}, angles);
      keys_["rope.scaling.type"] = std::string("yarn");
      keys_["rope.scaling.factor"] = s.factor;
      keys_["rope.scaling.original_context_length"] = original;
      keys_["rope.scaling.yarn_beta_fast"] = s.beta_fast;
      keys_["rope.scaling.yarn_beta_slow"] = s.beta_slow;
      // Readers multiply by 0.1 ln(factor) + 1 themselves.
      const double factor = angles.attention_factor / yarn_mscale(s.factor, 1);
      if (log_multiplier != 0) {
        keys_["rope.scaling.yarn_log_multiplier"] = log_multiplier;
      } else if (std::fabs(factor - 1) > 1e-9) {
        keys_["rope.scaling.attn_factor"] = factor;
      }
    } else if (s.kind == RopeScaling::Kind::longrope) {
      Rope plain = rope;
      plain.scaling.long_factor = plain.scaling.short_factor =
          std::vector<double>(static_cast<std::size_t>(rope.dims / 2), 1);
      rope_angles(plain, 1, {}, angles);
      keys_["rope.scaling.type"] = std::string("longrope");
      keys_["rope.scaling.original_context_length"] = original;
      keys_["rope.scaling.attn_factor"] = angles.attention_factor;
    }
  }

  void add(const Attention& a) {
    n_head_.push_back(a.n_head);
    n_head_kv_.push_back(a.n_head_kv);
    once("attention.key_length", std::int64_t{a.head_dim});
    once("attention.value_length", std::int64_t{a.values()});
    const bool local = a.window_kind != WindowKind::none;
    if (local) once("attention.sliding_window", std::int64_t{a.window});
    // A base of its own for windowed layers, where there are others.
    if (a.rope.dims != 0 && local) local_rope_ = a.rope;
    if (a.rope.dims != 0 && !local) full_rope_ = a.rope;
  }

  void add(const LatentAttention& a) {
    n_head_.push_back(a.n_head);
    n_head_kv_.push_back(1);
    if (a.q_rank != 0) once("attention.q_lora_rank", std::int64_t{a.q_rank});
    once("attention.kv_lora_rank", std::int64_t{a.kv_rank});
    once("attention.key_length", std::int64_t{a.kv_rank + a.rope_dim});
    once("attention.value_length", std::int64_t{a.kv_rank});
    once("attention.key_length_mla", std::int64_t{a.nope_dim + a.rope_dim});
    once("attention.value_length_mla", std::int64_t{a.value_dim});
    full_rope_ = a.rope;
    // Such files hold a tenth of the multiplier.
    latent_multiplier_ = a.rope.scaling.mscale_all_dim * 0.1;
  }

  void add(const Mamba& m) {
    once("ssm.conv_kernel", std::int64_t{m.conv});
    once("ssm.inner_size", std::int64_t{m.inner});
    once("ssm.state_size", std::int64_t{m.state});
    once("ssm.time_step_rank", std::int64_t{m.dt_rank});
  }

  void add(const Mamba2& m) {
    once("ssm.conv_kernel", std::int64_t{m.conv});
    once("ssm.inner_size", std::int64_t{m.inner});
    once("ssm.state_size", std::int64_t{m.state});
    once("ssm.time_step_rank", std::int64_t{m.n_heads});
    once("ssm.group_count", std::int64_t{m.n_groups});
  }

  void add(const GatedDelta& g) {
    once("ssm.conv_kernel", std::int64_t{g.conv});
    once("ssm.inner_size", std::int64_t{g.n_value_heads} * g.value_dim);
    once("ssm.state_size", std::int64_t{g.key_dim});
    once("ssm.time_step_rank", std::int64_t{g.n_value_heads});
    once("ssm.group_count", std::int64_t{g.n_key_heads});
  }

  void add(const ShortConv& s) { once("shortconv.l_cache", std::int64_t{s.conv}); }

  void add(const RecurrentUnit&) {}
  void add(const Rwkv&) {}

  void add_ffn(const Layer& layer) {
    std::int64_t width = 0;
    if (const auto* m = std::get_if<Mlp>(&layer.ffn)) width = m->width;
    if (const auto* e = std::get_if<Experts>(&layer.ffn)) {
      once("expert_count", std::int64_t{e->count});
      once("expert_used_count", std::int64_t{e->router.n_used});
      once("expert_feed_forward_length", std::int64_t{e->width});
      if (e->router.score == ops::Router::Score::sigmoid) once("expert_gating_func", std::int64_t{2});
      if (e->shared) once("expert_shared_feed_forward_length", std::int64_t{e->shared->width});
    }
    widths_.push_back(width);
  }

  // One number, or one a layer where they differ. Layers that are recurrences alone have no key/value heads.
  void add_heads() {
    const auto n_layer = static_cast<std::size_t>(spec_.n_layer);
    if (n_head_.empty()) {
      keys_["attention.head_count"] = std::int64_t{0};
      return;
    }
    const bool hybrid = n_head_.size() < n_layer;
    const auto value = [&](const Numbers& numbers, bool zeros) -> Hyper::Answer {
      const bool same = std::all_of(numbers.begin(), numbers.end(), [&](auto n) { return n == numbers.front(); });
      if (same && !(hybrid && zeros)) return numbers.front();
      Numbers all;
      std::size_t next = 0;
      for (const Layer& layer : spec_.decoder.layers) {
        const bool heads = std::any_of(layer.mixers.begin(), layer.mixers.end(), [](const MixerSpec& mixer) {
          return std::holds_alternative<Attention>(mixer) || std::holds_alternative<LatentAttention>(mixer);
        });
        all.push_back(heads ? numbers[next++] : 0);
      }
      return all;
    };
    keys_["attention.head_count"] = value(n_head_, false);
    keys_["attention.head_count_kv"] = value(n_head_kv_, true);
    const std::optional<Rope>& rope = full_rope_ ? full_rope_ : local_rope_;
    if (!rope) return;
    add(*rope, "rope.freq_base");
    add_scaling(*rope, latent_multiplier_);
    if (full_rope_ && local_rope_ && local_rope_->base != full_rope_->base) {
      keys_["rope.freq_base_swa"] = local_rope_->base;
    }
  }

  void add_widths() {
    Numbers dense;
    std::copy_if(widths_.begin(), widths_.end(), std::back_inserter(dense), [](std::int64_t w) { return w != 0; });
    if (dense.empty()) return;  // experts alone: what the folder says
    if (std::all_of(dense.begin(), dense.end(), [&](std::int64_t w) { return w == dense.front(); })) {
      keys_["feed_forward_length"] = dense.front();
    } else {
      keys_["feed_forward_length"] = widths_;
    }
  }

  const ModelSpec& spec_;
  GgufKeys keys_;
  Numbers n_head_, n_head_kv_, widths_;
  std::optional<Rope> full_rope_, local_rope_;
  double latent_multiplier_ = 0;
};

}  // namespace

GgufKeys keys_of(const ModelSpec& spec) {
  return KeyWriter(spec).write();
}

}  // namespace llm::model
