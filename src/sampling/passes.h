#ifndef SAMPLING_PASSES_H
#define SAMPLING_PASSES_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace llm::sampling {

// Passes over a whole row of logits, written so that compilers vectorise them. Sums run in a fixed order that depends
// on the row alone. A block is 64 neighbouring logits, one word of a TokenMask.
inline constexpr std::size_t block_size = 64;

// block_max[b] = largest logit of block b. False: some logit is not finite.
bool scan_blocks(std::span<const float> logits, std::span<float> block_max);

// Largest of up to 64 logits.
float max_of_block(std::span<const float> block);

// Sums over the logits >= floor in blocks whose maximum is >= floor; floor may be -infinity, logits of -infinity count
// as absent. x = (logit - max) * scale <= 0.
struct SoftmaxSums {
  double weight = 0;    // sum of exp(x)
  double weighted = 0;  // sum of x * exp(x)
  std::int64_t n = 0;
};
SoftmaxSums softmax_sums(std::span<const float> logits, std::span<const float> block_max, float floor, float max,
                         float scale);

struct Spread {
  double mean = 0, variance = 0;  // population
};
Spread spread(std::span<const float> logits, std::span<const float> block_max, float floor, float max);

}  // namespace llm::sampling

#endif
