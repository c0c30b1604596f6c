#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "golden_entry.inc"

// The default model beside its float32 reference: tests/data/golden/smollm2.

namespace {

std::string model_path() {
  if (const char* path = std::getenv("LLM_TEST_MODEL")) return path;
  return LLM_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

const llm::Model& model() {
  static const llm::Model loaded = llm::Model::load(model_path());
  return loaded;
}

const std::map<std::string, Array>& expected() {
  static const std::map<std::string, Array> arrays = read_arrays(LLM_TEST_DATA "/golden/smollm2/expected.safetensors");
  return arrays;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Prompt {
  std::string name, text;
  const std::vector<llm::TokenId>& ids() const { return expected().at(name + ".input_ids").ints; }
  const std::vector<llm::TokenId>& greedy() const { return expected().at(name + ".greedy").ints; }
};

std::vector<Prompt> prompts() {
  std::vector<Prompt> result;
  const auto file = nlohmann::json::parse(read_text(LLM_TEST_DATA "/golden/smollm2/prompts.json"));
  for (const auto& item : file["prompts"]) result.push_back({item["name"], item.value("prompt", "")});
  return result;
}

llm::EngineOptions exact() {
  return {.n_context = 2048, .kv_type = llm::KvType::f32, .exact = true, .max_sequences = 6};
}

llm::Request greedy_request(const std::vector<llm::TokenId>& prompt, int n) {
  llm::Request request;
  request.prompt = prompt;
  request.max_tokens = n;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  return request;
}

TEST(SmolLM2, TokenizesThePromptsAsTheReference) {
  for (const Prompt& prompt : prompts()) {
    if (prompt.text.empty()) continue;
    EXPECT_EQ(model().tokenizer()->encode(prompt.text, {.parse_special = true}), prompt.ids()) << prompt.name;
  }
}

TEST(SmolLM2, GreedyIdsAreThoseOfTheReference) {
  llm::Engine engine(model(), exact());
  std::map<std::string, llm::Result> results;
  for (const Prompt& prompt : prompts()) {
    engine.submit(greedy_request(prompt.ids(), 64), [&, name = prompt.name](llm::Result r) { results[name] = r; });
  }
  while (engine.step()) continue;
  for (const Prompt& prompt : prompts()) {
    EXPECT_EQ(results[prompt.name].ids, prompt.greedy()) << prompt.name;
    EXPECT_EQ(results[prompt.name].reason, llm::FinishReason::length);
    // Without an unfinished character at the end.
    const std::string text = model().tokenizer()->decode(prompt.greedy());
    EXPECT_TRUE(text.starts_with(results[prompt.name].text)) << prompt.name;
    EXPECT_LT(text.size() - results[prompt.name].text.size(), 4u) << prompt.name;
  }
}

TEST(SmolLM2, TwentyBestLogitsAreThoseOfTheReference) {
  for (const Prompt& prompt : prompts()) {
    llm::Session session(model(), exact());
    session.eval(prompt.ids());
    const std::vector<llm::TokenId>& ids = expected().at(prompt.name + ".top_ids").ints;
    const std::vector<float>& logits = expected().at(prompt.name + ".top_logits").floats;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      EXPECT_NEAR(session.logits()[static_cast<std::size_t>(ids[i])], logits[i], 2e-3) << prompt.name << " rank " << i;
    }
  }
}

TEST(SmolLM2, DefaultModeKeepsTheGreedyIdsWhileTheGapIsWide) {
  llm::Engine engine(model(), {.n_context = 2048});
  for (const Prompt& prompt : prompts()) {
    const llm::Result result = engine.generate(greedy_request(prompt.ids(), 64));
    const std::vector<float>& gap = expected().at(prompt.name + ".gap").floats;
    ASSERT_EQ(result.ids.size(), 64u);
    for (std::size_t i = 0; i < gap.size() && gap[i] >= 0.3f; ++i) {
      EXPECT_EQ(result.ids[i], prompt.greedy()[i]) << prompt.name << " step " << i;
    }
  }
}

double mean_nll(const llm::EngineOptions& options) {
  const std::vector<llm::TokenId>& ids = expected().at("nll.ids").ints;
  EXPECT_EQ(model().tokenizer()->encode(read_text(LLM_TEST_DATA "/golden/smollm2/nll.txt")), ids);
  llm::Engine engine(model(), options);
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t begin = 0; begin < ids.size(); begin += 512) {
    const std::size_t end = std::min(begin + 512, ids.size());
    const std::vector<llm::TokenId> chunk(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                          ids.begin() + static_cast<std::ptrdiff_t>(end));
    const llm::ScoreResult score = engine.score({}, chunk);
    EXPECT_EQ(score.error, "");
    EXPECT_EQ(score.logprobs.size(), chunk.size() - 1);
    sum -= score.sum;
    n += score.logprobs.size();
  }
  EXPECT_EQ(n, 1603u);
  return sum / static_cast<double>(n);
}

TEST(SmolLM2, LikelihoodOfATextIsThatOfTheReference) {
  const double reference = static_cast<double>(expected().at("nll.mean").floats[0]);
  EXPECT_NEAR(mean_nll(exact()) / reference, 1, 0.001);
  EXPECT_NEAR(mean_nll({.n_context = 512}) / reference, 1, 0.005);
}

TEST(SmolLM2, StopStringEndsTheAnswerBeforeIt) {
  llm::Engine engine(model(), exact());
  const Prompt code = prompts()[1];
  const std::string whole = engine.generate(greedy_request(code.ids(), 32)).text;
  // Any part of the text, wherever tokens end in it.
  for (const std::size_t begin : {1u, 20u, 33u}) {
    for (const std::size_t length : {1u, 9u}) {
      ASSERT_LT(begin + length, whole.size());
      const std::string stop = whole.substr(begin, length);
      llm::Request request = greedy_request(code.ids(), 32);
      request.stop = {"no such text", stop};
      std::string streamed;
      request.on_token = [&](const llm::GeneratedToken& token) {
        streamed += token.text;
        return true;
      };
      const llm::Result result = engine.generate(request);
      EXPECT_EQ(result.text, whole.substr(0, whole.find(stop)));
      EXPECT_EQ(streamed, result.text);
      EXPECT_EQ(result.reason, llm::FinishReason::stop);
      EXPECT_EQ(result.stop_text, stop);
    }
  }
}

TEST(SmolLM2, EndTokenEndsTheAnswer) {
  llm::Engine engine(model(), exact());
  const Prompt chat = prompts()[2];
  llm::Request request = greedy_request(chat.ids(), 400);
  request.ignore_eos = false;
  const llm::Result result = engine.generate(request);
  EXPECT_EQ(result.reason, llm::FinishReason::stop);
  EXPECT_EQ(result.stop_text, "<|im_end|>");
  for (const llm::TokenId id : result.ids) EXPECT_FALSE(model().tokenizer()->is_end_of_generation(id));
  EXPECT_EQ(result.text, model().tokenizer()->decode(result.ids));
}

TEST(SmolLM2, StreamGivesWholeCharactersOnly) {
  llm::Engine engine(model(), exact());
  const Prompt chinese = prompts()[3];
  for (int n = 1; n < 12; ++n) {
    llm::Request request = greedy_request(chinese.ids(), n);
    std::string streamed;
    request.on_token = [&](const llm::GeneratedToken& token) {
      streamed += token.text;
      if (!token.text.empty()) {
        EXPECT_NE(static_cast<unsigned char>(token.text.front()) & 0xc0, 0x80);
      }
      return true;
    };
    const llm::Result result = engine.generate(request);
    EXPECT_EQ(streamed, result.text);
    EXPECT_NO_THROW(nlohmann::json(streamed).dump()) << "not UTF-8 after " << n << " tokens";
  }
}

TEST(SmolLM2, LookupChangesNothing) {
  const std::string text = read_text(LLM_TEST_DATA "/golden/smollm2/nll.txt").substr(0, 1200);
  llm::Engine engine(model(), {.n_context = 2048, .share_prefixes = false});
  for (const float temperature : {0.0f, 0.9f}) {
    llm::Request request = greedy_request(model().tokenizer()->encode(text + "\n\n" + text.substr(0, 300)), 96);
    request.sampling.temperature = temperature;
    request.sampling.repeat_penalty = 1.05f;
    request.n_logprobs = 3;
    const llm::Result plain = engine.generate(request);
    for (const int lookup : {1, 4, 16}) {
      request.lookup = lookup;
      const llm::Result guessed = engine.generate(request);
      EXPECT_EQ(guessed.ids, plain.ids);
      EXPECT_EQ(guessed.text, plain.text);
      ASSERT_EQ(guessed.tokens.size(), plain.tokens.size());
      for (std::size_t i = 0; i < plain.tokens.size(); ++i) {
        EXPECT_EQ(guessed.tokens[i].logprob, plain.tokens[i].logprob);
      }
    }
  }
}

TEST(SmolLM2, SeedGivesOneTextWhateverElseRuns) {
  llm::Request request = greedy_request(prompts()[0].ids(), 40);
  request.sampling.seed = 7;
  request.sampling.temperature = 1.1f;
  llm::Engine alone(model(), {.n_threads = 1, .n_context = 512});
  const llm::Result reference = alone.generate(request);
  llm::Engine among(model(), {.n_threads = 2, .n_context = 512, .max_sequences = 4, .chunk = 5});
  std::vector<llm::Result> results;
  for (int i = 0; i < 4; ++i) {
    llm::Request other = request;
    other.sequence_key = static_cast<std::uint64_t>(i);
    among.submit(other, [&](llm::Result r) { results.push_back(std::move(r)); });
  }
  while (among.step()) continue;
  int n_same = 0;
  for (const llm::Result& r : results) n_same += r.ids == reference.ids ? 1 : 0;
  EXPECT_EQ(n_same, 1);
}

TEST(SmolLM2, ConstrainedAnswersBelongToTheLanguage) {
  const std::vector<llm::TokenId> chat = prompts()[2].ids();
  const llm::Constraint schema = llm::Constraint::json_schema(
      R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "length_in_km": {"type": "integer"},
          "ends_in": {"enum": ["sea", "lake", "river"]}}, "required": ["name", "length_in_km", "ends_in"],
          "additionalProperties": false})",
      {});
  llm::Engine engine(model(), {.n_context = 512, .max_sequences = 4});
  for (const llm::Constraint& constraint :
       {schema, llm::Constraint::choice({"Rhine", "Rhone", "Danube"}), llm::Constraint::regex("[0-9]{3}-[a-f]{2}")}) {
    llm::Request request = greedy_request(chat, 120);
    request.constraint = constraint;
    const llm::Result plain = engine.generate(request);
    ASSERT_EQ(plain.error, "");
    EXPECT_EQ(plain.reason, llm::FinishReason::stop);
    EXPECT_TRUE(constraint.accepts(plain.text)) << plain.text;
    EXPECT_EQ(model().tokenizer()->decode(plain.ids), plain.text);
    // Log-probabilities and guesses change nothing.
    request.n_logprobs = 2;
    const llm::Result told = engine.generate(request);
    EXPECT_EQ(told.ids, plain.ids);
    ASSERT_EQ(told.tokens.size(), plain.ids.size());
    request.lookup = 6;
    const llm::Result guessed = engine.generate(request);
    EXPECT_EQ(guessed.ids, plain.ids);
    for (std::size_t i = 0; i < plain.ids.size(); ++i) {
      EXPECT_EQ(told.tokens[i].id, plain.ids[i]);
      EXPECT_EQ(told.tokens[i].logprob, guessed.tokens[i].logprob);
    }
    request.n_logprobs = 0;
    EXPECT_EQ(engine.generate(request).ids, plain.ids);
    llm::Session session(model(), {.n_context = 512});
    request.lookup = 0;
    EXPECT_EQ(session.generate(request).text, plain.text);
    request.max_tokens = 2;
    EXPECT_LE(engine.generate(request).ids.size(), 2u);
  }
}

TEST(SmolLM2, ForcedTokensAreNotRunOneByOne) {
  llm::Engine engine(model(), {.n_context = 512});
  llm::Request request = greedy_request(prompts()[0].ids(), 100);
  const std::string text = "the one and only answer that this constraint allows is spelled out in full here";
  request.constraint = llm::Constraint::choice({text});
  int n_steps = 0;
  std::optional<llm::Result> result;
  engine.submit(request, [&](llm::Result r) { result = std::move(r); });
  while (!result && engine.step()) ++n_steps;
  EXPECT_EQ(result->text, text);
  EXPECT_LE(n_steps, 4);
}

}  // namespace
