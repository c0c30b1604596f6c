#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <string>

namespace llm {

// How much of the machine this process may use. Every count is at least 1.
struct CpuCounts {
  int affinity = 1;        // logical CPUs in the affinity mask of the calling thread
  int quota = 0;           // CPU time of the container (cgroup v1 or v2) in whole CPUs, at least 1; 0: unlimited
  int physical_cores = 1;  // distinct cores among the CPUs of the mask
};

// Reads /proc and /sys below `root` (tests give a folder of their own).
CpuCounts read_cpu_counts(const std::string& root = "");

// min(affinity, quota, physical cores).
int default_thread_count(const CpuCounts& counts);
int default_thread_count();

}  // namespace llm

#endif
