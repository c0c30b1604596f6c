#include "base/io_error.h"

#include <fmt/format.h>

#include <cstring>
#include <llm/error.hpp>

namespace llm {

void fail_io(const std::string& path, std::string_view what, int error_number) {
  throw Error(ErrorCode::io, fmt::format("{}: {}: {}", path, what, std::strerror(error_number)));
}

}  // namespace llm
