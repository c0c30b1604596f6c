#include <fmt/format.h>
#include <gtest/gtest.h>

#include <llm/error.hpp>

#include "allocation_meter.inc"
#include "formats/safetensors_reader.h"
#include "formats/weights_file.h"
#include "mutator.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

using test::AllocationMeter;
using test::Field;
using test::Mutator;
using test::TemporaryFolder;

constexpr std::uint64_t seed = 20250615;
constexpr int n_mutants = 10000;
// The least entry of some 50 bytes becomes a view, a name and a range; the JSON reader buffers one string.
constexpr std::size_t max_growth = 16;
constexpr std::size_t fixed_bytes = 64 << 10;

std::string sound_file() {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::uint64_t at = 0;
  for (int i = 0; i < 6; ++i) {
    header += fmt::format(R"(,"model.layers.{}.weight":{{"dtype":"F32","shape":[{},4],"data_offsets":[{},{}]}})", i,
                          i + 1, at, at + 16 * (i + 1u));
    at += 16 * (i + 1u);
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes + header + std::string(at, '\x3c');
}

void expect_a_sentence(const Error& error) {
  EXPECT_TRUE(error.code() == ErrorCode::model || error.code() == ErrorCode::io) << error.message();
  EXPECT_LT(error.message().size(), 1000u);
  for (const char c : error.message()) EXPECT_TRUE(c >= ' ' && c <= '~') << error.message();
}

TEST(SafetensorsMutation, EveryDamagedFileLoadsOrIsRefusedWithinBounds) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::string original = sound_file();
  // Every digit of the header counts as a field of one byte, beside the length.
  std::vector<Field> fields = {{0, 8}};
  for (std::size_t i = 8; i < original.size(); ++i) {
    if (original[i] >= '0' && original[i] <= '9') fields.push_back({i, 1});
  }
  EXPECT_NO_THROW(parse_safetensors(std::as_bytes(std::span(original)), "original"));
  Mutator mutator(seed);
  int n_loaded = 0;
  int n_refused = 0;
  std::uint64_t sum = 0;
  for (int i = 0; i < n_mutants; ++i) {
    const std::string mutant = mutator.mutate(original, fields);
    const std::vector<char> bytes(mutant.begin(), mutant.end());
    AllocationMeter::start();
    try {
      const SafetensorsPart part = parse_safetensors(std::as_bytes(std::span(bytes)), "mutant");
      EXPECT_LE(AllocationMeter::peak_bytes(), max_growth * bytes.size() + fixed_bytes) << "mutant " << i;
      for (const TensorView& tensor : part.tensors) {
        for (std::uint64_t k = 0; k < tensor.n_bytes; ++k) sum += static_cast<std::uint64_t>(tensor.data[k]);
      }
      ++n_loaded;
    } catch (const Error& error) {
      EXPECT_LE(AllocationMeter::peak_bytes(), max_growth * bytes.size() + fixed_bytes) << "mutant " << i;
      expect_a_sentence(error);
      ++n_refused;
    }
  }
  RecordProperty("sum", std::to_string(sum));
  EXPECT_GT(n_loaded, n_mutants / 50);
  EXPECT_GT(n_refused, n_mutants / 5);
}

TEST(SafetensorsMutation, DamagedIndexesLoadOrAreRefused) {
  SCOPED_TRACE("seed " + std::to_string(seed + 1));
  const TemporaryFolder folder;
  folder.write("config.json", "{}");
  folder.write("a.safetensors", sound_file());
  const std::string index = R"({"metadata":{"total_size":336},"weight_map":{"model.layers.0.weight":"a.safetensors",)"
                            R"("model.layers.5.weight":"a.safetensors"}})";
  Mutator mutator(seed + 1);
  int n_loaded = 0;
  int n_refused = 0;
  for (int i = 0; i < 1000; ++i) {
    folder.write("model.safetensors.index.json", mutator.mutate(index, {}));
    try {
      static_cast<void>(WeightsFile::open(folder.path()));
      ++n_loaded;
    } catch (const Error& error) {
      expect_a_sentence(error);
      ++n_refused;
    }
  }
  EXPECT_GT(n_loaded, 20);
  EXPECT_GT(n_refused, 200);
}

}  // namespace
}  // namespace llm::formats
