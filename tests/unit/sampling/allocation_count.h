#ifndef TESTS_UNIT_SAMPLING_ALLOCATION_COUNT_H
#define TESTS_UNIT_SAMPLING_ALLOCATION_COUNT_H

namespace llm::sampling {

// Calls of operator new by this thread.
long allocation_count();

}  // namespace llm::sampling

#endif
