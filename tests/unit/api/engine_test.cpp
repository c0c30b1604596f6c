#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <llm/llm.hpp>
#include <thread>

#include "api/lookup.h"
#include "golden_entry.inc"
#include "temporary_folder.h"

namespace {

llm::Model golden(const std::string& name) {
  return llm::Model::load(LLM_TEST_DATA "/golden/" + name);
}

const llm::Model& llama() {
  static const llm::Model model = golden("llama-gqa");
  return model;
}

llm::Request request_of(std::vector<llm::TokenId> prompt, int n) {
  llm::Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = n;
  request.sampling.temperature = 0;
  return request;
}

llm::ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const llm::Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error.code();
  }
  return llm::ErrorCode{};
}

const llm::EngineOptions small{.n_threads = 1, .n_context = 128};
const std::vector<llm::TokenId> prompt = {5, 6, 7, 8, 9};

TEST(Engine, EndsAtTheLengthAskedFor) {
  llm::Engine engine(llama(), small);
  const llm::Result result = engine.generate(request_of(prompt, 7));
  EXPECT_EQ(result.ids.size(), 7u);
  EXPECT_EQ(result.reason, llm::FinishReason::length);
  EXPECT_EQ(result.timings.n_prompt, 5);
  EXPECT_EQ(result.timings.n_generated, 7);
  EXPECT_TRUE(engine.generate(request_of(prompt, 0)).ids.empty());
}

TEST(Engine, EndsWhenTheContextIsFull) {
  llm::Engine engine(llama(), small);
  const llm::Result result = engine.generate(request_of(prompt, -1));
  EXPECT_EQ(result.ids.size(), 123u);
  EXPECT_EQ(result.reason, llm::FinishReason::context);
}

TEST(Engine, CallbackThatSaysNoEndsTheRequest) {
  llm::Engine engine(llama(), small);
  llm::Request request = request_of(prompt, 50);
  int n = 0;
  request.on_token = [&](const llm::GeneratedToken&) { return ++n < 3; };
  const llm::Result result = engine.generate(request);
  EXPECT_EQ(result.ids.size(), 3u);
  EXPECT_EQ(result.reason, llm::FinishReason::cancelled);
}

TEST(Engine, ExceptionOfACallbackBecomesAResultAndOthersGoOn) {
  llm::Engine engine(llama(), {.n_threads = 1, .n_context = 128, .max_sequences = 2});
  llm::Request request = request_of(prompt, 50);
  request.on_token = [](const llm::GeneratedToken&) -> bool { throw std::runtime_error("no more paper"); };
  std::vector<llm::Result> results;
  engine.submit(request, [&](llm::Result r) { results.push_back(std::move(r)); });
  engine.submit(request_of(prompt, 9), [&](llm::Result r) { results.push_back(std::move(r)); });
  while (engine.step()) continue;
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].reason, llm::FinishReason::error);
  EXPECT_EQ(results[0].error, "no more paper");
  EXPECT_EQ(results[1].ids.size(), 9u);
}

TEST(Engine, CancelledRequestEndsWithTheNextStep) {
  llm::Engine engine(llama(), {.n_threads = 1, .n_context = 128, .max_sequences = 1});
  std::vector<llm::Result> results;
  const auto done = [&](llm::Result r) { results.push_back(std::move(r)); };
  const llm::Engine::Ticket running = engine.submit(request_of(prompt, 100), done);
  const llm::Engine::Ticket waiting = engine.submit(request_of(prompt, 100), done);
  engine.step();
  engine.step();
  EXPECT_EQ(engine.n_pending(), 2u);
  engine.cancel(waiting);
  engine.cancel(running);
  engine.step();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].reason, llm::FinishReason::cancelled);
  EXPECT_GE(results[0].ids.size(), 1u);
  EXPECT_EQ(results[1].ids.size(), 0u);
  EXPECT_EQ(engine.n_pending(), 0u);
  EXPECT_FALSE(engine.step());
}

TEST(Engine, RequestsComeFromAnyThread) {
  llm::Engine engine(llama(), {.n_threads = 1, .n_context = 128, .max_sequences = 4});
  std::atomic<int> n_done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        const auto ticket = engine.submit(request_of(prompt, 5), [&](llm::Result) { ++n_done; });
        if (i % 5 == 4) engine.cancel(ticket);
      }
    });
  }
  while (n_done < 40) engine.step();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_done, 40);
}

TEST(Engine, RefusesWhatCannotRun) {
  llm::Engine engine(llama(), small);
  const auto submit = [&](const llm::Request& request) {
    return code_of([&] { engine.submit(request, [](llm::Result) {}); });
  };
  EXPECT_EQ(submit(request_of({1, 80}, 3)), llm::ErrorCode::usage);
  EXPECT_EQ(submit(request_of({1, -1}, 3)), llm::ErrorCode::usage);
  EXPECT_EQ(submit(request_of(std::vector<llm::TokenId>(128, 1), 3)), llm::ErrorCode::context);
  EXPECT_EQ(submit(request_of(prompt, -2)), llm::ErrorCode::usage);
  llm::Request request = request_of(prompt, 3);
  request.stop = {"x"};
  EXPECT_EQ(submit(request), llm::ErrorCode::usage);
  request = request_of(prompt, 3);
  request.sampling.top_p = 2;
  EXPECT_EQ(submit(request), llm::ErrorCode::usage);
  request = request_of(prompt, 3);
  request.decoder_prompt = {1};
  EXPECT_EQ(submit(request), llm::ErrorCode::usage);
  EXPECT_EQ(submit(request_of({}, 3)), llm::ErrorCode::usage);
  EXPECT_EQ(code_of([&] { engine.embed({}); }), llm::ErrorCode::usage);
  EXPECT_EQ(code_of([&] { engine.embed({1}, {.pooling = "cls"}); }), llm::ErrorCode::usage);
  EXPECT_EQ(code_of([&] { engine.embed({1}, {.pooling = "most"}); }), llm::ErrorCode::usage);
  EXPECT_EQ(code_of([&] { llm::Engine bad(llama(), {.max_sequences = 0}); }), llm::ErrorCode::usage);
}

TEST(Engine, RefusesWhatDoesNotFitInMemory) {
  const auto create = [](llm::EngineOptions options) { return code_of([&] { llm::Engine engine(llama(), options); }); };
  EXPECT_EQ(create({.n_context = 64, .kv_memory = std::uint64_t{1} << 50}), llm::ErrorCode::memory);
  EXPECT_EQ(create({.n_context = std::int64_t{1} << 30}), llm::ErrorCode::memory);
}

TEST(Engine, TellsWhatItChose) {
  llm::Engine engine(llama());
  EXPECT_GT(engine.options().n_threads, 0);
  EXPECT_EQ(engine.options().n_context, llama().info().n_context_train);
  EXPECT_GT(engine.options().chunk, 0);
  const llm::MemoryPlan plan = engine.memory();
  EXPECT_EQ(plan.total, plan.weights + plan.state + plan.activations);
  EXPECT_GE(plan.weights, llama().info().file_bytes);
  EXPECT_LE(plan.total, plan.available);
}

TEST(Engine, LikelihoodIsThatOfTheLogits) {
  llm::Session session(llama(), small);
  const std::vector<llm::TokenId> completion = {10, 11, 12, 13};
  std::vector<llm::TokenId> ids = prompt;
  ids.insert(ids.end(), completion.begin(), completion.end());
  const std::vector<float> logits = session.eval_all(ids);
  const auto n_vocab = static_cast<std::size_t>(llama().info().n_vocab);
  for (const int chunk : {1, 2, 64}) {
    llm::Engine engine(llama(), {.n_threads = 1, .n_context = 128, .chunk = chunk});
    const llm::ScoreResult score = engine.score(prompt, completion);
    ASSERT_EQ(score.logprobs.size(), completion.size());
    double sum = 0;
    for (std::size_t i = 0; i < completion.size(); ++i) {
      const float* row = logits.data() + (prompt.size() - 1 + i) * n_vocab;
      double total = 0;
      for (std::size_t v = 0; v < n_vocab; ++v) total += std::exp(static_cast<double>(row[v]));
      const double expected = static_cast<double>(row[completion[i]]) - std::log(total);
      EXPECT_NEAR(score.logprobs[i], expected, 1e-5);
      EXPECT_EQ(score.greedy[i], *std::max_element(row, row + n_vocab) == row[completion[i]]);
      sum += expected;
    }
    EXPECT_NEAR(score.sum, sum, 1e-4);
  }
}

TEST(Engine, ScoresAndAnswersShareSteps) {
  llm::Engine engine(llama(), {.n_threads = 1, .n_context = 128, .max_sequences = 4});
  const llm::ScoreResult alone = engine.score(prompt, {1, 2, 3});
  std::vector<llm::ScoreResult> scores;
  for (int i = 0; i < 6; ++i) {
    engine.submit_score(prompt, {1, 2, 3}, [&](llm::ScoreResult r) { scores.push_back(std::move(r)); });
    engine.submit(request_of(prompt, 5), [](llm::Result) {});
  }
  while (engine.step()) continue;
  ASSERT_EQ(scores.size(), 6u);
  for (const llm::ScoreResult& score : scores) EXPECT_EQ(score.logprobs, alone.logprobs);
  EXPECT_TRUE(engine.score({}, {4}).logprobs.empty());
  EXPECT_TRUE(engine.score(prompt, {}).logprobs.empty());
}

TEST(Engine, EmbeddingsOfADecoderAreItsHiddenStates) {
  llm::Engine engine(llama(), small);
  const llm::EmbedResult all = engine.embed(prompt, {.pooling = "none", .normalize = false});
  const llm::EmbedResult last = engine.embed(prompt, {.pooling = "last", .normalize = false});
  const llm::EmbedResult mean = engine.embed(prompt, {.pooling = "mean", .normalize = false});
  const llm::EmbedResult unit = engine.embed(prompt, {.pooling = "mean"});
  const std::size_t width = static_cast<std::size_t>(llama().info().n_embd);
  ASSERT_EQ(all.values.size(), width * prompt.size());
  EXPECT_EQ(last.values, std::vector<float>(all.values.end() - static_cast<std::ptrdiff_t>(width), all.values.end()));
  double squares = 0;
  for (std::size_t j = 0; j < width; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < prompt.size(); ++i) sum += static_cast<double>(all.values[i * width + j]);
    EXPECT_NEAR(mean.values[j], sum / 5, 1e-6);
    squares += static_cast<double>(unit.values[j]) * static_cast<double>(unit.values[j]);
  }
  EXPECT_NEAR(squares, 1, 1e-5);
}

TEST(Engine, DraftModelNeverChangesTheAnswer) {
  llm::Engine plain(llama(), small);
  for (const char* name : {"llama-gqa", "llama-tied-bf16", "gpt2", "mamba"}) {
    llm::EngineOptions options = small;
    options.draft = golden(name);
    llm::Engine engine(llama(), options);
    for (const float temperature : {0.0f, 1.0f}) {
      llm::Request request = request_of(prompt, 60);
      request.sampling.temperature = temperature;
      const llm::Result expected = plain.generate(request);
      request.draft = 5;
      request.n_logprobs = 1;
      const llm::Result found = engine.generate(request);
      EXPECT_EQ(found.ids, expected.ids) << name;
      EXPECT_EQ(found.text, expected.text) << name;
      EXPECT_GT(found.timings.n_guessed, 0) << name;
      // The model itself is never wrong.
      if (std::string(name) == "llama-gqa") {
        EXPECT_EQ(found.timings.n_guessed_right, found.timings.n_guessed);
      }
    }
  }
}

TEST(Engine, DraftModelServesOneSequence) {
  llm::EngineOptions options = small;
  options.draft = golden("llama-bias");
  options.max_sequences = 2;
  EXPECT_EQ(code_of([&] { llm::Engine engine(llama(), options); }), llm::ErrorCode::usage);
  llm::Engine engine(llama(), small);
  llm::Request request = request_of(prompt, 5);
  request.draft = 4;
  EXPECT_EQ(code_of([&] { engine.generate(request); }), llm::ErrorCode::usage);
}

std::vector<llm::TokenId> long_prompt() {
  std::vector<llm::TokenId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(3 + (i * 7) % 70);
  return ids;
}

std::vector<float> logprobs_of(const llm::Result& result) {
  std::vector<float> values;
  for (const llm::GeneratedToken& token : result.tokens) values.push_back(token.logprob.value());
  return values;
}

const llm::EngineOptions roomy{.n_threads = 1, .n_context = 192, .kv_memory = 16 << 20};

class SavedState : public testing::TestWithParam<const char*> {};

TEST_P(SavedState, GivesTheSameBitsAsThePrompt) {
  const llm::Model model = golden(GetParam());
  const llm::test::TemporaryFolder folder;
  const std::string path = folder.file("state");
  llm::Request request = request_of(long_prompt(), 20);
  request.n_logprobs = 1;
  llm::Engine first(model, roomy);
  EXPECT_TRUE(first.load_state(path).problem.empty());
  const llm::Result expected = first.generate(request);
  const std::int64_t n = first.save_state(path, request.prompt);
  ASSERT_GE(n, 64);
  llm::Engine second(model, roomy);
  const llm::StateFile state = second.load_state(path);
  EXPECT_EQ(state.problem, "");
  EXPECT_EQ(static_cast<std::int64_t>(state.ids.size()), n);
  const llm::Result found = second.generate(request);
  EXPECT_EQ(found.timings.n_cached, std::min<std::int64_t>(n, 99));
  EXPECT_EQ(found.ids, expected.ids);
  EXPECT_EQ(logprobs_of(found), logprobs_of(expected));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SavedState,
                         testing::Values("llama-gqa", "gemma2", "jamba", "mamba2", "deepseek_v2-lite"));

TEST(StateFile, OfAnotherModelOrTypeIsRefused) {
  const llm::test::TemporaryFolder folder;
  const std::string path = folder.file("state");
  llm::Engine first(llama(), roomy);
  first.generate(request_of(long_prompt(), 2));
  ASSERT_GT(first.save_state(path, long_prompt()), 0);
  llm::EngineOptions other_type = roomy;
  other_type.kv_type = llm::KvType::f32;
  llm::Engine second(llama(), other_type);
  EXPECT_NE(second.load_state(path).problem.find("another model"), std::string::npos);
  const llm::Model other = golden("llama-bias");
  EXPECT_NE(llm::Engine(other, roomy).load_state(path).problem.find("another model"), std::string::npos);
  llm::Engine tight(llama(), {.n_threads = 1, .n_context = 64});
  EXPECT_NE(tight.load_state(path).problem, "");
  const std::string text = folder.write("notes.txt", "no state at all");
  const llm::StateFile found = second.load_state(text);
  EXPECT_FALSE(found.problem.empty());
  EXPECT_FALSE(found.may_replace);
}

TEST(StateFile, DamageIsAlwaysFound) {
  const llm::test::TemporaryFolder folder;
  const std::string path = folder.file("state");
  const llm::Request request = request_of(long_prompt(), 8);
  llm::Engine first(llama(), roomy);
  const llm::Result expected = first.generate(request);
  ASSERT_GT(first.save_state(path, request.prompt), 0);
  std::ifstream in(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  llm::Engine second(llama(), roomy);
  for (std::size_t at = 0; at < whole.size(); at += at < 1000 ? 1 : 997) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    EXPECT_NE(second.load_state(folder.write("damaged", damaged)).problem, "") << "byte " << at;
    if (at % 7 == 0) {
      EXPECT_NE(second.load_state(folder.write("damaged", whole.substr(0, at))).problem, "") << "cut at " << at;
    }
  }
  EXPECT_NE(second.load_state(folder.write("damaged", whole + "x")).problem, "");
  EXPECT_EQ(second.generate(request).ids, expected.ids);
}

TEST(Session, LogitsFollowTheIds) {
  llm::Session session(llama(), small);
  EXPECT_EQ(code_of([&] { session.logits(); }), llm::ErrorCode::usage);
  const std::vector<float> all = session.eval_all(prompt);
  const std::size_t n_vocab = static_cast<std::size_t>(llama().info().n_vocab);
  const auto row = [&](std::size_t i) {
    return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(i * n_vocab),
                              all.begin() + static_cast<std::ptrdiff_t>((i + 1) * n_vocab));
  };
  const auto now = [&] { return std::vector<float>(session.logits().begin(), session.logits().end()); };
  EXPECT_EQ(now(), row(4));
  session.truncate(3);
  EXPECT_EQ(session.ids().size(), 3u);
  EXPECT_EQ(now(), row(2));
  session.eval(std::span(prompt).subspan(3));
  EXPECT_EQ(now(), row(4));
  session.truncate(0);
  EXPECT_EQ(code_of([&] { session.logits(); }), llm::ErrorCode::usage);
}

TEST(Session, RefusedIdsLeaveItAsItWas) {
  llm::Session session(llama(), small);
  session.eval(prompt);
  const std::vector<float> before(session.logits().begin(), session.logits().end());
  EXPECT_EQ(code_of([&] { session.eval(std::vector<llm::TokenId>{1, 999}); }), llm::ErrorCode::usage);
  EXPECT_EQ(code_of([&] { session.eval(std::vector<llm::TokenId>(124, 1)); }), llm::ErrorCode::context);
  EXPECT_EQ(session.ids(), prompt);
  EXPECT_EQ(std::vector<float>(session.logits().begin(), session.logits().end()), before);
}

TEST(Session, SamplingByHandGivesWhatGenerateGives) {
  llm::SamplingOptions sampling;
  sampling.seed = 3;
  llm::Session by_hand(llama(), small), by_call(llama(), small);
  by_hand.eval(prompt);
  std::vector<llm::TokenId> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(by_hand.sample(sampling));
    by_hand.eval({&ids.back(), 1});
  }
  llm::Request request = request_of(prompt, 12);
  request.sampling = sampling;
  EXPECT_EQ(by_call.generate(request).ids, ids);
  EXPECT_EQ(by_call.ids(), by_hand.ids());
  const std::vector<float> logits(by_call.logits().begin(), by_call.logits().end());
  EXPECT_EQ(logits, std::vector<float>(by_hand.logits().begin(), by_hand.logits().end()));
}

TEST(Session, SessionsOnOneModelRunInDifferentThreads) {
  llm::Session alone(llama(), small);
  const llm::Result expected = alone.generate(request_of(prompt, 30));
  std::vector<std::vector<llm::TokenId>> answers(4);
  std::vector<std::thread> threads;
  for (auto& answer : answers) {
    threads.emplace_back([&answer] {
      llm::Session session(llama(), small);
      answer = session.generate(request_of(prompt, 30)).ids;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& answer : answers) EXPECT_EQ(answer, expected.ids);
}

TEST(Evaluation, IsTheSameInAnyChunksAndCanBeWritten) {
  llm::EvaluateOptions options;
  options.engine = {.n_threads = 1, .kv_type = llm::KvType::f32, .exact = true};
  options.hidden = true;
  const auto expected = read_arrays(LLM_TEST_DATA "/golden/llama-gqa/expected.safetensors");
  const std::vector<llm::TokenId>& ids = expected.at("input_ids").ints;
  const llm::Evaluation whole = llm::evaluate(llama(), ids, options);
  ASSERT_EQ(whole.logits.size(), expected.at("logits").floats.size());
  for (std::size_t i = 0; i < whole.logits.size(); ++i) {
    EXPECT_NEAR(whole.logits[i], expected.at("logits").floats[i], 1e-3);
  }
  ASSERT_EQ(whole.hidden.size(), static_cast<std::size_t>(llama().info().n_layer) + 1);
  options.engine.chunk = 5;
  const llm::Evaluation parts = llm::evaluate(llama(), ids, options);
  EXPECT_EQ(parts.logits, whole.logits);
  EXPECT_EQ(parts.hidden, whole.hidden);

  const llm::test::TemporaryFolder folder;
  const std::string path = (std::filesystem::path(folder.path()) / "out.safetensors").string();
  whole.save_safetensors(path);
  const auto written = read_arrays(path);
  EXPECT_EQ(written.at("logits").floats, whole.logits);
  EXPECT_EQ(written.at("logits").shape, expected.at("logits").shape);
  EXPECT_EQ(written.at("hidden.1").floats, whole.hidden[1]);
  EXPECT_EQ(written.at("input_ids").ints, ids);
}

TEST(Evaluation, OfAnEncoderGivesTheLastHiddenStates) {
  const llm::Model bert = golden("bert");
  llm::EvaluateOptions options;
  options.engine = {.n_threads = 1, .kv_type = llm::KvType::f32, .exact = true, .chunk = 5};
  options.hidden = true;
  const auto expected = read_arrays(LLM_TEST_DATA "/golden/bert/expected.safetensors");
  const llm::Evaluation found = llm::evaluate(bert, expected.at("input_ids").ints, options);
  EXPECT_TRUE(found.logits.empty());
  const std::vector<float>& rows = expected.at("last_hidden").floats;
  ASSERT_EQ(found.last_hidden.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(found.last_hidden[i], rows[i], 1e-4);
  EXPECT_EQ(found.hidden.size(), static_cast<std::size_t>(bert.info().n_layer) + 1);
}

TEST(Lookup, GuessesWhatFollowedTheSameRunBefore) {
  llm::api::Lookup lookup(8);
  const std::vector<llm::TokenId> ids = {1, 2, 3, 4, 5, 6, 9, 9, 3, 4};
  std::vector<llm::TokenId> guesses;
  lookup.guess(ids, 3, guesses);
  EXPECT_EQ(guesses, (std::vector<llm::TokenId>{5, 6, 9}));
  guesses.clear();
  lookup.learn(3, 0);
  lookup.guess(ids, 3, guesses);
  EXPECT_EQ(guesses, (std::vector<llm::TokenId>{5}));
  guesses.clear();
  lookup.guess(std::span(ids).first(1), 3, guesses);
  EXPECT_TRUE(guesses.empty());
}

}  // namespace
