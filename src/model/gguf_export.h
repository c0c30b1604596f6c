#ifndef MODEL_GGUF_EXPORT_H
#define MODEL_GGUF_EXPORT_H

#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "formats/weights_file.h"
#include "model/bound_tensor.h"
#include "model/family.h"
#include "model/hyper.h"

namespace llm::model {

// What a GGUF file of a model holds, without its vocabulary.
struct GgufExport {
  std::string architecture;
  GgufKeys keys;                      // without the architecture's prefix
  std::vector<BoundTensor> tensors;   // final names in `name`; rows in the file's order
  int n_token_types = 0;              // of encoders, at least 1
  std::vector<std::string> left_out;  // tensors of the folder that such files have no place for
};

// From the same declaration that reads the folder: keys and tensors are those that its binding asked for, and the
// result is bound as a GGUF file again, from the header alone; whatever that would compute otherwise than the folder is
// refused by name. Throws Error(model | usage). Rows refer to `folder`, which must outlive the result.
GgufExport export_gguf(const formats::WeightsFile& folder);

// Sets the keys in a file's header, under the architecture's prefix.
void set_keys(formats::GgufHeader& header, const std::string& architecture, const GgufKeys& keys);

// Keys and tensors that llmgen reads from such a file and the field's other engines do not: they compute otherwise, or
// refuse the file.
std::vector<std::string> unread_elsewhere(const GgufExport& plan);

// Keys that follow from what the model computes, whatever the family.
GgufKeys keys_of(const ModelSpec& spec);

}  // namespace llm::model

#endif
