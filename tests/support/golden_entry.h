#ifndef SUPPORT_GOLDEN_ENTRY_H
#define SUPPORT_GOLDEN_ENTRY_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

// One folder of tests/data/golden: what it holds, and the reference results.
struct GoldenEntry {
  std::string name, family, kind;
  bool has_gguf = false;
  std::string folder() const { return std::string(LLM_TEST_DATA "/golden/") + name; }
};
std::vector<GoldenEntry> golden_entries();

struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> floats;
  std::vector<std::int32_t> ints;
};
// All tensors of a safetensors file with F32 and I32 tensors.
std::map<std::string, Array> read_arrays(const std::string& path);

#endif
