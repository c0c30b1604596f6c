#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <cstdint>

namespace llm {

// What a random number is a function of, and of nothing else: not of time, threads, or what was drawn before.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t sequence = 0;  // which sequence of a run
  std::uint64_t position = 0;  // of the token in the sequence
  std::uint32_t draw = 0;      // which number for that token
};

// 64 random bits: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
std::uint64_t random_bits(const RandomKey& key);

// In [0, 1), a multiple of 2^-53.
double random_uniform(const RandomKey& key);

}  // namespace llm

#endif
