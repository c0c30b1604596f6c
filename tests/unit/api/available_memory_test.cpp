#include "api/available_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "temporary_folder.h"

namespace {

TEST(AvailableMemory, IsWhatTheContainerLeaves) {
  const llm::test::TemporaryFolder folder;
  const std::filesystem::path root(folder.path());
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  };
  write("proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable:    1000000 kB\n");
  EXPECT_EQ(llm::api::available_memory(root.string()), 1'024'000'000u);
  write("proc/self/cgroup", "0::/job/one\n");
  write("sys/fs/cgroup/job/memory.max", "600000000\n");
  write("sys/fs/cgroup/job/memory.current", "300000000\n");
  write("sys/fs/cgroup/job/memory.stat", "anon 5\nactive_file 50000000\ninactive_file 50000000\n");
  write("sys/fs/cgroup/job/one/memory.max", "max\n");
  EXPECT_EQ(llm::api::available_memory(root.string()), 400'000'000u);
  write("sys/fs/cgroup/job/one/memory.max", "100000000\n");
  write("sys/fs/cgroup/job/one/memory.current", "200000000\n");
  EXPECT_EQ(llm::api::available_memory(root.string()), 0u);
  write("proc/self/cgroup", "5:cpu,memory:/old\n");
  write("sys/fs/cgroup/memory/old/memory.limit_in_bytes", "700000000\n");
  write("sys/fs/cgroup/memory/old/memory.usage_in_bytes", "100000000\n");
  EXPECT_EQ(llm::api::available_memory(root.string()), 600'000'000u);
}

}  // namespace
