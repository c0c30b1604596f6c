#include "model/families/families.h"
#include "model/parts_translation.h"

namespace llm::model {
namespace {

// Tables of positions begin with two rows that nobody reads; the embeddings are normed.
void finish(const Hyper& h, ModelSpec& m) {
  set_translation_embedding(h, m, Positions::learned, 2);
  m.encoder.embedding.norm = m.decoder.embedding.norm = translation_norm();
  m.head.final_logits_bias = true;
}

void finish_mbart(const Hyper& h, ModelSpec& m) {
  finish(h, m);
  m.encoder.final_norm = m.decoder.final_norm = translation_norm();
}

template <StackRole role, bool norms_before>
Layer layer(const Hyper& h, int) {
  return translation_layer(h, role, norms_before, activation(h, Activation::gelu_erf));
}

}  // namespace

const Family bart_family{.name = "bart",
                         .hugging_face = {"bart"},
                         .special = "encoder-decoder: learned positions with offset 2, norms after the branches",
                         .defaults = {.tied = true, .decoder_start_token = 2},
                         .kind = ModelKind::encoder_decoder,
                         .layer = layer<StackRole::decoder, false>,
                         .encoder_layer = layer<StackRole::encoder, false>,
                         .finish = finish,
                         .naming = translation_naming(StackRole::decoder),
                         .encoder_naming = translation_naming(StackRole::encoder)};

const Family mbart_family{.name = "mbart",
                          .hugging_face = {"mbart"},
                          .special = "bart with norms before the branches and a final norm in both stacks",
                          .defaults = {.tied = true},
                          .kind = ModelKind::encoder_decoder,
                          .layer = layer<StackRole::decoder, true>,
                          .encoder_layer = layer<StackRole::encoder, true>,
                          .finish = finish_mbart,
                          .naming = translation_naming(StackRole::decoder),
                          .encoder_naming = translation_naming(StackRole::encoder)};

}  // namespace llm::model
