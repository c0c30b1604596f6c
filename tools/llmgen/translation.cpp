#include "translation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "options.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;
using llm::TokenId;

void add_translation_flags(CLI::App& app, TranslationFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* help) {
    return app.add_option(names, value, help)->group("Translation");
  };
  option("--beams", flags.beams, "Search with so many beams; 1: no search; absent: as the model says")
      ->check(CLI::Range(1, 64));
  option("--length-penalty", flags.length_penalty,
         "Answers of a search count sum of log-probabilities / length^X; above 0 favours long ones (default: 1)");
  option(
      "--early-stopping", flags.early_stopping,
      "A search ends: true, with as many answers as beams; false, when none under way looks better; never, when none "
      "can be better")
      ->check(CLI::IsMember({"true", "false", "never"}));
  option("--source-lang", flags.source_lang, "Language of the source as the vocabulary names it, e.g. en_XX, eng_Latn")
      ->type_name("LANG");
  option("--target-lang", flags.target_lang, "Language of the answer, e.g. de_DE, deu_Latn, de")->type_name("LANG");
  option("--decoder-ids", flags.decoder_ids, "Ids that the decoder begins with; absent: the model's start token")
      ->type_name("IDS");
}

llm::BeamStop parse_beam_stop(const std::string& text, const std::string& option) {
  if (text == "true") return llm::BeamStop::full;
  if (text == "false") return llm::BeamStop::open;
  if (text == "never") return llm::BeamStop::never;
  throw Error(ErrorCode::usage, fmt::format("{}: found '{}', expected true, false or never", option, text));
}

namespace {

// Tokens that name a language are spelled de_DE, deu_Latn, __de__, >>deu<< or <2de>.
bool is_code(std::string_view text) {
  const std::size_t line = text.find('_');
  if (line != 2 && line != 3) return false;
  const std::string_view rest = text.substr(line + 1);
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  return (rest.size() == 2 || rest.size() == 4) && std::all_of(text.begin(), text.begin() + line, is_letter) &&
         std::all_of(rest.begin(), rest.end(), is_letter);
}
bool is_inside(std::string_view text, std::string_view before, std::string_view after) {
  return text.size() > before.size() + after.size() && text.starts_with(before) && text.ends_with(after);
}
// Such a token stands in the source and names the language of the answer.
bool stands_in_source(std::string_view text) {
  return is_inside(text, ">>", "<<") || is_inside(text, "<2", ">");
}
bool is_language(std::string_view text) {
  return is_code(text) || is_inside(text, "__", "__");
}

TokenId language_token(const llm::Model& model, const std::string& name, const char* option) {
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  for (const std::string& text : {name, "__" + name + "__", ">>" + name + "<<", "<2" + name + ">"}) {
    const std::optional<TokenId> id = tokenizer.find(text);
    if (id && (stands_in_source(tokenizer.token_text(*id)) || is_language(tokenizer.token_text(*id)))) return *id;
  }
  std::string examples;
  int n_examples = 0;
  for (TokenId id = tokenizer.n_vocab() - 1; id >= 0 && n_examples < 4; --id) {
    const std::string_view text = tokenizer.token_text(id);
    if (tokenizer.token_kind(id) == llm::TokenKind::normal || (!is_language(text) && !stands_in_source(text))) continue;
    examples += fmt::format("{}{}", n_examples++ == 0 ? " such as " : ", ", text);
  }
  throw Error(ErrorCode::usage, fmt::format("{}: found '{}', expected a language of the vocabulary{}", option, name,
                                            n_examples > 0 ? examples : " (it names none)"));
}

void refuse_without_encoder(const TranslationFlags& flags) {
  const auto refuse = [](const std::string& value, const char* option) {
    if (value.empty()) return;
    throw Error(ErrorCode::usage,
                fmt::format("{}: found '{}', expected nothing (the model has no encoder)", option, value));
  };
  refuse(flags.source_lang, "--source-lang");
  refuse(flags.target_lang, "--target-lang");
  refuse(flags.decoder_ids, "--decoder-ids");
}

// How tokens are drawn, if the command line leaves it open.
void set_default_sampling(const CLI::App& app, const llm::GenerationDefaults& d, llm::Request& request) {
  llm::SamplingOptions& s = request.sampling;
  if (app.count("--temp") == 0 && app.count("--greedy") == 0) {
    s.temperature = d.sample.value_or(false) ? d.temperature.value_or(1.0f) : 0.0f;
    if (d.sample.value_or(false)) {
      if (app.count("--top-k") == 0) s.top_k = d.top_k.value_or(50);
      if (app.count("--top-p") == 0) s.top_p = d.top_p.value_or(1.0f);
      if (app.count("--min-p") == 0) s.min_p = 0;
    }
  }
  if (d.repeat_penalty && app.count("--repeat-penalty") == 0) {
    s.repeat_penalty = *d.repeat_penalty;
    s.repeat_last_n = -1;
  }
  if (d.max_tokens && app.count("--max-tokens") == 0) request.max_tokens = *d.max_tokens;
}

}  // namespace

void complete_request(const CLI::App& app, const TranslationFlags& flags, const llm::Model& model,
                      llm::Request& request) {
  const llm::GenerationDefaults& d = model.generation_defaults();
  const bool has_encoder = model.info().is_encoder_decoder;
  const bool asks_draws = app.count("--temp") > 0 && request.sampling.temperature > 0;
  if (has_encoder) {
    set_default_sampling(app, d, request);
    if (!flags.decoder_ids.empty()) request.decoder_prompt = parse_ids(flags.decoder_ids, "--decoder-ids");
    set_target_language(model, flags.target_lang, request);
  } else {
    refuse_without_encoder(flags);
  }
  request.beams.length_penalty = flags.length_penalty.value_or(has_encoder ? d.length_penalty.value_or(1.0f) : 1.0f);
  if (!flags.early_stopping.empty()) {
    request.beams.stop = parse_beam_stop(flags.early_stopping, "--early-stopping");
  } else if (has_encoder) {
    request.beams.stop = d.stop.value_or(llm::BeamStop::open);
  }
  if (flags.beams > 1 && asks_draws) {
    throw Error(ErrorCode::usage, "--beams: a search draws nothing, expected no --temp above 0 beside it");
  }
  request.beams.n = std::max(flags.beams, 1);
  const bool is_open = flags.beams == 0 && request.stop.empty() && request.sampling.logit_bias.empty() &&
                       request.sampling.temperature == 0;
  if (is_open && has_encoder) request.beams.n = std::clamp(d.beams.value_or(1), 1, 64);
  if (request.beams.n > 1) request.sampling.temperature = 0;
}

std::vector<TokenId> text_ids(const llm::Model& model, const std::string& text, bool parse_special,
                              const std::string& source_lang, const std::string& target_lang) {
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  std::vector<TokenId> ids = tokenizer.encode(text, {.add_special = true, .parse_special = parse_special});
  if (!source_lang.empty()) {
    const TokenId language = language_token(model, source_lang, "--source-lang");
    const auto names_language = [&](TokenId id) { return is_language(tokenizer.token_text(id)); };
    if (!ids.empty() && names_language(ids.front())) {
      ids.front() = language;
    } else if (!ids.empty() && names_language(ids.back())) {
      ids.back() = language;
    } else {
      ids.insert(ids.begin(), language);
    }
  }
  if (!target_lang.empty()) {
    const TokenId language = language_token(model, target_lang, "--target-lang");
    if (stands_in_source(tokenizer.token_text(language))) ids.insert(ids.begin(), language);
  }
  return ids;
}

// Either the decoder begins with the language (then the model's own start token is one, or there is none), or it is the
// first token of the answer.
void set_target_language(const llm::Model& model, const std::string& target_lang, llm::Request& request) {
  if (target_lang.empty()) return;
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  const TokenId language = language_token(model, target_lang, "--target-lang");
  if (stands_in_source(tokenizer.token_text(language))) return;
  const llm::GenerationDefaults& d = model.generation_defaults();
  const bool starts_with_language = !d.decoder_start || (*d.decoder_start < tokenizer.n_vocab() &&
                                                         is_language(tokenizer.token_text(*d.decoder_start)));
  if (starts_with_language) {
    request.decoder_prompt = {language};
    return;
  }
  if (!request.rules) request.rules = d.rules;
  request.rules->first = language;
}

}  // namespace llmgen
