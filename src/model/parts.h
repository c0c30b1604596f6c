#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include <string_view>

#include "model/hyper.h"
#include "model/spec.h"

// Neutral pieces that families put together. Nothing here knows a family.

namespace llm::model {

// The file's epsilon; `otherwise` where config.json does not name it (GGUF files must).
Norm rms_norm(const Hyper& h, double otherwise);
Norm layer_norm(const Hyper& h, double otherwise, Presence bias = Presence::yes);

// The activation that config.json names; GGUF files of most architectures cannot, then `otherwise`. Refuses others by
// name. Names that mean the exact gelu mean `gelu` here.
Activation activation(const Hyper& h, Activation otherwise, Activation gelu = Activation::gelu_erf);
Activation activation_named(const Hyper& h, const Key& key, std::string_view name,
                            Activation gelu = Activation::gelu_erf);

// yes or no by a key of config.json; GGUF: if the tensor is there.
Presence by_key(const Hyper& h, const Key& key, bool otherwise);
// GGUF: if the tensor is there; Hugging Face: as given.
Presence if_gguf_else(const Hyper& h, bool there);

struct RopeDefaults {
  double base = 10'000;
  RopeScaling scaling = {};       // where config.json names none
  double original_context = 0;    // 0: the whole context
  bool yarn_is_longrope = false;  // the type's name in older files of a family
};
// Rotation of `dims` entries. layer_type: "full_attention", "sliding_attention" where config.json tells them apart.
Rope rope(const Hyper& h, int dims, const RopeDefaults& defaults = {}, std::string_view layer_type = "full_attention");

// Rotation of windowed layers where they have one of their own: what config.json says of sliding_attention, else this
// base without scaling.
Rope windowed_rope(const Hyper& h, const Rope& full, double base);

struct AttentionDefaults {
  double rope_base = 10'000;
  RopeDefaults rope = {};  // besides the base
  int head_dim = 0;        // 0: n_embd / n_head
  int n_head_kv = 0;       // where config.json does not name it; 0: n_head
  double rope_fraction = 1;
  bool has_rope = true;
  RopePairing gguf_pairing = RopePairing::halves;
  RopePairing pairing = RopePairing::halves;  // of Hugging Face folders
};
// Heads, widths, rotation, biases (attention_bias) as the file says for layer i.
Attention attention(const Hyper& h, int i, const AttentionDefaults& defaults = {});

// default_width: 0 if the file must name the width.
Mlp mlp(const Hyper& h, int i, Activation act, bool gated = true, int default_width = 0);
// Where config.json does not name them; 0: it must.
struct ExpertsDefaults {
  int count = 0, used = 0;
};
// Numbers of experts and their width (feed_forward_length / intermediate_size if no other is named).
Experts experts(const Hyper& h, int i, Activation act, const ExpertsDefaults& defaults = {});
// Where config.json does not name them.
struct SigmoidRouterDefaults {
  double scale = 1;
  bool normalize = true;
  int n_groups = 1, n_groups_used = 1;
};
// Router of DeepSeek-V3 and its relatives: sigmoid, a bias for choosing, the best groups by their two best.
void set_sigmoid_router(const Hyper& h, Experts& e, const SigmoidRouterDefaults& defaults = {});
// A cap on scores or logits: `otherwise` if the key is absent, 0 (none) if it is null.
float softcap(const Hyper& h, const Key& key, double otherwise);
// Rows of a table of learned positions.
void set_learned_positions(const Hyper& h, ModelSpec& m, int offset = 0);

// Layer i has a window by layer_types of config.json; nullopt if there is no such list.
std::optional<bool> windowed_by_type(const Hyper& h, int i);
// GGUF: attention.sliding_window_pattern, a number n (every n-th layer is full) or one flag a layer.
bool windowed_by_pattern(const Hyper& h, int i, int default_period);
void set_window(Attention& a, std::int64_t window);
// A window where use_sliding_window is set (config.json) and this layer has one.
void set_switched_window(const Hyper& h, Attention& a, bool windowed, std::int64_t otherwise = 4096);
// Qwen: with use_sliding_window, from layer max_window_layers on or as layer_types says.
void set_late_window(const Hyper& h, Attention& a, int i);

// An encoder's post-norm layer with biases everywhere (BERT).
Layer encoder_layer(const Hyper& h, int i, const Norm& norm, Activation act);
// The head of masked-token models, if the folder has this tensor: norm(act(W h + b)), then the embedding's matrix.
void set_mask_head(const Hyper& h, ModelSpec& m, std::string_view tensor, const Norm& norm, Activation act);
// Whether an encoder's positions see only those before them: GGUF files that do not say otherwise.
bool encoder_is_causal(const Hyper& h);
// Token types of BERT: by the file's tensor in GGUF.
int n_token_types(const Hyper& h, int otherwise);

int n_vocab(const Hyper& h);
std::vector<float> alibi_slopes(int n_head, double max_bias = 8);

}  // namespace llm::model

#endif
