#include "base/random.h"

#include <array>

namespace llm {
namespace {

// Finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose output bits depend on all input bits.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

std::uint32_t low(std::uint64_t x) {
  return static_cast<std::uint32_t>(x);
}
std::uint32_t high(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}

}  // namespace

std::uint64_t random_bits(const RandomKey& key) {
  // The sequence joins the seed in the 64-bit key: for one seed the keys of different sequences differ.
  std::uint64_t k = mix(key.seed + 0x9e3779b97f4a7c15u) ^ mix(key.sequence);
  std::array<std::uint32_t, 4> c = {low(key.position), high(key.position), key.draw, 0};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xd2511f53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xcd9e8d57u} * c[2];
    c = {high(p1) ^ c[1] ^ low(k), low(p1), high(p0) ^ c[3] ^ high(k), low(p0)};
    // Both halves of the key advance by their own constant.
    k = std::uint64_t{high(k) + 0xbb67ae85u} << 32 | (low(k) + 0x9e3779b9u);
  }
  return std::uint64_t{c[1]} << 32 | c[0];
}

double random_uniform(const RandomKey& key) {
  return static_cast<double>(random_bits(key) >> 11) * 0x1p-53;
}

}  // namespace llm
