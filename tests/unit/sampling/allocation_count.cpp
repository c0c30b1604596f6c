#include "allocation_count.h"

#include <cstdlib>
#include <new>

namespace {
thread_local long n_allocations = 0;
}

void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  ++n_allocations;
  return std::malloc(n);
}
void* operator new(std::size_t n) {
  if (void* p = operator new(n, std::nothrow)) return p;
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
