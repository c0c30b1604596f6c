#include "base/arena.h"

#include <cstdint>

#include <gtest/gtest.h>
#include <llm/error.hpp>

namespace llm {
namespace {

TEST(ArenaPlan, OffsetsAreAlignedAndDisjoint) {
  ArenaPlan plan;
  EXPECT_EQ(plan.take(1), 0u);
  EXPECT_EQ(plan.take(64), 64u);
  EXPECT_EQ(plan.take(65), 128u);
  EXPECT_EQ(plan.take(0), 256u);
  EXPECT_EQ(plan.bytes(), 256u);
}

TEST(ArenaPlan, ReleasedBytesAreTakenAgainAndTheMostCounts) {
  ArenaPlan plan;
  plan.take(100);
  const std::size_t mark = plan.mark();
  plan.take(1000);
  plan.release(mark);
  EXPECT_EQ(plan.take(10), 128u);
  EXPECT_EQ(plan.bytes(), 128u + 1024u);
}

TEST(ArenaPlan, RefusesMoreThanTheAddressSpace) {
  ArenaPlan plan;
  plan.take(SIZE_MAX / 4);
  EXPECT_THROW(plan.take(SIZE_MAX / 2), Error);
}

TEST(Arena, IsAlignedAndWritable) {
  const Arena arena(1000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.at(0)) % 64, 0u);
  arena.at<float>(64)[0] = 1.5f;
  EXPECT_EQ(arena.at<float>(64)[0], 1.5f);
  EXPECT_EQ(arena.bytes().size(), 1000u);
  EXPECT_EQ(Arena(0).size(), 0u);
}

TEST(Arena, RefusesWhatDoesNotFit) {
  try {
    const Arena arena(SIZE_MAX / 2);
    FAIL() << "allocated half of the address space";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::memory);
  }
}

}  // namespace
}  // namespace llm
