#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sanitized.h"

// The files of the instruction sets are compiled with flags that not every machine can run. An inline function that
// leaked from one as a weak symbol could replace the portable copy that everybody else calls.

namespace llm::kernels {
namespace {

namespace fs = std::filesystem;

struct Symbol {
  char kind;
  std::string name;
};

std::vector<Symbol> defined_symbols(const fs::path& object) {
  const std::string command = "nm --defined-only '" + object.string() + "'";
  struct Close {
    void operator()(std::FILE* f) const { pclose(f); }
  };
  const std::unique_ptr<std::FILE, Close> pipe(popen(command.c_str(), "r"));
  std::vector<Symbol> symbols;
  std::array<char, 4096> line{};
  while (pipe && std::fgets(line.data(), static_cast<int>(line.size()), pipe.get()) != nullptr) {
    const std::string text = line.data();  // "0000000000000000 D name\n"
    if (text.size() > 19) symbols.push_back({text[17], text.substr(19, text.size() - 20)});
  }
  return symbols;
}

TEST(Symbols, EachInstructionSetExportsItsTableAndNothingElse) {
  const fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  int n_objects = 0;
  for (const auto& entry : fs::directory_iterator(build / "src/CMakeFiles/llm_kernels.dir/kernels")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("isa_") || !name.ends_with(".o")) continue;
    ++n_objects;
    std::vector<std::string> strong;
    for (const Symbol& symbol : defined_symbols(entry.path())) {
      const bool weak = std::string("wWvVu").find(symbol.kind) != std::string::npos;
      // Sanitizers keep one instance of their own hidden helpers per program, and unwind: the reference to the
      // personality routine is data.
      const bool of_sanitizer =
          test::is_sanitized && (symbol.name.find("asan") != std::string::npos || symbol.name.starts_with("DW.ref."));
      EXPECT_FALSE(weak && !of_sanitizer) << name << ": " << symbol.name;
      if (symbol.kind >= 'A' && symbol.kind <= 'Z' && !weak && !of_sanitizer) strong.push_back(symbol.name);
    }
    ASSERT_EQ(strong.size(), 1u) << name;
    EXPECT_NE(strong[0].find("_kernels"), std::string::npos) << name << ": " << strong[0];
  }
  EXPECT_GE(n_objects, 1);
}

}  // namespace
}  // namespace llm::kernels
