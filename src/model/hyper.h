#ifndef MODEL_HYPER_H
#define MODEL_HYPER_H

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/weights_file.h"
#include "model/spec.h"

namespace llm::model {

// A hyper-parameter under its names: in GGUF (after the architecture's prefix; "" where no key exists) and in
// config.json (a path with dots; the first spelling present counts).
struct Key {
  std::string_view gguf;
  std::array<std::string_view, 5> hugging_face = {};
};

namespace keys {
inline constexpr Key n_layer{"block_count", {"num_hidden_layers", "n_layer", "num_layers", "n_layers"}};
// Encoder-decoder.
inline constexpr Key n_encoder_layer{"block_count", {"encoder_layers", "num_layers", "num_hidden_layers"}};
inline constexpr Key n_decoder_layer{"decoder_block_count", {"decoder_layers", "num_decoder_layers"}};
inline constexpr Key decoder_start_token{"decoder_start_token_id", {"decoder_start_token_id"}};
inline constexpr Key n_embd{"embedding_length", {"hidden_size", "n_embd", "d_model", "dim"}};
inline constexpr Key n_vocab{"vocab_size", {"vocab_size"}};
inline constexpr Key n_context{"context_length",
                               {"max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "context_length"}};
inline constexpr Key n_ff{"feed_forward_length", {"intermediate_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim"}};
inline constexpr Key n_head{"attention.head_count", {"num_attention_heads", "n_head", "num_heads", "n_heads"}};
inline constexpr Key n_head_kv{"attention.head_count_kv", {"num_key_value_heads"}};
inline constexpr Key head_dim{"attention.key_length", {"head_dim"}};
inline constexpr Key value_dim{"attention.value_length"};
inline constexpr Key rms_eps{"attention.layer_norm_rms_epsilon", {"rms_norm_eps", "layer_norm_epsilon", "norm_eps"}};
inline constexpr Key layer_norm_eps{"attention.layer_norm_epsilon",
                                    {"layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps"}};
inline constexpr Key rope_dims{"rope.dimension_count"};
inline constexpr Key rope_base{"rope.freq_base", {"rope_theta", "rotary_emb_base"}};
inline constexpr Key rope_fraction{"", {"partial_rotary_factor", "rotary_pct"}};
inline constexpr Key activation{"hidden_activation",
                                {"hidden_activation", "hidden_act", "activation_function", "activation", "afn"}};
inline constexpr Key tied{"", {"tie_word_embeddings"}};
inline constexpr Key attention_bias{"", {"attention_bias"}};
inline constexpr Key mlp_bias{"", {"mlp_bias"}};
inline constexpr Key window{"attention.sliding_window", {"sliding_window"}};
inline constexpr Key window_pattern{"attention.sliding_window_pattern",
                                    {"sliding_window_pattern", "_sliding_window_pattern"}};
inline constexpr Key layer_types{"", {"layer_types"}};
inline constexpr Key clamp_qkv{"attention.clamp_kqv", {"clip_qkv"}};
inline constexpr Key attention_softcap{"attn_logit_softcapping", {"attn_logit_softcapping"}};
inline constexpr Key final_softcap{"final_logit_softcapping", {"final_logit_softcapping"}};
inline constexpr Key logit_scale{"logit_scale", {"logit_scale"}};
inline constexpr Key n_experts{"expert_count",
                               {"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"}};
inline constexpr Key n_experts_used{"expert_used_count", {"num_experts_per_tok", "moe_k", "moe_topk"}};
inline constexpr Key n_ff_expert{"expert_feed_forward_length", {"moe_intermediate_size"}};
inline constexpr Key n_ff_shared{"expert_shared_feed_forward_length", {"shared_expert_intermediate_size"}};
inline constexpr Key n_shared{"expert_shared_count", {"n_shared_experts", "moe_num_shared_experts"}};
inline constexpr Key n_dense{"leading_dense_block_count", {"first_k_dense_replace"}};
inline constexpr Key routed_scale{"expert_weights_scale", {"routed_scaling_factor"}};
inline constexpr Key routed_norm{"expert_weights_norm", {"norm_topk_prob"}};
inline constexpr Key gating{"expert_gating_func"};
inline constexpr Key n_groups{"expert_group_count", {"n_group"}};
inline constexpr Key n_groups_used{"expert_group_used_count", {"topk_group"}};
// Layers that predict further tokens; GGUF counts them among the blocks, as the last ones.
inline constexpr Key n_next_token_layers{"nextn_predict_layers", {"num_nextn_predict_layers"}};
inline constexpr Key causal{"attention.causal"};
inline constexpr Key pooling{"pooling_type"};
}  // namespace keys

// A model's metadata as hyper-parameters, whatever the container. Every key that is asked for counts as used. Numbers
// are checked against a range when they are read: errors name file, key, value, and what was expected.
class Hyper {
 public:
  explicit Hyper(const formats::WeightsFile& file);
  ~Hyper();

  bool gguf() const { return gguf_; }
  const std::string& architecture() const { return architecture_; }
  const formats::WeightsFile& file() const { return file_; }

  bool has(const Key& key) const;      // present and not null
  bool is_null(const Key& key) const;  // config.json: present with the value null
  std::int64_t integer(const Key& key, std::int64_t low = 0, std::int64_t high = max_count) const;
  std::int64_t integer_or(const Key& key, std::int64_t otherwise, std::int64_t low = 0,
                          std::int64_t high = max_count) const;
  // A number or an array with one number a layer.
  std::int64_t integer_at(const Key& key, int layer, std::int64_t low = 0, std::int64_t high = max_count) const;
  std::int64_t integer_at_or(const Key& key, int layer, std::int64_t otherwise, std::int64_t low = 0,
                             std::int64_t high = max_count) const;
  // Finite; `low` is the smallest value allowed.
  double number(const Key& key, double low = -largest) const;
  double number_or(const Key& key, double otherwise, double low = -largest) const;
  bool flag_or(const Key& key, bool otherwise) const;
  std::optional<std::string> text(const Key& key) const;
  std::string text_or(const Key& key, std::string_view otherwise) const;
  std::optional<std::vector<double>> numbers(const Key& key) const;
  std::optional<std::vector<std::string>> texts(const Key& key) const;
  // config.json: [[["a", "b"], 2], [["c"], 1]] as a, b, a, b, c; empty if it is none.
  std::vector<std::string> repeated_texts(const Key& key) const;
  bool is_array(const Key& key) const;
  bool is_text(const Key& key) const;

  // Marks keys as read although nothing needs their value.
  void use(const Key& key) const;
  // The expected value of a key that only ever has one meaning here: throws if it is there with another.
  void expect_flag(const Key& key, bool value, std::string_view why) const;

  // Error(model): "<file>: key <name>: <found>, expected <expected>".
  [[noreturn]] void fail(const Key& key, const std::string& found, const std::string& expected) const;

  // What a folder says, or its class assumes, for keys that GGUF files have too: each as it was last asked for.
  using Answer = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;
  const std::map<std::string, Answer, std::less<>>& answers() const { return answers_; }
  void answer(const Key& key, Answer value) const;

  // Keys of the file that nobody asked for and that are not known to be without effect.
  std::vector<std::string> unused_keys() const;

  int n_layer() const { return n_layer_; }
  static constexpr std::int64_t max_layers = 1024;

  static constexpr std::int64_t max_count = std::numeric_limits<std::int32_t>::max();
  static constexpr double largest = std::numeric_limits<float>::max();

 private:
  struct Found;
  std::optional<Found> find(const Key& key) const;
  const nlohmann::json* find_json(std::string_view path) const;
  std::string name_of(const Key& key) const;
  void add_unused(const nlohmann::json& object, const std::string& scope, std::vector<std::string>& unused) const;
  void answer_at(const Key& key, int layer, std::int64_t value) const;

  const formats::WeightsFile& file_;
  bool gguf_;
  std::string architecture_;
  std::string prefix_;  // "llama."
  std::unique_ptr<const nlohmann::json> config_;
  int n_layer_ = 0;
  mutable std::set<std::string, std::less<>> used_;
  mutable std::map<std::string, Answer, std::less<>> answers_;
};

}  // namespace llm::model

#endif
