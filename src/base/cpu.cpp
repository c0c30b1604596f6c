#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm {
namespace {

// CPUs of the affinity mask, whatever the size of the machine.
std::vector<int> affinity_cpus() {
  for (int n_cpus = 1024; n_cpus <= 1 << 20; n_cpus *= 2) {
    std::vector<cpu_set_t> mask((static_cast<std::size_t>(n_cpus) + CPU_SETSIZE - 1) / CPU_SETSIZE);
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) != 0) continue;
    std::vector<int> cpus;
    for (int cpu = 0; cpu < n_cpus; ++cpu) {
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, mask.data())) cpus.push_back(cpu);
    }
    return cpus;
  }
  return {0};
}

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<long long> parse_number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<long long> read_number(const std::string& path) {
  const std::optional<std::string> line = first_line(path);
  return line ? parse_number(*line) : std::nullopt;
}

// CPU time per period in CPUs; nullopt without a limit.
struct Quota {
  long long micros, period;
};

// cgroup v2: "max 100000" or "150000 100000".
std::optional<Quota> read_cpu_max(const std::string& folder) {
  const std::optional<std::string> line = first_line(folder + "/cpu.max");
  if (!line) return std::nullopt;
  const std::size_t space = line->find(' ');
  if (space == std::string::npos) return std::nullopt;
  const auto micros = parse_number(std::string_view(*line).substr(0, space));
  const auto period = parse_number(std::string_view(*line).substr(space + 1));
  if (!micros || !period || *micros <= 0 || *period <= 0) return std::nullopt;
  return Quota{*micros, *period};
}

// cgroup v1: a quota of -1 is none.
std::optional<Quota> read_cfs_quota(const std::string& folder) {
  const auto micros = read_number(folder + "/cpu.cfs_quota_us");
  const auto period = read_number(folder + "/cpu.cfs_period_us");
  if (!micros || !period || *micros <= 0 || *period <= 0) return std::nullopt;
  return Quota{*micros, *period};
}

bool names_controller(std::string_view list, std::string_view controller) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == controller) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// The least quota of this process's group and all groups above it.
int read_quota(const std::string& root) {
  std::optional<int> least;
  const auto look = [&](const std::string& mount, std::string path, auto read) {
    for (;;) {
      if (const std::optional<Quota> quota = read(mount + path)) {
        const long long whole = std::clamp(quota->micros / quota->period, 1LL, 1LL << 20);
        least = std::min(least.value_or(1 << 20), static_cast<int>(whole));
      }
      if (path.empty()) return;
      path.resize(path.find_last_of('/'));
    }
  };
  // Lines "id:controllers:path"; version 2 has id 0 and no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path.empty() || path.front() != '/' || path.find("..") != std::string::npos) path.clear();
    while (!path.empty() && path.back() == '/') path.pop_back();
    const std::string mount = root + "/sys/fs/cgroup";
    if (controllers.empty()) {
      look(mount, path, read_cpu_max);
      look(mount + "/unified", path, read_cpu_max);
    } else if (names_controller(controllers, "cpu")) {
      look(mount + "/cpu", path, read_cfs_quota);
      look(mount + "/" + std::string(controllers), path, read_cfs_quota);
    }
  }
  return least.value_or(0);
}

int count_physical_cores(const std::string& root, const std::vector<int>& cpus) {
  std::set<std::pair<long long, long long>> cores;
  for (const int cpu : cpus) {
    const std::string folder = root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const auto core = read_number(folder + "core_id");
    const auto package = read_number(folder + "physical_package_id");
    if (!core || !package) return static_cast<int>(cpus.size());
    cores.emplace(*package, *core);
  }
  return static_cast<int>(cores.size());
}

}  // namespace

CpuCounts read_cpu_counts(const std::string& root) {
  const std::vector<int> cpus = affinity_cpus();
  CpuCounts counts;
  counts.affinity = std::max(1, static_cast<int>(cpus.size()));
  counts.quota = read_quota(root);
  counts.physical_cores = std::max(1, count_physical_cores(root, cpus));
  return counts;
}

int default_thread_count(const CpuCounts& counts) {
  const int n = std::min(counts.affinity, counts.physical_cores);
  return counts.quota > 0 ? std::min(n, counts.quota) : n;
}

int default_thread_count() {
  return default_thread_count(read_cpu_counts());
}

}  // namespace llm
