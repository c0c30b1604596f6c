// Opening reads the header alone: a sparse file in the shape of a 70-billion-parameter model stands for a real one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>
#include <chrono>

#include "formats/gguf_writer.h"
#include "formats/weights_file.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

constexpr int n_layers = 80;
constexpr std::int64_t n_embd = 8192;
constexpr std::int64_t n_kv = 1024;
constexpr std::int64_t n_ff = 28672;
constexpr std::int64_t n_vocab = 128256;

GgufHeader llama_70b() {
  GgufHeader header;
  header.set_string("general.architecture", "llama");
  std::vector<std::string> tokens;
  for (std::int64_t i = 0; i < n_vocab; ++i) tokens.push_back(fmt::format("token {}", i));
  header.set_strings("tokenizer.ggml.tokens", tokens);
  tokens.resize(tokens.size() * 2, "left right");
  header.set_strings("tokenizer.ggml.merges", tokens);
  const auto matrix = [&](const std::string& name, std::int64_t n_in, std::int64_t n_out) {
    header.add_tensor(name, TensorType::F16, std::vector<std::int64_t>{n_in, n_out});
  };
  matrix("token_embd.weight", n_embd, n_vocab);
  for (int i = 0; i < n_layers; ++i) {
    matrix(fmt::format("blk.{}.attn_q.weight", i), n_embd, n_embd);
    matrix(fmt::format("blk.{}.attn_k.weight", i), n_embd, n_kv);
    matrix(fmt::format("blk.{}.attn_v.weight", i), n_embd, n_kv);
    matrix(fmt::format("blk.{}.attn_output.weight", i), n_embd, n_embd);
    matrix(fmt::format("blk.{}.ffn_gate.weight", i), n_embd, n_ff);
    matrix(fmt::format("blk.{}.ffn_up.weight", i), n_embd, n_ff);
    matrix(fmt::format("blk.{}.ffn_down.weight", i), n_ff, n_embd);
  }
  matrix("output.weight", n_embd, n_vocab);
  return header;
}

class LargeFile : public ::testing::Test {
 protected:
  LargeFile() {
    const GgufHeader header = llama_70b();
    const std::vector<std::byte> start = header.encode();
    path_ = folder_.write("70b.gguf", {reinterpret_cast<const char*>(start.data()), start.size()});
    n_header_bytes_ = start.size();
    std::filesystem::resize_file(path_, start.size() + header.data_bytes());
  }

  test::TemporaryFolder folder_;
  std::string path_;
  std::size_t n_header_bytes_ = 0;
};

TEST_F(LargeFile, OpensInLessThanATwentiethOfASecond) {
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto file = WeightsFile::open(path_);
    best = std::min(best, std::chrono::steady_clock::now() - start);
    EXPECT_GT(file->file_bytes(), std::uint64_t{140} * 1000 * 1000 * 1000);
    EXPECT_EQ(file->tensors().size(), 2u + 7 * n_layers);
  }
  const double seconds = std::chrono::duration<double>(best).count();
  RecordProperty("seconds", fmt::format("{:.4f}", seconds));
  EXPECT_LT(seconds, 0.05);
}

TEST_F(LargeFile, TouchesNoPageOfTensorDataWhenOpened) {
  const auto file = WeightsFile::open(path_, {.mmap = false, .mlock = true});
  // Beyond what the system reads ahead of the header: is anything of the last tensor, or of one in the middle, in
  // memory?
  for (const char* name : {"output.weight", "blk.40.ffn_down.weight"}) {
    const TensorView* tensor = file->find_tensor(name);
    ASSERT_NE(tensor, nullptr);
    const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(tensor->data) / page * page;
    std::vector<unsigned char> resident(tensor->n_bytes / page);
    ASSERT_EQ(::mincore(reinterpret_cast<void*>(first), resident.size() * page, resident.data()), 0);
    EXPECT_EQ(std::count_if(resident.begin(), resident.end(), [](unsigned char bits) { return (bits & 1) != 0; }), 0);
    EXPECT_EQ(tensor->data[12345], std::byte{0});
    ASSERT_EQ(::mincore(reinterpret_cast<void*>(first), resident.size() * page, resident.data()), 0);
    EXPECT_GT(std::count_if(resident.begin(), resident.end(), [](unsigned char bits) { return (bits & 1) != 0; }), 0)
        << "the measurement sees pages that were touched";
  }
}

}  // namespace
}  // namespace llm::formats
