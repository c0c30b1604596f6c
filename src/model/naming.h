#ifndef MODEL_NAMING_H
#define MODEL_NAMING_H

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/family.h"

namespace llm::model {

// Names that most Hugging Face folders share; a family lists only where it differs.
std::span<const TensorName> common_names();
// What GGUF files of the family call a tensor: scope ("blk.3.") and canonical name, with ".weight" or ".bias".
std::string gguf_name(const Family& family, std::string_view scope, std::string_view name);
// The name that the list gives instead, for the whole name or for all but its ending; empty if no entry fits.
std::string renamed(std::span<const TensorName> names, std::string_view scope, std::string_view name, int number);
// All names that the list gives instead, where several are in use.
std::vector<std::string> all_renamed(std::span<const TensorName> names, std::string_view scope, std::string_view name,
                                     int number);
// "{}" in a name replaced by a number.
std::string fill_number(std::string_view pattern, int number);
// Tensors that some folders and files hold although nothing reads them: masks, position numbers, tables of rotation.
bool is_inert_tensor(std::string_view name);

}  // namespace llm::model

#endif
