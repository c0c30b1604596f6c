#include "model/families/families.h"

namespace llm::model {
namespace {

const Family* const all[] = {
    &llama_family,
    &qwen2_family,
};

}  // namespace

std::span<const Family* const> families() {
  return all;
}

}  // namespace llm::model
