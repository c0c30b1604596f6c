#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 32});
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  if (!h.gguf()) {
    const std::int64_t window = h.is_null(keys::window) ? 0 : h.integer_or(keys::window, 4096);
    const bool late = i >= h.integer_or({"", {"max_window_layers"}}, 62);
    if (windowed_by_type(h, i).value_or(late)) set_window(a, window);
  }
  const Activation act = activation(h, Activation::silu);
  Experts e = experts(h, i, act);
  set_sigmoid_router(h, e, {.normalize = false});
  const std::int64_t n_shared = h.integer_or(keys::n_shared, 0, 0, 1 << 10);
  if (n_shared > 0) e.shared = Mlp{.width = static_cast<int>(n_shared) * e.width, .activation = act};
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
  if (i < h.integer_or(keys::n_dense, 0)) l.ffn = mlp(h, i, act);
  return l;
}

}  // namespace

const Family dots1_family{.name = "dots1",
                          .gguf = {"dots1"},
                          .hugging_face = {"dots1"},
                          .special = "sigmoid router with a bias for choosing, shared experts; norms of q and k heads",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
