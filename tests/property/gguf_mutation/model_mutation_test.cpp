#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <llm/llm.hpp>

#include "allocation_meter.h"
#include "base/thread_clock.h"
#include "gguf_fields.h"
#include "mutator.h"
#include "temporary_folder.h"

// Damaged models all the way: what the reader accepts is loaded, described, planned and run.

namespace llm {
namespace {

using test::AllocationMeter;
using test::Mutator;
using test::TemporaryFolder;

constexpr std::uint64_t seed = 20261126;
constexpr int n_mutants = 3000;
// The file has 3.8 kB; the rest is a vocabulary's tables, an engine's pool of 32 positions and its scratch.
constexpr std::size_t max_bytes = std::size_t{64} << 20;
constexpr auto max_time = std::chrono::seconds(5);

std::string valid_file() {
  std::ifstream stream(LLM_TEST_DATA "/gguf/valid.gguf", std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Loads the file and runs three tokens; true if it is a model.
bool runs(const std::string& path) {
  try {
    inspect(path);
    const Model model = Model::load(path);
    model.plan(32, KvType::f16);
    Session session(model, {.n_threads = 1, .n_context = 32});
    const std::vector<TokenId> ids = {0, 1, 0};
    session.eval(ids);
    if (const Tokenizer* tokenizer = model.tokenizer())
      tokenizer->decode(tokenizer->encode("a b", {.add_special = true}));
    return true;
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::model || error.code() == ErrorCode::context ||
                error.code() == ErrorCode::memory || error.code() == ErrorCode::usage)
        << static_cast<int>(error.code()) << " " << error.message();
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
    EXPECT_LT(error.message().size(), 1000u);
    return false;
  }
}

TEST(ModelMutation, EveryDamagedModelRunsOrIsRefusedWithinBounds) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  const TemporaryFolder folder;
  const std::string original = valid_file();
  ASSERT_TRUE(runs(folder.write("m.gguf", original)));
  const std::vector<test::Field> fields = test::GgufFields(original).list();
  Mutator mutator(seed);
  int n_running = 0;
  for (int i = 0; i < n_mutants; ++i) {
    const std::string path = folder.write("m.gguf", mutator.mutate(original, fields));
    const auto start = thread_time();
    AllocationMeter::start();
    n_running += runs(path) ? 1 : 0;
    EXPECT_LT(AllocationMeter::peak_bytes(), max_bytes) << "mutant " << i;
    EXPECT_LT(thread_time() - start, max_time) << "mutant " << i;
  }
  EXPECT_GT(n_running, n_mutants / 20) << "mutants are too wild to reach the model";
  EXPECT_LT(n_running, n_mutants * 4 / 5) << "mutants are too tame";
}

}  // namespace
}  // namespace llm
