#ifndef MODEL_FAMILIES_FAMILIES_H
#define MODEL_FAMILIES_FAMILIES_H

#include "model/family.h"
#include "model/parts.h"

// The one list of families: a new one is a file in this folder, a declaration here, and a place in registry.cpp.

namespace llm::model {

extern const Family llama_family;
extern const Family qwen2_family;

}  // namespace llm::model

#endif
