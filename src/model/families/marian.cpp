#include "model/families/families.h"
#include "model/parts_translation.h"

namespace llm::model {
namespace {

template <StackRole role>
Layer layer(const Hyper& h, int) {
  return translation_layer(h, role, false, activation(h, Activation::gelu_erf));
}

void finish(const Hyper& h, ModelSpec& m) {
  set_translation_embedding(h, m, Positions::sinusoid, 0);
  m.head.final_logits_bias = true;
  const Key n_target{"", {"decoder_vocab_size"}};
  if (!h.flag_or({"", {"share_encoder_decoder_embeddings"}}, true)) {
    m.n_vocab = static_cast<int>(h.integer_or(n_target, m.n_vocab, 1, 1 << 24));
  }
  h.use(n_target);
}

}  // namespace

const Family marian_family{.name = "marian",
                           .hugging_face = {"marian"},
                           .special = "encoder-decoder of 2017: sinusoids, norms after the branches; own target words",
                           .defaults = {.tied = true, .decoder_start_token = 58100},
                           .kind = ModelKind::encoder_decoder,
                           .layer = layer<StackRole::decoder>,
                           .encoder_layer = layer<StackRole::encoder>,
                           .finish = finish,
                           .naming = translation_naming(StackRole::decoder),
                           .encoder_naming = translation_naming(StackRole::encoder)};

}  // namespace llm::model
