#ifndef API_WEIGHT_RECIPE_H
#define API_WEIGHT_RECIPE_H

#include <cstdint>
#include <string>
#include <string_view>

#include "base/tensor_type.h"

namespace llm::api {

// Which type each matrix of a model gets. The mixtures give more bits to the matrices that suffer most, as the usual
// files of that name do: the value and down projections of some layers, and the output.
struct WeightRecipe {
  std::string_view name;
  TensorType base;
  TensorType sensitive;     // attn_v and ffn_down of the layers where more bits help
  TensorType output;        // output.weight, or the embedding that serves as it
  std::uint32_t file_type;  // general.file_type
};

// Throws Error(usage) that lists the names.
const WeightRecipe& find_weight_recipe(const std::string& name);

// The type for a matrix of rows of n_cols; types whose blocks do not fit the row give way to one that does.
TensorType recipe_type(const WeightRecipe& recipe, std::string_view tensor_name, std::int64_t n_cols,
                       std::int64_t n_layer);

}  // namespace llm::api

#endif
