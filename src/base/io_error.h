#ifndef BASE_IO_ERROR_H
#define BASE_IO_ERROR_H

#include <string>
#include <string_view>

namespace llm {

// Throws Error(io): the path, what failed, and the system's reason for `error_number` (errno).
[[noreturn]] void fail_io(const std::string& path, std::string_view what, int error_number);

}  // namespace llm

#endif
