#include "api/available_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace llm::api {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;  // "max" is no number
}

// The number after a key in a file of "key number" lines.
std::optional<std::uint64_t> read_field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t value = 0;
    if (words >> name && name == key && words >> value) return value;
  }
  return std::nullopt;
}

std::uint64_t left_of(std::uint64_t limit, std::uint64_t used, std::uint64_t cache) {
  const std::uint64_t taken = used - std::min(used, cache);
  return limit - std::min(limit, taken);
}

// What the limits of a folder and its parents leave.
std::uint64_t left_in_folder(const std::string& base, std::string folder, const std::string& limit_file,
                             const std::string& usage_file, const std::string& active_key,
                             const std::string& inactive_key) {
  std::uint64_t left = unlimited;
  while (true) {
    const std::string at = base + folder;
    if (const auto limit = read_number(at + "/" + limit_file)) {
      const std::uint64_t cache = read_field(at + "/memory.stat", active_key).value_or(0) +
                                  read_field(at + "/memory.stat", inactive_key).value_or(0);
      left = std::min(left, left_of(*limit, read_number(at + "/" + usage_file).value_or(0), cache));
    }
    const std::size_t slash = folder.rfind('/');
    if (folder.empty() || slash == std::string::npos) return left;
    folder.resize(slash);
  }
}

std::uint64_t left_in_cgroup(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  std::uint64_t left = unlimited;
  std::string line;
  while (std::getline(groups, line)) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    std::string folder = line.substr(second + 1);
    if (folder == "/") folder.clear();
    if (controllers == ",,") {
      left = std::min(left, left_in_folder(root + "/sys/fs/cgroup", folder, "memory.max", "memory.current",
                                           "active_file", "inactive_file"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      left = std::min(left, left_in_folder(root + "/sys/fs/cgroup/memory", folder, "memory.limit_in_bytes",
                                           "memory.usage_in_bytes", "total_active_file", "total_inactive_file"));
    }
  }
  return left;
}

}  // namespace

std::uint64_t available_memory(const std::string& root) {
  const auto kilobytes = read_field(root + "/proc/meminfo", "MemAvailable:");
  return std::min(kilobytes ? *kilobytes * 1024 : unlimited, left_in_cgroup(root));
}

}  // namespace llm::api
