#include "api/weight_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <llm/files.hpp>

namespace llm {

namespace api {

using T = TensorType;

// The last column holds the ids of general.file_type in GGUF files.
constexpr WeightRecipe recipes[] = {
    {"f32", T::F32, T::F32, T::F32, 0},
    {"f16", T::F16, T::F16, T::F16, 1},
    {"bf16", T::BF16, T::BF16, T::BF16, 32},
    {"q8_0", T::Q8_0, T::Q8_0, T::Q8_0, 7},
    {"q4_0", T::Q4_0, T::Q4_0, T::Q4_0, 2},
    {"q4_1", T::Q4_1, T::Q4_1, T::Q4_1, 3},
    {"q5_0", T::Q5_0, T::Q5_0, T::Q5_0, 8},
    {"q5_1", T::Q5_1, T::Q5_1, T::Q5_1, 9},
    {"q2_k", T::Q2_K, T::Q3_K, T::Q6_K, 10},
    {"q2_k_s", T::Q2_K, T::Q2_K, T::Q6_K, 21},
    {"q3_k", T::Q3_K, T::Q3_K, T::Q6_K, 11},
    {"q3_k_s", T::Q3_K, T::Q3_K, T::Q6_K, 11},
    {"q3_k_m", T::Q3_K, T::Q4_K, T::Q6_K, 12},
    {"q3_k_l", T::Q3_K, T::Q5_K, T::Q6_K, 13},
    {"q4_k", T::Q4_K, T::Q4_K, T::Q6_K, 14},
    {"q4_k_s", T::Q4_K, T::Q4_K, T::Q6_K, 14},
    {"q4_k_m", T::Q4_K, T::Q6_K, T::Q6_K, 15},
    {"q5_k", T::Q5_K, T::Q5_K, T::Q6_K, 16},
    {"q5_k_s", T::Q5_K, T::Q5_K, T::Q6_K, 16},
    {"q5_k_m", T::Q5_K, T::Q6_K, T::Q6_K, 17},
    {"q6_k", T::Q6_K, T::Q6_K, T::Q6_K, 18},
    {"iq4_nl", T::IQ4_NL, T::IQ4_NL, T::Q6_K, 25},
    {"iq4_xs", T::IQ4_XS, T::IQ4_XS, T::Q6_K, 30},
    {"iq1_s", T::IQ1_S, T::IQ2_XXS, T::Q5_K, 24},
    {"iq1_m", T::IQ1_M, T::IQ2_XXS, T::Q5_K, 31},
    {"iq2_xxs", T::IQ2_XXS, T::IQ2_S, T::Q5_K, 19},
    {"iq2_xs", T::IQ2_XS, T::IQ2_S, T::Q5_K, 20},
    {"iq2_s", T::IQ2_S, T::IQ3_XXS, T::Q5_K, 28},
    {"iq3_xxs", T::IQ3_XXS, T::IQ3_S, T::Q6_K, 23},
    {"iq3_s", T::IQ3_S, T::Q4_K, T::Q6_K, 26},
    {"mxfp4", T::MXFP4, T::MXFP4, T::Q8_0, 38},
    {"tq1_0", T::TQ1_0, T::TQ1_0, T::Q6_K, 36},
    {"tq2_0", T::TQ2_0, T::TQ2_0, T::Q6_K, 37},
    {"nvfp4", T::NVFP4, T::NVFP4, T::Q8_0, 39},
    {"q1_0", T::Q1_0, T::Q1_0, T::Q6_K, 40},
    {"q2_0", T::Q2_0, T::Q2_0, T::Q6_K, 41},
};

namespace {

// Where a row is no whole number of blocks of 256, a type of 32 with at least as many bits takes over; where it is no
// whole number of 32 either, F16.
TensorType fitting(TensorType type, std::int64_t n_cols) {
  if (n_cols % tensor_type_info(type).block_elements == 0) return type;
  switch (type) {
    case T::Q1_0:
    case T::Q2_0:
    case T::Q2_K:
    case T::Q3_K:
    case T::TQ1_0:
    case T::TQ2_0:
    case T::NVFP4:
      type = T::Q4_0;
      break;
    case T::Q4_K:
      type = T::Q5_0;
      break;
    case T::Q5_K:
      type = T::Q5_1;
      break;
    case T::IQ1_S:
    case T::IQ1_M:
    case T::IQ2_XXS:
    case T::IQ2_XS:
    case T::IQ2_S:
    case T::IQ3_XXS:
    case T::IQ3_S:
    case T::IQ4_XS:
      type = T::IQ4_NL;
      break;
    default:
      type = T::Q8_0;
  }
  return n_cols % tensor_type_info(type).block_elements == 0 ? type : T::F16;
}

// The layer in "blk.N.rest", or -1.
std::int64_t layer_of(std::string_view name) {
  std::int64_t layer = -1;
  if (name.rfind("blk.", 0) == 0) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

const WeightRecipe& find_weight_recipe(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string names;
  for (const WeightRecipe& recipe : recipes) {
    if (recipe.name == lower) return recipe;
    names += (names.empty() ? "" : ", ") + std::string(recipe.name);
  }
  throw Error(ErrorCode::usage, fmt::format("no weight type '{}'; expected one of {}", name, names));
}

TensorType recipe_type(const WeightRecipe& recipe, std::string_view tensor_name, std::int64_t n_cols,
                       std::int64_t n_layer) {
  TensorType type = recipe.base;
  if (tensor_name == "output.weight" || tensor_name == "token_embd.weight") {
    type = recipe.output;
  } else if (contains(tensor_name, "attn_v.") || contains(tensor_name, "ffn_down")) {
    // The first and last eighth of the layers and every third between.
    const std::int64_t layer = layer_of(tensor_name);
    const std::int64_t eighth = n_layer / 8;
    if (layer < eighth || layer >= n_layer - eighth || (layer - eighth) % 3 == 2) type = recipe.sensitive;
  }
  return fitting(type, n_cols);
}

}  // namespace api

inline namespace v1 {

std::vector<std::string> weight_recipes() {
  std::vector<std::string> names;
  for (const api::WeightRecipe& recipe : api::recipes) names.emplace_back(recipe.name);
  return names;
}

}  // namespace v1
}  // namespace llm
