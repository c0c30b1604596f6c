// Compiles foreign bytes as a grammar and walks through what it accepts.
#include <cstddef>
#include <cstdint>
#include <llm/constraint.hpp>
#include <string>
#include <string_view>

#include "sampling/constraint_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llm;
  using namespace llm::sampling;
  static const std::string bytes = [] {
    std::string all;
    for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
    return all;
  }();
  static const TokenTable tokens(
      256, [](TokenId id) { return std::string_view(bytes).substr(static_cast<std::size_t>(id), 1); }, {});
  static const VocabularyIndex vocabulary(tokens);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Constraint constraint = Constraint::gbnf(text);
    ConstraintState state(constraint, vocabulary);
    // The input chooses the way, so that every walk is another one.
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
  return 0;
}
