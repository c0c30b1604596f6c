// The vocabularies are named by the environment variable LLM_BENCH_VOCABULARIES (paths with a colon between them), the
// text by LLM_BENCH_TEXT (documents end at byte 0x1e). Without them a vocabulary of bytes and a made-up text serve.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <llm/tokenizer.hpp>
#include <random>
#include <string>
#include <vector>

#include "llama2c_file.h"
#include "tokenizer/vocabulary_files.h"

namespace {

using llm::Tokenizer;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(separator); end != std::string::npos; end = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string> documents() {
  if (const char* path = std::getenv("LLM_BENCH_TEXT")) {
    std::ifstream file(path, std::ios::binary);
    return split(std::string(std::istreambuf_iterator<char>(file), {}), '\x1e');
  }
  std::mt19937 random(1);
  std::string text;
  while (text.size() < 100'000) {
    for (unsigned n = 1 + random() % 8; n > 0; --n) text += static_cast<char>('a' + random() % 26);
    text += random() % 9 == 0 ? ".\n" : " ";
  }
  return {text};
}

// Bytes and letter pairs.
std::string small_vocabulary() {
  std::vector<std::string> pairs;
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) pairs.push_back({a, b});
  }
  return llm::test::llama2c_file(pairs);
}

void encode(benchmark::State& state, const Tokenizer& tokenizer) {
  const std::vector<std::string> texts = documents();
  std::int64_t n_bytes = 0, n_ids = 0;
  for (auto _ : state) {
    for (const std::string& text : texts) {
      n_ids += static_cast<std::int64_t>(tokenizer.encode(text).size());
      n_bytes += static_cast<std::int64_t>(text.size());
    }
  }
  state.SetBytesProcessed(n_bytes);
  state.SetItemsProcessed(n_ids);
}

void decode(benchmark::State& state, const Tokenizer& tokenizer) {
  std::vector<std::vector<llm::TokenId>> ids;
  for (const std::string& text : documents()) ids.push_back(tokenizer.encode(text));
  std::int64_t n_bytes = 0;
  for (auto _ : state) {
    for (const auto& one : ids) n_bytes += static_cast<std::int64_t>(tokenizer.decode(one).size());
  }
  state.SetBytesProcessed(n_bytes);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::pair<std::string, Tokenizer>> tokenizers;
  if (const char* paths = std::getenv("LLM_BENCH_VOCABULARIES")) {
    for (const std::string& path : split(paths, ':')) {
      tokenizers.emplace_back(path.substr(path.rfind('/') + 1), Tokenizer::open(path));
      benchmark::RegisterBenchmark(("load/" + tokenizers.back().first).c_str(), [path](benchmark::State& state) {
        for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::open(path).n_vocab());
      })->Unit(benchmark::kMillisecond);
    }
  } else {
    tokenizers.emplace_back("small", llm::tokenizer::make_llama2c_tokenizer(small_vocabulary(), "small"));
  }
  for (const auto& [name, tokenizer] : tokenizers) {
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), [&one = tokenizer](benchmark::State& state) {
      encode(state, one);
    })->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("decode/" + name).c_str(), [&one = tokenizer](benchmark::State& state) {
      decode(state, one);
    })->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
