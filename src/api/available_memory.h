#ifndef API_AVAILABLE_MEMORY_H
#define API_AVAILABLE_MEMORY_H

#include <cstdint>
#include <string>

namespace llm::api {

// Bytes that this process could still take without pushing others out: what the system calls available, or what the
// container's limit leaves (cgroup v1 or v2; page cache does not count), whichever is less. Reads /proc and /sys below
// `root` (tests give a folder of their own).
std::uint64_t available_memory(const std::string& root = "");

}  // namespace llm::api

#endif
