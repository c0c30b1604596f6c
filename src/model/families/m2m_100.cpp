#include "model/families/families.h"
#include "model/parts_translation.h"

namespace llm::model {
namespace {

template <StackRole role>
Layer layer(const Hyper& h, int) {
  return translation_layer(h, role, true, activation(h, Activation::relu));
}

// Positions begin after the padding's number.
void finish(const Hyper& h, ModelSpec& m) {
  const int offset = static_cast<int>(h.integer_or({"", {"pad_token_id"}}, 1, 0, 1 << 20)) + 1;
  set_translation_embedding(h, m, Positions::sinusoid_fairseq, offset, true);
  m.encoder.final_norm = m.decoder.final_norm = translation_norm();
}

}  // namespace

const Family m2m_100_family{.name = "m2m_100",
                            .hugging_face = {"m2m_100"},
                            .special = "encoder-decoder (also NLLB): sinusoids after the padding's number, final norms",
                            .defaults = {.tied = true, .decoder_start_token = 2},
                            .kind = ModelKind::encoder_decoder,
                            .layer = layer<StackRole::decoder>,
                            .encoder_layer = layer<StackRole::encoder>,
                            .finish = finish,
                            .naming = translation_naming(StackRole::decoder),
                            .encoder_naming = translation_naming(StackRole::encoder)};

}  // namespace llm::model
