#ifndef TESTS_UNIT_FORMATS_OPEN_ERROR_H
#define TESTS_UNIT_FORMATS_OPEN_ERROR_H

#include <llm/error.hpp>
#include <optional>
#include <string>

#include "formats/weights_file.h"

namespace llm::test {

// How opening fails; nullopt if it does not.
inline std::optional<Error> open_error(const std::string& path) {
  try {
    static_cast<void>(formats::WeightsFile::open(path));
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace llm::test

#endif
