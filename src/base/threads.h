#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "base/arena.h"

namespace llm {

// Where all workers of a region meet. Waits by spinning for a bounded time, then offers its core to others, then
// sleeps: a worker whose core is taken by another process does not stop the rest for long, and no wait burns power.
class Barrier {
 public:
  // Returns when all n workers have called it; what any of them wrote before is then visible to all. Throws Stopped in
  // every worker after stop().
  void wait(int n);
  // Releases the workers that wait now or later. For a worker that leaves the region early.
  void stop();
  struct Stopped {};

  // Takes the next `count` numbers of a series that begins at 0 after each barrier: how work is handed out.
  std::int64_t take(std::int64_t count) { return next_.fetch_add(count, std::memory_order_relaxed); }

  void reset();

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
  std::atomic<bool> stopped_{false};
  alignas(64) std::atomic<std::int64_t> next_{0};
};

// One thread of a region as the operations see it.
struct Worker {
  int id = 0;  // [0, n)
  int n = 1;
  Barrier* barrier = nullptr;
  std::span<std::byte> scratch = {};  // private, 64-byte aligned; contents are of no use after an operation

  void sync() const {
    if (n > 1) {
      barrier->wait(n);
    } else {
      barrier->reset();
    }
  }
  std::int64_t take(std::int64_t count = 1) const { return barrier->take(count); }

  // This worker's part of [0, count) in n contiguous parts of nearly equal size.
  struct Part {
    std::int64_t begin, end;
  };
  Part part(std::int64_t count) const { return {count * id / n, count * (id + 1) / n}; }
};

// Opens one parallel region per step. Threads come from OpenMP's pool; its global settings are not touched. One run at
// a time per Team.
class Team {
 public:
  // Error(memory) if there is no room for the scratch.
  Team(int n_threads, std::size_t scratch_bytes_per_worker);

  int n_threads() const { return n_threads_; }

  // Calls body(worker) on n_threads threads and returns when all have returned; fewer threads if OpenMP gives fewer.
  // The first exception that a body throws is thrown here, after the others have left at their next barrier.
  // Allocates nothing once the pool's threads exist.
  template <typename Body>
  void run(Body&& body) {
    using Function = std::remove_reference_t<Body>;
    run_region([](void* f, const Worker& worker) { (*static_cast<Function*>(f))(worker); },
               const_cast<void*>(static_cast<const void*>(std::addressof(body))));
  }

 private:
  using Call = void (*)(void* body, const Worker& worker);
  void run_region(Call call, void* body);

  int n_threads_;
  std::size_t scratch_stride_;
  Arena scratch_;
  Barrier barrier_;
};

}  // namespace llm

#endif
