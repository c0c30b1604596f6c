#include "tokenizer/pretokenizer_table.h"

#include <algorithm>

#include "tokenizer/run_splitters.h"
#include "tokenizer/word_splitter.h"

namespace llm::tokenizer {

namespace {

constexpr PreTokenizer kPreTokenizers[] = {
    {"default", SplitRule::standard},
    {"gpt-2", SplitRule::gpt2},
    {"phi-2", SplitRule::gpt2},
    {"jina-es", SplitRule::gpt2},
    {"jina-de", SplitRule::gpt2},
    {"gigachat", SplitRule::gpt2},
    {"jina-v2-es", SplitRule::gpt2},
    {"jina-v2-de", SplitRule::gpt2},
    {"a.x-4.0", SplitRule::gpt2},
    {"mellum", SplitRule::gpt2},
    {"modern-bert", SplitRule::gpt2},
    {"exaone4", SplitRule::gpt2},
    {"mpt", SplitRule::gpt2},
    {"olmo", SplitRule::gpt2},
    {"jais", SplitRule::gpt2},
    {.name = "jina-v1-en", .rule = SplitRule::gpt2, .add_sep = true},
    {.name = "jina-v2-code", .rule = SplitRule::gpt2, .add_sep = true},
    {.name = "roberta-bpe", .rule = SplitRule::gpt2, .add_sep = true},
    {.name = "trillion", .rule = SplitRule::gpt2, .clean_spaces = false},
    {.name = "granite-docling", .rule = SplitRule::gpt2, .clean_spaces = false},
    {.name = "llama3", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-bpe", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon3", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon-h1", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "pixtral", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "midm-2.0", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "lfm2", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {.name = "jina-v5-nano", .rule = SplitRule::llama3, .ignore_merges = true, .add_bos = true},
    {"dbrx", SplitRule::llama3},
    {"smaug-bpe", SplitRule::llama3},
    {.name = "chatglm-bpe", .rule = SplitRule::llama3, .no_default_bos = true},
    {.name = "glm4", .rule = SplitRule::llama3, .ignore_merges = true, .no_default_bos = true},
    {.name = "glm5", .rule = SplitRule::llama3, .ignore_merges = true, .no_default_bos = true},
    {"jais-2", SplitRule::jais2},
    {.name = "minicpm5", .rule = SplitRule::minicpm5, .ignore_merges = true},
    {.name = "qwen2", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "deepseek-r1-qwen", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "kormo", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "f2llmv2", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "hunyuan", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "solar-open", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "grok-2", .rule = SplitRule::qwen2, .clean_spaces = false},
    {"megrez", SplitRule::qwen2},
    {"stablelm2", SplitRule::qwen2},
    {.name = "qwen35", .rule = SplitRule::qwen35, .clean_spaces = false},
    {.name = "laguna", .rule = SplitRule::laguna, .clean_spaces = false},
    {.name = "ufakzeka", .rule = SplitRule::ufakzeka, .clean_spaces = false},
    {.name = "bailingmoe", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "bailingmoe2", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "llada-moe", .rule = SplitRule::qwen2, .clean_spaces = false},
    {.name = "seed-coder", .rule = SplitRule::seed_coder, .clean_spaces = false},
    {"exaone-moe", SplitRule::exaone_moe},
    {"starcoder", SplitRule::starcoder},
    {"refact", SplitRule::starcoder},
    {"codeshell", SplitRule::starcoder},
    {"exaone", SplitRule::starcoder},
    {"minerva-7b", SplitRule::starcoder},
    {"mellum2", SplitRule::starcoder},
    {.name = "command-r", .rule = SplitRule::starcoder, .clean_spaces = false},
    {.name = "smollm", .rule = SplitRule::starcoder, .clean_spaces = false},
    {"falcon", SplitRule::falcon},
    {.name = "deepseek-coder", .rule = SplitRule::deepseek_coder, .clean_spaces = false},
    {.name = "deepseek-llm", .rule = SplitRule::deepseek_llm, .clean_spaces = false},
    {.name = "deepseek-v3", .rule = SplitRule::deepseek_v3, .clean_spaces = false},
    {.name = "hunyuan-dense", .rule = SplitRule::deepseek_v3, .clean_spaces = false},
    {.name = "joyai-llm", .rule = SplitRule::deepseek_v3, .clean_spaces = false},
    {.name = "hy_v4", .rule = SplitRule::deepseek_v3, .clean_spaces = false},
    {.name = "spark2_5", .rule = SplitRule::spark, .clean_spaces = false},
    {.name = "gpt-4o", .rule = SplitRule::o200k, .clean_spaces = false},
    {.name = "llama4", .rule = SplitRule::o200k, .clean_spaces = false},
    {.name = "kanana2", .rule = SplitRule::o200k, .clean_spaces = false},
    {.name = "talkie", .rule = SplitRule::o200k, .clean_spaces = false},
    {.name = "minimax-m2", .rule = SplitRule::o200k, .clean_spaces = false},
    {.name = "granite-embed-multi-97m", .rule = SplitRule::o200k, .ignore_merges = true, .clean_spaces = false},
    {.name = "tekken", .rule = SplitRule::tekken, .ignore_merges = true, .add_bos = true, .clean_spaces = false},
    {.name = "tiny_aya", .rule = SplitRule::tiny_aya, .clean_spaces = false},
    {.name = "cohere2moe", .rule = SplitRule::tiny_aya, .clean_spaces = false},
    {.name = "youtu", .rule = SplitRule::youtu, .ignore_merges = true, .clean_spaces = false},
    {.name = "kimi-k2", .rule = SplitRule::kimi_k2, .clean_spaces = false},
    {.name = "afmoe", .rule = SplitRule::afmoe, .clean_spaces = false},
    {.name = "superbpe", .rule = SplitRule::superbpe, .clean_spaces = false},
    {.name = "chameleon", .rule = SplitRule::chameleon, .add_bos = true, .clean_spaces = false},
    {.name = "poro-chat", .rule = SplitRule::bloom, .clean_spaces = false},
    {"bloom", SplitRule::bloom},
    {"gpt3-finnish", SplitRule::bloom},
    {.name = "viking", .rule = SplitRule::viking, .clean_spaces = false},
    {.name = "gemma4", .rule = SplitRule::lines, .byte_level = false, .force_bos = true},
    {.name = "granite-embed-multi-311m", .rule = SplitRule::lines, .byte_level = false, .force_bos = true},
    {.name = "sarvam-moe", .rule = SplitRule::lines, .clean_spaces = false, .byte_level = false},
    {.name = "whitespace", .rule = SplitRule::white_space, .byte_level = false},
};

using Words = WordRule::Words;
using Tail = WordRule::Tail;
using Spaces = WordRule::Spaces;
using Contractions = WordRule::Contractions;

constexpr WordRule kGpt2{.contractions = Contractions::lower_case,
                         .words = Words::space_letters,
                         .space_before_digits = true,
                         .max_digits = WordRule::kNoLimit,
                         .tail = Tail::none,
                         .spaces = Spaces::plain};
constexpr WordRule kLlama3{};
constexpr WordRule kQwen2{.max_digits = 1};
constexpr WordRule kQwen35{
    .letters = kLetter | kMark, .max_digits = 1, .punctuation_excludes = kWhiteSpace | kLetter | kMark | kNumber};
constexpr WordRule kO200k{.contractions = Contractions::none,
                          .words = Words::cased,
                          .contraction_suffix = true,
                          .tail = Tail::newlines_slashes};
constexpr WordRule kDeepSeek3{.ascii_punctuation_words = true,
                              .contractions = Contractions::none,
                              .letters = kLetter | kMark,
                              .prefix_excludes = kNewline | kLetter | kPunctuation | kSymbol,
                              .digits = false,
                              .punctuation_includes = kPunctuation | kSymbol};

constexpr WordRule with_digits(WordRule rule, unsigned max_digits) {
  rule.max_digits = max_digits;
  return rule;
}

struct KnownPattern {
  std::string_view pattern;
  WordRule rule;
};

constexpr KnownPattern kKnownPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", kGpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     kLlama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     kQwen2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     kQwen35},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     kO200k},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     kDeepSeek3},
};

struct KnownRun {
  std::string_view pattern;
  RunRule rule;
};

constexpr KnownRun kKnownRuns[] = {
    {R"(\p{N}{1,3})", {class_number, false, 3}},
    {R"(\p{N})", {class_number, false, 1}},
    {R"(\p{N}+)", {class_number, false, 0}},
    {R"([\r\n])", {class_newline, false, 1}},
    {R"(\s?\p{L}+)", {class_letter, true, 0}},
    {R"(\s?\p{P}+)", {class_punctuation, true, 0}},
    {R"([^\n]+|[\n]+)", {class_line, false, 0}},
    {R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)", {class_kana_ideograph, false, 0}},
    {"[一-龥\u3040-ゟ゠-ヿ]+", {class_kana_ideograph, false, 0}},
};

class ChainBuilder {
 public:
  ChainBuilder& words(const WordRule& rule) { return add(make_word_splitter(rule)); }
  ChainBuilder& runs(CharClass char_class, unsigned max_length = 0) {
    return add(make_run_splitter({char_class, false, max_length}));
  }
  ChainBuilder& spaced_runs(CharClass char_class) { return add(make_run_splitter({char_class, true, 0})); }
  ChainBuilder& add(std::unique_ptr<const Splitter> stage) {
    chain_.add(std::move(stage));
    return *this;
  }
  SplitterChain take() { return std::move(chain_); }

 private:
  SplitterChain chain_;
};

}  // namespace

std::span<const PreTokenizer> pretokenizers() {
  return kPreTokenizers;
}

const PreTokenizer* find_pretokenizer(std::string_view name) {
  const auto* found = std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers),
                                   [name](const PreTokenizer& p) { return p.name == name; });
  return found == std::end(kPreTokenizers) ? nullptr : found;
}

SplitterChain make_splitter(SplitRule rule) {
  ChainBuilder chain;
  switch (rule) {
    case SplitRule::standard:
      chain.runs(class_default_punctuation).words(kGpt2).runs(class_number).add(make_digit_triple_splitter());
      break;
    case SplitRule::gpt2:
      chain.words(kGpt2);
      break;
    case SplitRule::llama3:
      chain.words(kLlama3);
      break;
    case SplitRule::jais2: {
      WordRule words = kLlama3;
      words.spaces = Spaces::powers_of_two;
      chain.words(words);
      break;
    }
    case SplitRule::minicpm5:
      chain.runs(class_number, 3).words(with_digits(kLlama3, WordRule::kNoLimit));
      break;
    case SplitRule::qwen2:
      chain.words(kQwen2);
      break;
    case SplitRule::qwen35:
      chain.words(kQwen35);
      break;
    case SplitRule::laguna:
      chain.runs(class_line).words(kQwen2);
      break;
    case SplitRule::ufakzeka: {
      WordRule words = kQwen2;
      words.contractions = Contractions::none;
      chain.words(words);
      break;
    }
    case SplitRule::seed_coder: {
      WordRule words = kQwen2;
      words.tail = Tail::none;
      chain.words(words);
      break;
    }
    case SplitRule::exaone_moe: {
      WordRule words = kQwen2;
      words.words = Words::spaced_syllables;
      words.tail = Tail::one_newline_or_slash;
      chain.words(words);
      break;
    }
    case SplitRule::starcoder:
      chain.runs(class_number, 1).words(kGpt2);
      break;
    case SplitRule::falcon:
      chain.runs(class_falcon_punctuation).words(kGpt2).add(make_digit_triple_splitter());
      break;
    case SplitRule::deepseek_coder:
      chain.runs(class_newline, 1).spaced_runs(class_letter).spaced_runs(class_punctuation);
      chain.runs(class_deepseek_cjk).runs(class_number, 1);
      break;
    case SplitRule::deepseek_llm:
      chain.runs(class_newline, 1).spaced_runs(class_deepseek_letter).spaced_runs(class_deepseek_punctuation);
      chain.add(make_trailing_space_splitter()).runs(class_deepseek_cjk).runs(class_number, 1);
      break;
    case SplitRule::deepseek_v3:
      chain.runs(class_number, 3).runs(class_kana_ideograph).words(kDeepSeek3);
      break;
    case SplitRule::spark: {
      WordRule words = kDeepSeek3;
      words.tail = Tail::none;
      words.spaces = Spaces::one_newline;
      chain.runs(class_number, 3).runs(class_kana_ideograph).words(words).runs(class_number, 1);
      break;
    }
    case SplitRule::o200k:
      chain.words(kO200k);
      break;
    case SplitRule::tekken: {
      WordRule words = with_digits(kO200k, 1);
      words.contraction_suffix = false;
      chain.words(words);
      break;
    }
    case SplitRule::tiny_aya:
      chain.add(make_digit_group_splitter(DigitGroups::before_boundary)).words(kO200k);
      break;
    case SplitRule::youtu:
      chain.runs(class_youtu).words(with_digits(kO200k, 1));
      break;
    case SplitRule::kimi_k2: {
      WordRule words = kO200k;
      words.han_runs = true;
      words.without_han = true;
      words.tail = Tail::newlines;
      chain.words(words);
      break;
    }
    case SplitRule::afmoe:
      chain.add(make_digit_group_splitter(DigitGroups::numbers)).runs(class_asian).words(kDeepSeek3);
      break;
    case SplitRule::superbpe:
      chain.runs(class_number).add(make_digit_group_splitter(DigitGroups::cuts));
      break;
    case SplitRule::chameleon:
      chain.add(make_sentinel_splitter()).add(make_image_token_splitter()).add(make_indent_splitter());
      chain.runs(class_number, 1).runs(class_any_punctuation, 1).words(kGpt2);
      break;
    case SplitRule::bloom:
      chain.add(make_spaced_run_splitter(class_word_like));
      break;
    case SplitRule::viking:
      chain.add(make_spaced_run_splitter(class_word_like)).runs(class_number, 1);
      break;
    case SplitRule::lines:
      chain.runs(class_line);
      break;
    case SplitRule::white_space:
      chain.add(make_white_space_dropper());
      break;
  }
  return chain.take();
}

bool add_known_pattern(std::string_view pattern, SplitterChain& chain) {
  for (const KnownPattern& known : kKnownPatterns) {
    if (known.pattern == pattern) {
      chain.add(make_word_splitter(known.rule));
      return true;
    }
  }
  for (const KnownRun& known : kKnownRuns) {
    if (known.pattern == pattern) {
      chain.add(make_run_splitter(known.rule));
      return true;
    }
  }
  if (pattern == "[0-9][0-9][0-9]") {
    chain.add(make_digit_triple_splitter());
    return true;
  }
  return false;
}

}  // namespace llm::tokenizer
