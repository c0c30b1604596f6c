#ifndef TESTS_FUZZ_CONSTRAINT_WALK_H
#define TESTS_FUZZ_CONSTRAINT_WALK_H

#include <cstddef>
#include <cstdint>
#include <llm/constraint.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/constraint_state.h"

namespace llm::test {

// Compiles the input, by compile(text), and walks through what it accepts; the vocabulary is the 256 bytes. The input
// chooses the way, so that every walk is another one.
template <typename Compile>
void walk_constraint(const std::uint8_t* data, std::size_t size, const Compile& compile) {
  using namespace llm::sampling;
  static const std::string bytes = [] {
    std::string all;
    for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
    return all;
  }();
  static const TokenTable tokens(
      256, [](TokenId id) { return std::string_view(bytes).substr(static_cast<std::size_t>(id), 1); }, {});
  static const VocabularyIndex vocabulary(tokens);
  try {
    const Constraint constraint = compile(std::string_view(reinterpret_cast<const char*>(data), size));
    ConstraintState state(constraint, vocabulary);
    for (std::size_t i = 0; i < 64 && i < size; ++i) {
      const auto mask = state.mask();
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < 256; ++id) {
        if (mask->test(id)) allowed.push_back(id);
      }
      if (allowed.empty()) {
        if (!state.can_end()) __builtin_trap();
        break;
      }
      if (!state.advance(allowed[data[i] % allowed.size()])) __builtin_trap();
      state.forced_bytes(16);
    }
  } catch (const Error&) {
  }
}

}  // namespace llm::test

#endif
