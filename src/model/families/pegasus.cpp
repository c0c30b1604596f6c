#include "model/families/families.h"
#include "model/parts_translation.h"

namespace llm::model {
namespace {

template <StackRole role>
Layer layer(const Hyper& h, int) {
  return translation_layer(h, role, true, activation(h, Activation::gelu_erf));
}

void finish(const Hyper& h, ModelSpec& m) {
  set_translation_embedding(h, m, Positions::sinusoid, 0);
  m.encoder.final_norm = m.decoder.final_norm = translation_norm();
  m.head.final_logits_bias = true;
}

}  // namespace

const Family pegasus_family{.name = "pegasus",
                            .hugging_face = {"pegasus"},
                            .special = "encoder-decoder: sinusoids, norms before the branches and at the end",
                            .defaults = {.tied = true, .decoder_start_token = 0},
                            .kind = ModelKind::encoder_decoder,
                            .layer = layer<StackRole::decoder>,
                            .encoder_layer = layer<StackRole::encoder>,
                            .finish = finish,
                            .naming = translation_naming(StackRole::decoder),
                            .encoder_naming = translation_naming(StackRole::encoder)};

}  // namespace llm::model
