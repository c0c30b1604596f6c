#ifndef TESTS_SUPPORT_ALLOCATION_METER_H
#define TESTS_SUPPORT_ALLOCATION_METER_H

#include <cstddef>

namespace llm::test {

// Counts what operator new hands out, in programs that include allocation_meter.inc in one of their sources.
class AllocationMeter {
 public:
  // Begins a measurement: the peak is counted from what is live now.
  static void start();
  // Most bytes live at once since start(), beyond those live then.
  static std::size_t peak_bytes();
  // How often operator new was called since start().
  static std::size_t n_allocations();
};

}  // namespace llm::test

#endif
