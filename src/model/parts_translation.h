#ifndef MODEL_PARTS_TRANSLATION_H
#define MODEL_PARTS_TRANSLATION_H

#include <string_view>
#include <vector>

#include "model/family.h"
#include "model/parts.h"

// Neutral pieces of the encoder-decoders that descend from the Transformer of 2017: biases everywhere, a plain
// feed-forward, norms after the branches (or before them, then also one at the end of each stack).

namespace llm::model {

enum class StackRole : std::uint8_t { encoder, decoder };

// The epsilon is a constant of these models.
Norm translation_norm();
// A layer of one stack; heads and widths as encoder_* and decoder_* of config.json say.
Layer translation_layer(const Hyper& h, StackRole role, bool norms_before, Activation act);

// Embedding of both stacks: scale_embedding, positions (those of a file's table count for sinusoids too).
void set_translation_embedding(const Hyper& h, ModelSpec& m, Positions positions, int position_offset,
                               bool scale_by_default = false);

// Names of tensors in one stack: "encoder." or "decoder." below the body's prefix.
Naming translation_naming(StackRole role);

}  // namespace llm::model

#endif
