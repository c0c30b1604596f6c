#include "allocation_count.h"

#include <cstdlib>
#include <new>

namespace {
thread_local long n_allocations = 0;
}

void* operator new(std::size_t n) {
  ++n_allocations;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace llm::sampling {

long allocation_count() {
  return n_allocations;
}

}  // namespace llm::sampling
