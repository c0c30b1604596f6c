#ifndef MODEL_SPEC_JSON_H
#define MODEL_SPEC_JSON_H

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/spec.h"

namespace llm::model {

// What a model computes, as JSON: all of the specification but what only says how its tensors lie in a file (which
// optional ones are there, names, the order of rows). Two files with equal JSON and the same weights are one model.
nlohmann::json spec_json(const ModelSpec& spec);

// The first place where two such documents differ, in words: "layers.3.ffn.width: 40 and 48"; empty if they are equal.
// Numbers are equal that agree to single precision.
std::string first_difference(const nlohmann::json& a, const nlohmann::json& b);

}  // namespace llm::model

#endif
