#ifndef MODEL_NAMING_H
#define MODEL_NAMING_H

#include <span>

#include "model/family.h"

namespace llm::model {

// Names that most Hugging Face folders share; a family lists only where it differs.
std::span<const TensorName> common_names();
// Tensors that some folders and files hold although nothing reads them: masks, position numbers, tables of rotation.
bool is_inert_tensor(std::string_view name);

}  // namespace llm::model

#endif
