#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ops/ops.h"

// What a model computes, as plain values: a family's function fills them from the metadata, the forward pass walks
// them. Every field has a default, so initialisers name only what differs.

namespace llm::model {

using kernels::NormKind;
using ops::Activation;
using ops::RopePairing;
using ops::WindowKind;

// Whether a tensor that some models of a family have is there.
enum class Presence : std::uint8_t { no, yes, if_found };

struct Norm {
  NormKind kind = NormKind::rms;
  float eps = 0;
  bool weight = true;
  Presence bias = Presence::no;
  std::string_view tensor = {};  // canonical name where it is not the usual one of its place
};

struct RopeScaling {
  enum class Kind : std::uint8_t { none, linear, dynamic, llama3, yarn, longrope };
  Kind kind = Kind::none;
  double factor = 1;
  double original_context = 0;  // positions the model was first trained for
  double low_freq_factor = 1, high_freq_factor = 4;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;  // YaRN: bounds rounded to whole dimensions
  std::optional<double> attention_factor = {};
  double mscale = 0, mscale_all_dim = 0;
  std::vector<double> long_factor = {}, short_factor = {};

  bool operator==(const RopeScaling&) const = default;
  // The frequencies depend on the length of the sequence.
  bool by_length() const { return kind == Kind::dynamic || kind == Kind::longrope; }
};

struct Rope {
  RopePairing pairing = RopePairing::halves;
  int dims = 0;    // rotated entries of a head, the first ones; 0: no rotation
  int period = 0;  // frequencies are base^(-2i / period); 0: dims
  double base = 10'000;
  RopeScaling scaling = {};
  bool divisors = false;  // GGUF: frequencies are divided by the tensor rope_freqs if the file has it

  bool operator==(const Rope&) const = default;
};

// How the rows of a fused projection of queries, keys and values are ordered.
enum class QkvOrder : std::uint8_t {
  blocks,    // all of q, all of k, all of v
  per_head,  // per key/value head: its query heads, its key, its value
};

// Score bias by bucketed distance (T5); a layer without a table has that of the layer before.
struct RelativeBias {
  int n_buckets = 0;  // 0: none
  int max_distance = 128;
  bool both_sides = false;
  bool operator==(const RelativeBias&) const = default;
};

struct Attention {
  int n_head = 0;
  int n_head_kv = 0;
  int head_dim = 0;   // of queries and keys
  int value_dim = 0;  // 0: head_dim
  float scale = 0;    // 0: 1 / sqrt(head_dim)
  bool causal = true;
  WindowKind window_kind = WindowKind::none;
  int window = 0;
  float softcap = 0;
  bool sinks = false;
  std::vector<float> alibi_slopes = {};  // [n_head] or empty
  RelativeBias relative = {};
  Rope rope = {};

  enum class NormOver : std::uint8_t { none, head, row };
  NormOver qk_norm_over = NormOver::none;
  Norm qk_norm = {};
  bool qk_norm_per_head = false;    // each head has its own weights
  bool qk_norm_after_rope = false;  // head only
  float clamp = 0;                  // of q, k and v; 0: not
  bool clamp_after_norm = false;

  Presence qkv_bias = Presence::no;
  Presence output_bias = Presence::no;
  QkvOrder fused_order = QkvOrder::blocks;
  bool output_gate = false;        // q has a gate beside each head: out *= sigmoid(gate)
  bool gguf_interleaves = false;   // GGUF files store the rows of a head of q and k in pairs, folders in halves
  bool gguf_reorders_qkv = false;  // converters change the order of the rows of fused q, k, v
  float input_scale = 1, key_scale = 1, output_scale = 1;
  bool cross = false;  // keys and values come from the encoder's output

  int values() const { return value_dim != 0 ? value_dim : head_dim; }
};

// Multi-head latent attention: the cache holds kv_rank numbers and one rotated key a token.
struct LatentAttention {
  int n_head = 0;
  int q_rank = 0;  // 0: queries are projected directly
  int kv_rank = 0;
  int nope_dim = 0, rope_dim = 0, value_dim = 0;
  float scale = 0;
  float norm_eps = 1e-6f;
  Rope rope = {};
  Presence bias = Presence::no;  // of q_a, kv_a and o
};

// Selective state space (Mamba).
struct Mamba {
  int inner = 0, state = 0, conv = 0, dt_rank = 0;
  Presence conv_bias = Presence::if_found, bias = Presence::no;
  Activation activation = Activation::silu;  // after the convolution
  std::optional<Norm> norm = {};             // of dt, B and C
  bool norm_weights = false;                 // with weights of their own
};

// State space with one decay a head (Mamba-2).
struct Mamba2 {
  int inner = 0, state = 0, conv = 0, n_heads = 0, n_groups = 1;
  Presence conv_bias = Presence::if_found, bias = Presence::no;
  Presence output_bias = Presence::no;
  Activation activation = Activation::silu;                           // after the convolution
  enum class Gate : std::uint8_t { plain, norm_after, norm_before };  // y silu(z); norm(y silu(z)); norm(y) silu(z)
  Gate gate = Gate::norm_after;
  int norm_groups = 1;
  float norm_eps = 0;
  float input_scale = 1, output_scale = 1;
  std::vector<float> part_scales = {};          // of z, x, B, C, dt; empty: ones
  float dt_min = 0, dt_max = 3.402823466e+38f;  // of the time step after its softplus
};

// Gated delta rule (Qwen3-Next).
struct GatedDelta {
  int n_key_heads = 0, n_value_heads = 0, key_dim = 0, value_dim = 0, conv = 0;
  float norm_eps = 0;
};

// Gated short convolution (LFM2).
struct ShortConv {
  int inner = 0, conv = 0;
  Presence bias = Presence::no;
};

// RG-LRU with its convolution and gate (RecurrentGemma).
struct RecurrentUnit {
  int width = 0, n_blocks = 0, conv = 0;
  Activation activation = Activation::gelu_tanh;  // of the gate
};

// RWKV-4 time mix.
struct Rwkv {
  int inner = 0;
};

using MixerSpec = std::variant<Attention, LatentAttention, Mamba, Mamba2, GatedDelta, ShortConv, RecurrentUnit, Rwkv>;

struct Mlp {
  int width = 0;
  Activation activation = Activation::silu;
  bool gated = true;
  Presence bias = Presence::no;
  float gate_scale = 1, output_scale = 1;
  bool gguf_apart = false;  // gate and up are two tensors in GGUF files, one in folders
};

struct Experts {
  int count = 0;
  int width = 0;
  Activation activation = Activation::silu;
  ops::Router router = {};  // pointers are set when tensors are bound
  bool correction_bias = false;
  bool router_bias = false;
  bool bias = false;                // of the experts
  std::optional<float> limit = {};  // gpt-oss: clamped gate and up, up + 1, alpha 1.702
  std::optional<Mlp> shared = {};   // added to the experts' sum
  bool shared_gate = false;         // times sigmoid of one number a token
  enum class Fused : std::uint8_t { no, halves, interleaved };
  Fused fused_gate_up = Fused::no;  // in Hugging Face folders
};

// RWKV-4 channel mix: sigmoid(r) * value(relu(key)^2), inputs mixed with the previous token's.
struct ChannelMix {
  int width = 0;
};

using FeedForward = std::variant<std::monostate, Mlp, Experts, ChannelMix>;

struct Layer {
  std::optional<Norm> stream = {};       // of the stream itself, before everything else
  std::optional<Norm> pre_mixer = {};    // of the mixers' input
  std::vector<MixerSpec> mixers = {};    // outputs are summed
  std::optional<Norm> post_mixer = {};   // of the branch, before it is added
  std::optional<Norm> after_mixer = {};  // of the stream, after the branch was added (post-norm blocks)
  std::optional<Norm> pre_cross = {};
  std::optional<Attention> cross = {};
  std::optional<Norm> after_cross = {};
  std::optional<Norm> pre_ffn = {};
  FeedForward ffn = {};
  std::optional<Norm> post_ffn = {};
  std::optional<Norm> after_ffn = {};
  bool parallel = false;            // mixers and feed-forward read the stream as it was before the layer
  bool shared_norm = false;         // parallel: both read the mixers' normed input
  bool residual_is_normed = false;  // branches are added to their normed input
  float residual_scale = 1;
  float stream_scale = 1;  // of the stream, after everything else
};

enum class Positions : std::uint8_t {
  none,
  learned,
  sinusoid,          // first half sine, second half cosine, frequency 10000^(-2k/d)
  sinusoid_fairseq,  // frequency exp(-k ln(10000) / (d/2 - 1))
};

// Token ids to the input of the first layer.
struct Embedding {
  int width = 0;  // 0: n_embd; else a projection follows
  float scale = 1;
  Positions positions = Positions::none;
  int position_offset = 0;
  int n_positions = 0;  // rows of the learned table
  int n_token_types = 0;
  std::optional<Norm> norm = {};
  bool project_before_positions = false;
  Presence project_bias = Presence::no;
};

struct Head {
  bool exists = true;  // false: the model ends with hidden states
  bool tied = false;
  Presence bias = Presence::no;
  std::optional<Norm> norm = {};  // final norm
  int width = 0;                  // 0: n_embd; else a projection precedes
  // Masked-token models: norm(act(W h + b)) precedes the output matrix; its result has `width` numbers.
  bool transform = false;
  Presence transform_bias = Presence::yes;
  Activation transform_activation = Activation::gelu_erf;
  Norm transform_norm = {};
  float scale = 1;
  float softcap = 0;
  bool final_logits_bias = false;
};

// One stack of layers. Names of its tensors begin with `prefix` in GGUF ("", "enc.", "dec.").
struct Stack {
  std::string prefix = {};
  Embedding embedding = {};
  std::vector<Layer> layers = {};
  std::optional<Norm> final_norm = {};
  // Layers that share weights (ALBERT): layer i has those of group layer_group[i], 0 the first; empty: each its own.
  std::vector<std::size_t> layer_group = {};

  std::size_t group_of(std::size_t layer) const { return layer_group.empty() ? layer : layer_group[layer]; }
  std::size_t n_groups() const { return layer_group.empty() ? layers.size() : layer_group.back() + 1; }
};

enum class ModelKind : std::uint8_t { decoder, encoder, encoder_decoder };
enum class Pooling : std::uint8_t { none, mean, cls, last, rank };

struct ModelSpec {
  std::string family;        // registry name
  std::string architecture;  // as the file says: general.architecture or model_type
  ModelKind kind = ModelKind::decoder;
  int n_embd = 0, n_layer = 0, n_head = 0, n_head_kv = 0, n_vocab = 0;
  int n_vocab_source = 0;  // encoder-decoder with its own source vocabulary; else n_vocab
  std::int64_t n_context_train = 0;
  // Longest sequence that the model can take at all (learned positions); 0: no such limit.
  std::int64_t n_position_max = 0;
  Pooling pooling = Pooling::none;
  bool pooling_known = false;  // the file says it
  int decoder_start_token = -1;
  Stack decoder = {};  // of decoders and encoder-only models too
  Stack encoder = {};  // encoder-decoder only
  Head head = {};
  // Rotation depends on the sequence's length (SequenceSlice::rope_length).
  bool rope_by_length = false;

  // Non-causal: a sequence must be evaluated in one step, all its rows together.
  bool needs_whole_sequence() const { return kind == ModelKind::encoder; }
};

}  // namespace llm::model

#endif
