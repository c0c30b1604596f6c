#include "base/threads.h"

#include <omp.h>
#include <sched.h>

#include <exception>
#include <thread>
#include <vector>

namespace llm {
namespace {

// A wait spins for some 20 microseconds, which covers the uneven ends of operations; then it offers its core to whoever
// wants it, for some milliseconds: the worker it waits for may be queued there. Then it sleeps.
constexpr int n_spins = 500;
constexpr int n_yields = 5000;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Waits for the number to be something else than `old`.
template <typename T>
void wait_while(const std::atomic<T>& number, T old) {
  for (int i = 0; i < n_spins; ++i) {
    if (number.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  for (int i = 0; i < n_yields; ++i) {
    if (number.load(std::memory_order_acquire) != old) return;
    sched_yield();
  }
  while (number.load(std::memory_order_acquire) == old) number.wait(old, std::memory_order_acquire);
}

std::size_t align_up(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

#if defined(__SANITIZE_THREAD__)
constexpr bool openmp_is_instrumented = false;
#else
constexpr bool openmp_is_instrumented = true;
#endif

}  // namespace

void Barrier::wait(int n) {
  const int round = round_.load(std::memory_order_seq_cst);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == n - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
    // Sequentially consistent: the sleepers' count that notify_all reads must not be read before this store.
    round_.store(round + 1, std::memory_order_seq_cst);
    round_.notify_all();
  } else {
    if (stopped_.load(std::memory_order_seq_cst)) throw Stopped{};
    wait_while(round_, round);
  }
  if (stopped_.load(std::memory_order_relaxed)) throw Stopped{};
}

void Barrier::stop() {
  stopped_.store(true, std::memory_order_seq_cst);
  round_.fetch_add(1, std::memory_order_seq_cst);
  round_.notify_all();
}

void Barrier::reset() {
  arrived_.store(0, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  stopped_.store(false, std::memory_order_relaxed);
}

Team::Team(int n_threads, std::size_t scratch_bytes_per_worker)
    : n_threads_(n_threads < 1 ? 1 : n_threads),
      scratch_stride_(align_up(scratch_bytes_per_worker)),
      scratch_(scratch_stride_ * static_cast<std::size_t>(n_threads_)) {}

void Team::run_region(Call call, void* body) {
  std::exception_ptr first_error;
  std::atomic<bool> has_error{false};
  barrier_.reset();
  std::atomic<int> n_left{0};
  const auto work = [&](int id, int n) noexcept {
    const std::size_t offset = static_cast<std::size_t>(id) * scratch_stride_;
    const Worker worker{id, n, &barrier_, {scratch_.at(offset), scratch_stride_}};
    try {
      call(body, worker);
    } catch (const Barrier::Stopped&) {
      // Another worker's exception is on its way.
    } catch (...) {
      if (!has_error.exchange(true)) first_error = std::current_exception();
      barrier_.stop();
    }
    // The end of an OpenMP region spins without ever yielding: the first worker goes there last.
    if (id > 0) {
      n_left.fetch_add(1, std::memory_order_acq_rel);
      n_left.notify_one();
    } else {
      for (int left = n_left.load(); left < n - 1; left = n_left.load()) wait_while(n_left, left);
    }
  };
  if (n_threads_ == 1) {
    work(0, 1);
  } else if (openmp_is_instrumented) {
#pragma omp parallel num_threads(n_threads_) default(none) shared(work)
    work(omp_get_thread_num(), omp_get_num_threads());
  } else {
    // The thread sanitizer does not see how libgomp hands over; with plain threads it does.
    std::vector<std::thread> others;
    for (int id = 1; id < n_threads_; ++id) others.emplace_back(work, id, n_threads_);
    work(0, n_threads_);
    for (std::thread& other : others) other.join();
  }
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace llm
