#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <llm/error.hpp>

#include "allocation_meter.inc"
#include "base/thread_clock.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "gguf_fields.h"
#include "mutator.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

using test::AllocationMeter;
using test::Field;
using test::Mutator;
using test::TemporaryFolder;

constexpr std::uint64_t seed = 20250614;
constexpr int n_mutants = 20000;
// A metadata pair of 14 bytes becomes a map node of some 150; nothing else takes more for its bytes.
constexpr std::size_t max_growth = 16;
constexpr std::size_t fixed_bytes = 64 << 10;
constexpr auto max_time = std::chrono::seconds(2);

struct Seed {
  std::string name;
  std::string bytes;
  std::vector<Field> fields;
};

std::string shared_file(const std::string& name) {
  std::ifstream stream(std::string(LLM_TEST_DATA) + "/gguf/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Every value type, long arrays, tensors of many types.
std::string rich_file() {
  GgufHeader header;
  header.set_string("general.architecture", "llama");
  header.set_bool("a.bool", true);
  header.set_u16("a.u16", 7);
  header.set_i32("a.i32", -7);
  header.set_f32("a.f32", 0.5f);
  header.set("a.u64", {ValueType::u64, std::uint64_t{1} << 40});
  header.set("a.i8", {ValueType::i8, std::int64_t{-3}});
  header.set("a.f64", {ValueType::f64, 0.25});
  header.set_i32s("a.i32s", std::vector<std::int32_t>{1, -2, 3});
  header.set_f32s("a.f32s", std::vector<float>(50, 1.5f));
  header.set_bools("a.bools", {true, false, true});
  header.set_strings("tokenizer.ggml.tokens", std::vector<std::string>(40, "token"));
  int index = 0;
  for (const TensorType type :
       {TensorType::F32, TensorType::Q4_K, TensorType::Q8_0, TensorType::MXFP4, TensorType::I8}) {
    header.add_tensor("blk." + std::to_string(index++) + ".weight", type, std::vector<std::int64_t>{256, 2, 1, 2});
  }
  const std::vector<std::byte> start = header.encode();
  std::string bytes(reinterpret_cast<const char*>(start.data()), start.size());
  bytes.resize(bytes.size() + header.data_bytes(), '\x5a');
  return bytes;
}

std::vector<Seed> seeds() {
  std::vector<Seed> list;
  for (const char* name : {"valid.gguf", "alignment-64.gguf", "array-of-arrays.gguf", "split-ok-00001-of-00002.gguf",
                           "split-ok-00002-of-00002.gguf"}) {
    list.push_back({name, shared_file(name), {}});
  }
  list.push_back({"rich", rich_file(), {}});
  for (Seed& entry : list) entry.fields = test::GgufFields(entry.bytes).list();
  return list;
}

// Uses everything a file offers, so that a view out of bounds would be touched.
std::uint64_t touch(const Metadata& metadata, std::span<const TensorView> tensors) {
  std::uint64_t sum = 0;
  const auto attempt = [&](auto find) {
    try {
      find();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model);
    }
  };
  for (const auto& [name, entry] : metadata.entries()) {
    const std::string& key = name;
    attempt([&] { sum += metadata.find_uint(key).has_value(); });
    attempt([&] { sum += metadata.find_int(key).has_value(); });
    attempt([&] { sum += metadata.find_float(key).has_value(); });
    attempt([&] { sum += metadata.find_bool(key).has_value(); });
    attempt([&] { sum += metadata.find_string(key)->size(); });
    attempt([&] { sum += metadata.find_ints(key)->size(); });
    attempt([&] { sum += metadata.find_floats(key)->size(); });
    attempt([&] { sum += metadata.find_bools(key)->size(); });
    attempt([&] {
      const std::vector<std::string_view> items = metadata.find_strings(key).value();
      for (const std::string_view item : items) {
        for (const char c : item) sum += static_cast<unsigned char>(c);
      }
    });
  }
  for (const TensorView& tensor : tensors) {
    for (std::uint64_t i = 0; i < tensor.n_bytes; ++i) sum += static_cast<std::uint64_t>(tensor.data[i]);
  }
  return sum;
}

void expect_a_sentence(const Error& error) {
  EXPECT_TRUE(error.code() == ErrorCode::model || error.code() == ErrorCode::io) << error.message();
  EXPECT_LT(error.message().size(), 1000u);
  for (const char c : error.message()) EXPECT_TRUE(c >= ' ' && c <= '~') << error.message();
}

TEST(GgufMutation, EveryDamagedFileLoadsOrIsRefusedWithinBounds) {
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::vector<Seed> originals = seeds();
  for (const Seed& original : originals) {
    ASSERT_GT(original.fields.size(), 20u) << original.name;
    EXPECT_NO_THROW(parse_gguf(std::as_bytes(std::span(original.bytes)), original.name));
  }
  Mutator mutator(seed);
  int n_loaded = 0;
  int n_refused = 0;
  std::uint64_t sum = 0;
  for (int i = 0; i < n_mutants; ++i) {
    const Seed& original = originals[static_cast<std::size_t>(i) % originals.size()];
    const std::string mutant = mutator.mutate(original.bytes, original.fields);
    // A copy of exactly its size, so that the address sanitizer sees every step beyond the end.
    const std::vector<char> bytes(mutant.begin(), mutant.end());
    const auto start = thread_time();
    AllocationMeter::start();
    try {
      const GgufPart part = parse_gguf(std::as_bytes(std::span(bytes)), "mutant");
      EXPECT_LE(AllocationMeter::peak_bytes(), max_growth * bytes.size() + fixed_bytes) << "mutant " << i;
      sum += touch(part.metadata, part.tensors);
      ++n_loaded;
    } catch (const Error& error) {
      EXPECT_LE(AllocationMeter::peak_bytes(), max_growth * bytes.size() + fixed_bytes) << "mutant " << i;
      expect_a_sentence(error);
      ++n_refused;
    }
    EXPECT_LT(thread_time() - start, max_time) << "mutant " << i;
  }
  RecordProperty("sum", std::to_string(sum));
  EXPECT_GT(n_loaded, n_mutants / 20) << "mutants are too wild to reach deep checks";
  EXPECT_GT(n_refused, n_mutants / 5) << "mutants are too tame";
}

TEST(GgufMutation, DamagedFilesOnDiskLoadOrAreRefused) {
  SCOPED_TRACE("seed " + std::to_string(seed + 1));
  const TemporaryFolder folder;
  Mutator mutator(seed + 1);
  const std::vector<Seed> originals = seeds();
  const Seed& first = originals[3];
  const Seed& second = originals[4];
  int n_loaded = 0;
  int n_refused = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool in_first = i % 2 == 0;
    const std::string path =
        folder.write("m-00001-of-00002.gguf", in_first ? mutator.mutate(first.bytes, first.fields) : first.bytes);
    folder.write("m-00002-of-00002.gguf", in_first ? second.bytes : mutator.mutate(second.bytes, second.fields));
    try {
      const auto file = WeightsFile::open(path, {.mmap = i % 3 != 0});
      file->load();
      touch(file->metadata(), file->tensors());
      ++n_loaded;
    } catch (const Error& error) {
      expect_a_sentence(error);
      ++n_refused;
    }
  }
  EXPECT_GT(n_loaded, 50);
  EXPECT_GT(n_refused, 200);
}

}  // namespace
}  // namespace llm::formats
