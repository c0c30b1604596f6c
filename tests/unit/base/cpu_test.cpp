#include "base/cpu.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace llm {
namespace {

// A folder that looks like / to read_cpu_counts.
class FakeRoot {
 public:
  FakeRoot() : path_(std::filesystem::temp_directory_path() / ("cpu_test_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  FakeRoot& write(const std::string& file, const std::string& text) {
    const std::filesystem::path path = path_.string() + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return *this;
  }
  CpuCounts counts() const { return read_cpu_counts(path_.string()); }

 private:
  std::filesystem::path path_;
};

TEST(CpuCounts, QuotaOfVersion2IsRoundedDown) {
  FakeRoot root;
  root.write("/proc/self/cgroup", "0::/a/b\n").write("/sys/fs/cgroup/a/b/cpu.max", "350000 100000\n");
  EXPECT_EQ(root.counts().quota, 3);
}

TEST(CpuCounts, AGroupAboveMayBeStricter) {
  FakeRoot root;
  root.write("/proc/self/cgroup", "0::/a/b\n")
      .write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
      .write("/sys/fs/cgroup/a/cpu.max", "200000 100000\n")
      .write("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(root.counts().quota, 2);
}

TEST(CpuCounts, LessThanOneCpuIsOne) {
  FakeRoot root;
  root.write("/proc/self/cgroup", "0::/\n").write("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(root.counts().quota, 1);
}

TEST(CpuCounts, QuotaOfVersion1) {
  FakeRoot root;
  root.write("/proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n")
      .write("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "600000\n")
      .write("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n")
      .write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
      .write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(root.counts().quota, 6);
}

TEST(CpuCounts, NoQuotaWhereNothingReadableSaysSo) {
  EXPECT_EQ(FakeRoot().counts().quota, 0);
  FakeRoot odd;
  odd.write("/proc/self/cgroup", "\n::\n0::../../..\nx:y\n").write("/sys/fs/cgroup/cpu.max", "what 0\n");
  EXPECT_EQ(odd.counts().quota, 0);
}

TEST(CpuCounts, LogicalCpusOfOneCoreCountOnce) {
  FakeRoot root;
  for (int cpu = 0; cpu < ::sysconf(_SC_NPROCESSORS_CONF); ++cpu) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    root.write(folder + "core_id", "0\n").write(folder + "physical_package_id", "0\n");
  }
  EXPECT_EQ(root.counts().physical_cores, 1);
  EXPECT_GE(FakeRoot().counts().physical_cores, 1);
}

TEST(CpuCounts, ThreadsAreTheLeastOfAllLimits) {
  EXPECT_EQ(default_thread_count({.affinity = 8, .quota = 0, .physical_cores = 4}), 4);
  EXPECT_EQ(default_thread_count({.affinity = 2, .quota = 6, .physical_cores = 4}), 2);
  EXPECT_EQ(default_thread_count({.affinity = 8, .quota = 3, .physical_cores = 4}), 3);
  EXPECT_GE(default_thread_count(), 1);
}

}  // namespace
}  // namespace llm
