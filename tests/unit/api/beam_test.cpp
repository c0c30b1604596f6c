#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "golden_entry.h"
#include "temporary_folder.h"

// Beam search through the engine, against searches of transformers (tests/data/beams) and against itself.

namespace {

using llm::TokenId;
using nlohmann::json;

const json& cases() {
  static const json all = [] {
    std::ifstream in(LLM_TEST_DATA "/beams/cases.json");
    return json::parse(in);
  }();
  return all;
}

std::vector<TokenId> tokens(const json& value) {
  return value.is_array() ? value.get<std::vector<TokenId>>() : std::vector<TokenId>{value.get<TokenId>()};
}

// A golden model that ends its answers with these tokens.
class Folder {
 public:
  Folder(const std::string& name, const std::vector<TokenId>& ends) {
    const std::string from = LLM_TEST_DATA "/golden/" + name;
    for (const char* file : {"config.json", "model.safetensors"}) {
      std::filesystem::create_symlink(from + "/" + file, folder_.file(file));
    }
    folder_.write("generation_config.json", json{{"eos_token_id", ends}}.dump());
  }
  std::string path() const { return folder_.path(); }

 private:
  llm::test::TemporaryFolder folder_;
};

std::vector<TokenId> source_of(const std::string& name) {
  return read_arrays(LLM_TEST_DATA "/golden/" + name + "/expected.safetensors").at("input_ids").ints;
}

llm::Request request_of(const json& options, std::vector<TokenId> prompt) {
  llm::Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = options["max_new_tokens"];
  request.beams.n = options["num_beams"];
  request.beams.length_penalty = options["length_penalty"];
  const json& stop = options["early_stopping"];
  request.beams.stop = stop == "never" ? llm::BeamStop::never
                       : stop == true  ? llm::BeamStop::full
                                       : llm::BeamStop::open;
  llm::TokenRules rules;
  if (options.contains("forced_bos_token_id")) rules.first = options["forced_bos_token_id"].get<TokenId>();
  if (options.contains("forced_eos_token_id")) rules.last = options["forced_eos_token_id"].get<TokenId>();
  rules.min_tokens = options.value("min_new_tokens", 0);
  rules.no_repeat_ngram = options.value("no_repeat_ngram_size", 0);
  if (options.contains("bad_words_ids"))
    rules.banned = options["bad_words_ids"].get<std::vector<std::vector<TokenId>>>();
  request.rules = rules;
  return request;
}

const llm::EngineOptions exact{.n_threads = 2, .n_context = 60, .kv_type = llm::KvType::f32, .exact = true};

TEST(BeamSearch, FindsWhatTransformersFinds) {
  ASSERT_GE(cases().size(), 50u);
  for (const json& c : cases()) {
    SCOPED_TRACE(c["model"].get<std::string>() + " " + c["options"].dump());
    const std::vector<TokenId> ends = tokens(c["options"]["eos_token_id"]);
    const Folder folder(c["model"], ends);
    llm::EngineOptions options = exact;
    options.max_sequences = c["options"]["num_beams"];
    llm::Engine engine(llm::Model::load(folder.path()), options);
    const llm::Result result = engine.generate(request_of(c["options"], source_of(c["model"])));
    ASSERT_EQ(result.error, "");
    std::size_t n_expected = 0;
    for (const json& beam : c["beams"]) n_expected += beam["score"] > -1e8 ? 1 : 0;
    ASSERT_EQ(result.beams.size(), n_expected);
    for (std::size_t i = 0; i < n_expected; ++i) {
      std::vector<TokenId> expected = c["beams"][i]["ids"];
      const bool ended = std::find(ends.begin(), ends.end(), expected.back()) != ends.end();
      if (ended) expected.pop_back();
      EXPECT_EQ(result.beams[i].ids, expected) << "answer " << i;
      EXPECT_NEAR(result.beams[i].score, c["beams"][i]["score"].get<double>(), 2e-3) << "answer " << i;
      EXPECT_EQ(result.beams[i].reason, ended ? llm::FinishReason::stop : llm::FinishReason::length);
    }
    EXPECT_EQ(result.ids, result.beams.front().ids);
  }
}

std::vector<std::pair<std::vector<TokenId>, double>> answers_of(const llm::Result& result) {
  std::vector<std::pair<std::vector<TokenId>, double>> answers;
  for (const llm::BeamAnswer& beam : result.beams) answers.emplace_back(beam.ids, beam.score);
  return answers;
}

// Bit for bit the same with one beam a step, any number of threads, beside other requests, and with so little memory
// that beams have to give up their state.
TEST(BeamSearch, DoesNotDependOnHowItIsRun) {
  const json options = {{"num_beams", 4}, {"max_new_tokens", 20}, {"length_penalty", 1.0}, {"early_stopping", false}};
  for (const char* name : {"t5", "marian", "llama-gqa", "mamba", "mistral-swa"}) {
    SCOPED_TRACE(name);
    const Folder folder(name, {5, 9});
    const llm::Model model = llm::Model::load(folder.path());
    llm::EngineOptions plain = exact;
    plain.max_sequences = 4;
    const auto reference = answers_of(llm::Engine(model, plain).generate(request_of(options, source_of(name))));
    ASSERT_EQ(reference.size(), 4u);
    for (const int max_sequences : {1, 3, 9}) {
      llm::EngineOptions other = exact;
      other.max_sequences = max_sequences;
      other.n_threads = max_sequences == 3 ? 3 : 1;
      other.chunk = 7;
      if (max_sequences == 3) other.kv_memory = model.plan(60, llm::KvType::f32).state;
      llm::Engine engine(model, other);
      std::vector<llm::Result> results;
      for (int i = 0; i < 3; ++i) {
        engine.submit(request_of(options, source_of(name)), [&](llm::Result r) { results.push_back(std::move(r)); });
        llm::Request neighbour = request_of(options, {3, 4, 5 + i});
        neighbour.beams.n = 1;
        engine.submit(std::move(neighbour), [](const llm::Result& r) { EXPECT_EQ(r.error, ""); });
      }
      while (engine.step()) continue;
      ASSERT_EQ(results.size(), 3u);
      for (const llm::Result& result : results)
        EXPECT_EQ(answers_of(result), reference) << max_sequences << " sequences";
    }
  }
}

TEST(BeamSearch, TellsTokensWithTheirLogProbabilities) {
  const Folder folder("t5", {});
  llm::Engine engine(llm::Model::load(folder.path()), exact);
  llm::Request request = request_of(
      {{"num_beams", 3}, {"max_new_tokens", 8}, {"length_penalty", 0.0}, {"early_stopping", false}}, source_of("t5"));
  request.n_logprobs = 2;
  std::vector<TokenId> told;
  request.on_token = [&](const llm::GeneratedToken& token) {
    told.push_back(token.id);
    return true;
  };
  const llm::Result result = engine.generate(request);
  EXPECT_EQ(told, result.ids);
  ASSERT_EQ(result.tokens.size(), result.ids.size());
  double sum = 0;
  for (std::size_t i = 0; i < result.tokens.size(); ++i) {
    EXPECT_EQ(result.tokens[i].id, result.ids[i]);
    EXPECT_EQ(result.tokens[i].top.size(), 2u);
    sum += static_cast<double>(*result.tokens[i].logprob);
  }
  ASSERT_EQ(result.reason, llm::FinishReason::length);
  EXPECT_NEAR(sum, result.beams.front().score, 1e-4);
}

// All answers that a small language has over a vocabulary of 16 tokens, scored one by one.
TEST(BeamSearch, BesideAConstraintFindsTheBestAnswersOfTheLanguage) {
  const llm::Model model = llm::Model::load(LLM_TEST_DATA "/gguf/valid.gguf");
  llm::Engine engine(model, {.n_threads = 2, .n_context = 32, .kv_type = llm::KvType::f32, .exact = true});
  const llm::Constraint language = llm::Constraint::regex("[abc]{1,2}|cd");
  const std::vector<TokenId>& ends = model.tokenizer()->special().end_of_generation;
  ASSERT_EQ(ends.size(), 1u);
  llm::Request request;
  request.prompt = {3, 7, 9};
  request.max_tokens = 8;
  request.constraint = language;
  request.beams = {.n = 32, .length_penalty = 0, .stop = llm::BeamStop::never};
  std::vector<std::pair<double, std::vector<TokenId>>> expected;
  for (TokenId first = 0; first < 16; ++first) {
    for (TokenId second = -1; second < 16; ++second) {
      std::vector<TokenId> ids = {first};
      std::string text(model.tokenizer()->token_text(first));
      if (second >= 0) {
        ids.push_back(second);
        text += model.tokenizer()->token_text(second);
      }
      if (!language.accepts(text)) continue;
      std::vector<TokenId> whole = ids;
      whole.push_back(ends.front());
      expected.emplace_back(engine.score(request.prompt, whole).sum, ids);
    }
  }
  std::sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  ASSERT_GT(expected.size(), 10u);
  const llm::Result result = engine.generate(request);
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.beams.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(result.beams[i].ids, expected[i].second) << "answer " << i;
    EXPECT_NEAR(result.beams[i].score, expected[i].first, 1e-4) << "answer " << i;
    EXPECT_EQ(result.beams[i].reason, llm::FinishReason::stop);
  }
  // A narrow search gives answers of the language too.
  request.beams.n = 2;
  for (const llm::BeamAnswer& answer : engine.generate(request).beams) EXPECT_TRUE(language.accepts(answer.text));
}

TEST(BeamSearch, CanBeCancelled) {
  const Folder folder("marian", {5});
  llm::Engine engine(llm::Model::load(folder.path()), exact);
  std::optional<llm::Result> result;
  const auto ticket = engine.submit(
      request_of({{"num_beams", 3}, {"max_new_tokens", 40}, {"length_penalty", 1.0}, {"early_stopping", false}},
                 source_of("marian")),
      [&](llm::Result r) { result = std::move(r); });
  for (int i = 0; i < 8; ++i) engine.step();
  engine.cancel(ticket);
  while (engine.step()) continue;
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->reason, llm::FinishReason::cancelled);
  EXPECT_FALSE(result->ids.empty());
  EXPECT_EQ(engine.n_pending(), 0u);
}

TEST(BeamSearch, RefusesWhatDoesNotGoWithIt) {
  const Folder folder("t5", {5});
  llm::Engine engine(llm::Model::load(folder.path()), exact);
  const auto refused = [&](const std::function<void(llm::Request&)>& change) {
    llm::Request request;
    request.prompt = {4, 5};
    request.beams.n = 2;
    change(request);
    try {
      engine.submit(request, {});
    } catch (const llm::Error& error) {
      return error.code() == llm::ErrorCode::usage;
    }
    return false;
  };
  EXPECT_TRUE(refused([](llm::Request& r) { r.beams.n = 65; }));
  EXPECT_TRUE(refused([](llm::Request& r) { r.beams.n = 0; }));
  EXPECT_TRUE(refused([](llm::Request& r) { r.beams.length_penalty = NAN; }));
  EXPECT_TRUE(refused([](llm::Request& r) { r.sampling.logit_bias = {{3, 1.0f}}; }));
  EXPECT_TRUE(refused([](llm::Request& r) { r.rules = llm::TokenRules{.first = 80}; }));
  EXPECT_TRUE(refused([](llm::Request& r) { r.decoder_prompt = {80}; }));
  EXPECT_FALSE(refused([](llm::Request&) {}));
}

// Encoder-decoders through the engine without a search: the golden's greedy continuation.
TEST(EncoderDecoder, ContinuesTheTargetAfterTheSource) {
  for (const GoldenEntry& entry : golden_entries()) {
    const auto arrays = read_arrays(entry.folder() + "/expected.safetensors");
    if (!arrays.contains("decoder_input_ids")) continue;
    SCOPED_TRACE(entry.name);
    llm::Engine engine(llm::Model::load(entry.folder()), exact);
    llm::Request request;
    request.prompt = arrays.at("input_ids").ints;
    request.decoder_prompt = arrays.at("decoder_input_ids").ints;
    request.sampling.temperature = 0;
    request.max_tokens = 16;
    EXPECT_EQ(engine.generate(request).ids, arrays.at("greedy").ints);
    const llm::ScoreResult score = engine.score(arrays.at("input_ids").ints, {7, 8, 9});
    EXPECT_EQ(score.error, "");
    EXPECT_EQ(score.logprobs.size(), 3u);
  }
}

TEST(EncoderDecoder, FollowsTheRulesOfItsFolder) {
  llm::test::TemporaryFolder folder;
  const std::string from = LLM_TEST_DATA "/golden/m2m_100/";
  for (const char* file : {"config.json", "model.safetensors"})
    std::filesystem::create_symlink(from + file, folder.file(file));
  const auto run = [&](const json& config) {
    folder.write("generation_config.json", config.dump());
    llm::Engine engine(llm::Model::load(folder.path()), exact);
    llm::Request request;
    request.prompt = source_of("m2m_100");
    request.sampling.temperature = 0;
    request.max_tokens = 6;
    return engine.generate(request).ids;
  };
  const std::vector<TokenId> plain = run(json::object());
  ASSERT_EQ(plain.size(), 6u);
  EXPECT_EQ(run({{"forced_bos_token_id", 44}}).front(), 44);
  EXPECT_NE(run({{"decoder_start_token_id", 40}}), plain);
  const std::vector<TokenId> banned = run({{"bad_words_ids", {{plain[0]}}}, {"suppress_tokens", {plain[1]}}});
  EXPECT_EQ(std::count(banned.begin(), banned.end(), plain[0]), 0);
  EXPECT_EQ(std::count(banned.begin(), banned.end(), plain[1]), 0);
  EXPECT_NE(run({{"begin_suppress_tokens", {plain[0]}}}).front(), plain[0]);
  EXPECT_TRUE(run({{"eos_token_id", plain[0]}}).empty());
  EXPECT_EQ(run({{"eos_token_id", plain[0]}, {"min_length", 4}}).size() >= 3, true);
  const std::vector<TokenId> distinct = run({{"no_repeat_ngram_size", 1}});
  EXPECT_EQ(std::set<TokenId>(distinct.begin(), distinct.end()).size(), distinct.size());
  EXPECT_THROW(run({{"forced_bos_token_id", "de"}}), llm::Error);
  EXPECT_THROW(run({{"early_stopping", 3}}), llm::Error);
}

}  // namespace
