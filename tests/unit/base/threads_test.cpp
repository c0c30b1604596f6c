#include "base/threads.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace llm {
namespace {

TEST(Team, EveryWorkerRunsOnceWithItsOwnScratch) {
  for (const int n : {1, 2, 3, 4, 7}) {
    Team team(n, 100);
    std::vector<int> runs(static_cast<std::size_t>(n));
    std::vector<std::byte*> scratch(static_cast<std::size_t>(n));
    for (int repeat = 0; repeat < 3; ++repeat) {
      team.run([&](const Worker& worker) {
        ASSERT_LE(worker.n, n);
        ++runs[static_cast<std::size_t>(worker.id)];
        scratch[static_cast<std::size_t>(worker.id)] = worker.scratch.data();
        std::fill(worker.scratch.begin(), worker.scratch.end(), static_cast<std::byte>(worker.id));
      });
    }
    for (std::size_t i = 0; i < runs.size(); ++i) {
      EXPECT_EQ(runs[i], 3);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch[i]) % 64, 0u);
      if (i > 0) {
        EXPECT_GE(scratch[i] - scratch[i - 1], 100);
      }
    }
  }
}

// Plain memory on both sides of a barrier: the thread sanitizer sees whether the barrier orders it.
TEST(Team, BarrierMakesWritesVisible) {
  for (const int n : {1, 2, 3, 4}) {
    Team team(n, 64);
    std::vector<std::int64_t> values(static_cast<std::size_t>(n));
    std::int64_t wrong = 0;
    const int n_rounds = 200;
    team.run([&](const Worker& worker) {
      std::int64_t mine = 0;
      for (int round = 1; round <= n_rounds; ++round) {
        values[static_cast<std::size_t>(worker.id)] = round * 10 + worker.id;
        worker.sync();
        for (int other = 0; other < worker.n; ++other) {
          mine += values[static_cast<std::size_t>(other)] != round * 10 + other ? 1 : 0;
        }
        worker.sync();
      }
      std::atomic_ref<std::int64_t>(wrong) += mine;
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Team, HandedOutNumbersAreEachTakenOnceAndBeginAgainAfterABarrier) {
  for (const int n : {1, 2, 4}) {
    Team team(n, 64);
    std::vector<int> taken(1000);
    team.run([&](const Worker& worker) {
      for (int round = 0; round < 5; ++round) {
        for (std::int64_t i = worker.take(); i < 1000; i = worker.take()) ++taken[static_cast<std::size_t>(i)];
        worker.sync();
      }
    });
    for (const int count : taken) ASSERT_EQ(count, 5);
  }
}

TEST(Team, PartsCoverEverythingOnce) {
  for (const int n : {1, 2, 3, 5}) {
    for (const std::int64_t count : {0, 1, 2, 7, 100}) {
      std::int64_t at = 0;
      for (int id = 0; id < n; ++id) {
        const Worker worker{id, n, nullptr, {}};
        EXPECT_EQ(worker.part(count).begin, at);
        at = worker.part(count).end;
      }
      EXPECT_EQ(at, count);
    }
  }
}

TEST(Team, AnExceptionLeavesTheRegionAndReleasesWaitingWorkers) {
  for (const int n : {1, 2, 4}) {
    Team team(n, 64);
    for (int repeat = 0; repeat < 20; ++repeat) {
      for (int thrower = 0; thrower < n; ++thrower) {
        const auto body = [&](const Worker& worker) {
          if (worker.id == thrower) throw std::runtime_error("from a worker");
          worker.sync();
          worker.sync();
        };
        EXPECT_THROW(team.run(body), std::runtime_error);
      }
      int n_ran = 0;
      team.run([&](const Worker& worker) {
        std::atomic_ref<int>(n_ran) += 1;
        worker.sync();
      });
      EXPECT_EQ(n_ran, n);
    }
  }
}

TEST(Team, WaitingWorkersSleepAfterAWhile) {
  Team team(2, 64);
  const auto cpu_seconds = [] {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  team.run([](const Worker& worker) { worker.sync(); });
  const double before = cpu_seconds();
  team.run([&](const Worker& worker) {
    if (worker.id == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    worker.sync();
  });
  EXPECT_LT(cpu_seconds() - before, 0.1);
}

}  // namespace
}  // namespace llm
