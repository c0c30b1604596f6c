#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  return {.pre_mixer = norm(h),
          .mixers = {attention(h, i)},
          .ffn = mlp(h, i, Activation::silu),
          .parallel = true,
          .shared_norm = true};
}

}  // namespace

const Family plamo_family{.name = "plamo",
                          .gguf = {"plamo"},
                          .special = "llama with a parallel block behind one norm",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
