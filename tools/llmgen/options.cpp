#include "options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "bus_error.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("-m,--model", flags.path, "Model: a GGUF file, a Hugging Face folder or a llama2.c checkpoint")
      ->envname("LLMGEN_MODEL")
      ->group("Model");
  app.add_flag("--no-mmap", flags.no_mmap, "Read the file into memory instead of mapping it")->group("Model");
  app.add_flag("--mlock", flags.mlock, "Keep the weights in memory")->group("Model");
  app.add_option("--lora", flags.lora, "LoRA adapter FILE[:SCALE]; may be given several times")
      ->group("Model")
      ->type_name("FILE[:SCALE]");
}

void add_console_flags(CLI::App& app, ConsoleFlags& flags) {
  app.add_flag("-v,--verbose", flags.console.verbose, "Say more on stderr")->group("Output");
  app.add_flag("-q,--quiet", flags.console.quiet, "Only errors on stderr")->group("Output");
  app.add_option("--color", flags.color, "Colour on stderr: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->group("Output")
      ->capture_default_str();
}

Console console_of(const ConsoleFlags& flags) {
  Console console = flags.console;
  console.color = flags.color == "always"  ? ColorMode::always
                  : flags.color == "never" ? ColorMode::never
                                           : ColorMode::automatic;
  return console;
}

void add_run_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("-t,--threads", flags.threads, "Threads; 0: physical cores that this process may use")
      ->check(CLI::Range(0, 1024))
      ->group("Run")
      ->capture_default_str();
  app.add_option("-c,--context,--ctx-size", flags.context, "Longest sequence in tokens; 0: as the model was trained")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31))
      ->group("Run")
      ->capture_default_str();
  app.add_option("--kv-type", flags.kv_type, "Type of keys and values in the cache: f32, f16, bf16, q8_0 or q4_0")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0"}))
      ->group("Run")
      ->capture_default_str();
  app.add_flag("--exact", flags.exact, "Keep activations in float32 (slower)")->group("Run");
  app.add_option("--chunk", flags.chunk, "Prompt tokens evaluated at once; 0: chosen")
      ->check(CLI::Range(0, 1 << 20))
      ->group("Run")
      ->capture_default_str();
}

llm::EngineOptions engine_options(const RunFlags& flags) {
  llm::EngineOptions options;
  options.n_threads = flags.threads;
  options.n_context = flags.context;
  options.kv_type = parse_kv_type(flags.kv_type);
  options.exact = flags.exact;
  options.chunk = flags.chunk;
  return options;
}

void warn_beyond_training(const llm::EngineOptions& options, const llm::Model& model, const Console& console) {
  const std::int64_t trained = model.info().n_context_train;
  if (trained == 0 || options.n_context <= trained) return;
  console.warning(fmt::format("a context of {} tokens, longer than the {} that the model was trained for",
                              options.n_context, trained));
}

void add_speculation_flags(CLI::App& app, SpeculationFlags& flags) {
  constexpr int default_lookup = 16;
  app.add_option_function<std::string>(
         "--lookup",
         [&flags](const std::string& text) {
           if (text.empty() || text == "true") {  // given without a number
             flags.lookup = default_lookup;
             return;
           }
           const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), flags.lookup);
           if (code != std::errc() || end != text.data() + text.size() || flags.lookup < 0 || flags.lookup > 64) {
             throw CLI::ValidationError("--lookup", fmt::format("found '{}', expected 0 to 64", text));
           }
         },
         fmt::format(
             "Guess up to N tokens (alone: {}) from earlier text and check them at once; same text, faster where "
             "it repeats itself",
             default_lookup))
      ->expected(0, 1)
      ->type_name("N")
      ->group("Speculation");
  app.add_option("--draft-model", flags.draft_model,
                 "A smaller model with the same vocabulary whose guesses are checked at once; same text")
      ->type_name("FILE")
      ->group("Speculation");
  app.add_option("--draft-max", flags.draft, "Tokens that the draft model guesses at most")
      ->check(CLI::Range(1, 64))
      ->group("Speculation")
      ->capture_default_str();
}

void set_draft_model(const SpeculationFlags& flags, const ModelFlags& model, const Console& console,
                     llm::EngineOptions& options) {
  if (flags.draft_model.empty()) return;
  ModelFlags draft = model;
  draft.path = flags.draft_model;
  draft.lora.clear();
  options.draft = load_model(draft, console);
}

void set_speculation(const SpeculationFlags& flags, llm::Request& request) {
  request.lookup = flags.lookup;
  request.draft = flags.draft_model.empty() ? 0 : flags.draft;
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  flags.app = &app;
  llm::SamplingOptions& s = flags.sampling;
  const auto option = [&app](const char* names, auto& value, const char* help) {
    return app.add_option(names, value, help)->group("Sampling")->capture_default_str();
  };
  app.add_option("-n,--max-tokens,--n-predict", flags.max_tokens,
                 "Tokens to generate at most; -1: until the context is full")
      ->check(CLI::Range(-1, 1 << 30))
      ->group("Sampling")
      ->capture_default_str();
  app.add_option("-s,--seed", flags.seed, "Seed of the random draws; absent: a random one, shown with -v and in JSON")
      ->group("Sampling");
  option("--temp,--temperature", s.temperature, "Temperature; 0: always the likeliest token");
  app.add_flag("--greedy", flags.greedy, "The same as --temp 0")->group("Sampling");
  option("--top-k", s.top_k, "Keep the k likeliest tokens; 0: off");
  option("--top-p", s.top_p, "Keep the likeliest tokens that have this probability together; 1: off");
  option("--min-p", s.min_p, "Keep tokens of at least this share of the best one's probability; 0: off");
  option("--typical-p", s.typical_p, "Locally typical sampling; 1: off");
  option("--top-n-sigma", s.top_n_sigma, "Keep tokens within n standard deviations of the best logit; 0: off");
  option("--repeat-penalty", s.repeat_penalty, "Divide the logits of tokens seen lately; 1: off");
  option("--repeat-last-n", s.repeat_last_n, "Tokens that penalties look back on; 0: none, -1: all");
  option("--presence-penalty", s.presence_penalty, "Subtract from the logits of tokens seen lately");
  option("--frequency-penalty", s.frequency_penalty, "The same, times how often they were seen");
  option("--xtc-probability", s.xtc_probability, "Chance that the likeliest tokens are left out; 0: off");
  option("--xtc-threshold", s.xtc_threshold, "Probability from which XTC counts a token as likely");
  option("--dry-multiplier", s.dry_multiplier, "Strength of the penalty on repeated sequences; 0: off");
  option("--dry-base", s.dry_base, "Growth of that penalty with the length of the repetition");
  option("--dry-allowed-length", s.dry_allowed_length, "Longest repetition without a penalty");
  option("--dry-last-n", s.dry_last_n, "Tokens that DRY looks back on; -1: all");
  option("--dynatemp-range", s.dynatemp_range, "Range of the dynamic temperature around --temp; 0: off");
  option("--dynatemp-exponent", s.dynatemp_exponent, "Exponent of the dynamic temperature");
  option("--mirostat", s.mirostat, "Mirostat 1 or 2; 0: off");
  option("--mirostat-tau", s.mirostat_tau, "Target surprise of Mirostat in bits");
  option("--mirostat-eta", s.mirostat_eta, "Learning rate of Mirostat");
  option("--adaptive-target", s.adaptive_target, "Target probability of adaptive-p; below 0: off");
  option("--adaptive-decay", s.adaptive_decay, "Decay of the running mean of adaptive-p");
  app.add_option("--samplers", flags.samplers,
                 "Order of the samplers, separated by ';' or ','  (default: " +
                     fmt::format("{}", fmt::join(s.samplers, ";")) + ")")
      ->group("Sampling");
  app.add_option("--logit-bias", flags.logit_bias,
                 "Add to the logit of a token, e.g. 15+1.5 or 15-inf; may be repeated")
      ->group("Sampling")
      ->type_name("ID+BIAS");
  app.add_option("--stop", flags.stop, "End the answer before this text; may be repeated")
      ->group("Sampling")
      ->type_name("TEXT");
  app.add_flag("--ignore-eos", flags.ignore_eos, "Do not end at an end-of-generation token")->group("Sampling");
  app.add_flag("--special", flags.special, "Show control tokens in the text")->group("Sampling");
  app.add_option("--logprobs", flags.logprobs, "Log-probabilities of the N likeliest tokens at each step (with --json)")
      ->check(CLI::Range(0, 1000))
      ->group("Sampling");
}

std::pair<llm::TokenId, float> parse_bias(const std::string& text, const std::string& option) {
  const std::size_t sign = text.find_first_of("+-=:");
  llm::TokenId id = 0;
  const char* id_end = text.data() + (sign == std::string::npos ? 0 : sign);
  const auto [end, code] = std::from_chars(text.data(), id_end, id);
  if (sign == std::string::npos || code != std::errc() || end != id_end || id < 0) {
    throw Error(ErrorCode::usage, fmt::format("{}: '{}' is not ID+BIAS or ID-BIAS, e.g. 15+1.5", option, text));
  }
  std::string number = text.substr(sign + (text[sign] == '=' || text[sign] == ':' ? 1 : 0));
  if (!number.empty() && number[0] == '+') number.erase(0, 1);
  char* number_end = nullptr;
  const float bias = std::strtof(number.c_str(), &number_end);
  if (number.empty() || *number_end != '\0' || std::isnan(bias)) {
    throw Error(ErrorCode::usage, fmt::format("{}: '{}' has no number after the id", option, text));
  }
  return {id, bias};
}

std::vector<std::string> split_list(const std::string& text, const char* separators) {
  std::vector<std::string> items;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    if (end > begin) items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

llm::Request request_of(SamplingFlags& flags) {
  if (!flags.seed) {
    std::random_device device;
    flags.seed = (static_cast<std::uint64_t>(device()) << 32 | device()) >> 11;  // exact in a JSON number
  }
  llm::Request request;
  request.sampling = flags.sampling;
  request.sampling.seed = *flags.seed;
  if (flags.greedy) request.sampling.temperature = 0;
  if (!flags.samplers.empty()) request.sampling.samplers = split_list(flags.samplers, ";,");
  for (const std::string& bias : flags.logit_bias)
    request.sampling.logit_bias.push_back(parse_bias(bias, "--logit-bias"));
  request.sampling.validate();
  request.max_tokens = flags.max_tokens;
  request.stop = flags.stop;
  request.ignore_eos = flags.ignore_eos;
  request.special = flags.special;
  request.n_logprobs = flags.logprobs;
  return request;
}

void use_model_settings(const SamplingFlags& flags, const llm::Model& model, const Console& console,
                        llm::SamplingOptions& sampling) {
  for (const auto& [name, value] : model.info().sampling) {
    std::string flag = "--" + name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (flags.app->count(flag) > 0 || (name == "temperature" && flags.greedy)) continue;
    llm::SamplingOptions changed = sampling;
    if (!changed.set(name, value)) continue;
    try {
      changed.validate();
    } catch (const Error& error) {
      throw Error(ErrorCode::model, fmt::format("{}: its own settings: {} (give {} to replace it)", model.info().name,
                                                error.message(), flag));
    }
    sampling = changed;
    console.detail(fmt::format("{} {:g} (the model's own)", flag, value));
  }
}

void add_constraint_flags(CLI::App& app, ConstraintFlags& flags) {
  const auto option = [&app](const char* names, auto& value, const char* help) {
    return app.add_option(names, value, help)->group("Constraints");
  };
  option("-j,--json-schema,--schema", flags.json_schema, "The answer is JSON that fits this schema")
      ->type_name("FILE|JSON");
  app.add_flag("--json-object", flags.json_object, "The answer is a JSON object")->group("Constraints");
  app.add_flag("--lax", flags.lax, "Ignore schema keywords that are not supported")->group("Constraints");
  option("--regex", flags.regex, "The answer matches this regular expression")->type_name("PATTERN");
  option("--choice", flags.choice, "The answer is one of these texts")->type_name("A,B,C");
  option("--grammar", flags.grammar, "The answer follows this GBNF grammar")->type_name("FILE");
}

std::optional<llm::Constraint> constraint_of(const ConstraintFlags& flags) {
  const int n_given = !flags.json_schema.empty() + flags.json_object + !flags.regex.empty() + !flags.choice.empty() +
                      !flags.grammar.empty();
  if (n_given > 1) {
    throw Error(ErrorCode::usage, "--json-schema, --json-object, --regex, --choice and --grammar exclude each other");
  }
  if (!flags.json_schema.empty()) {
    const std::size_t first = flags.json_schema.find_first_not_of(" \t\r\n");
    const bool is_text = first != std::string::npos && (flags.json_schema[first] == '{' || flags.json_schema == "true");
    const std::string schema = is_text ? flags.json_schema : read_text(flags.json_schema);
    return llm::Constraint::json_schema(schema, {.lax = flags.lax});
  }
  if (flags.json_object) return llm::Constraint::json_object();
  if (!flags.regex.empty()) return llm::Constraint::regex(flags.regex);
  if (!flags.choice.empty()) return llm::Constraint::choice(split_list(flags.choice, ","));
  if (!flags.grammar.empty()) return llm::Constraint::gbnf(read_text(flags.grammar));
  return std::nullopt;
}

void add_environment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || !option->get_envname().empty()) continue;
    std::string name = option->get_lnames().front();
    if (name == "help" || name == "version" || name == "config") continue;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
    option->envname("LLMGEN_" + name);
  }
}

namespace {

llm::LoraAdapter parse_lora(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return {.path = text};
  char* end = nullptr;
  const float scale = std::strtof(text.c_str() + colon + 1, &end);
  if (*end != '\0' || end == text.c_str() + colon + 1 || !std::isfinite(scale)) return {.path = text};
  return {.path = text.substr(0, colon), .scale = scale};
}

}  // namespace

llm::Model load_model(const ModelFlags& flags, const Console& console) {
  if (flags.path.empty()) {
    throw Error(ErrorCode::usage,
                "no model given: use -m FILE or set LLMGEN_MODEL (tools/quickstart.sh fetches a small one)");
  }
  explain_bus_errors(flags.path);
  ProgressLine progress(console);
  llm::LoadOptions options;
  options.mmap = !flags.no_mmap;
  options.mlock = flags.mlock;
  for (const std::string& lora : flags.lora) options.lora.push_back(parse_lora(lora));
  options.progress = [&progress](float fraction) {
    progress.show("loading", fraction);
    return !interrupted();
  };
  options.log = [&console](llm::LogLevel level, std::string_view message) {
    if (level == llm::LogLevel::warning) {
      console.warning(message);
    } else {
      console.detail(message);
    }
  };
  llm::Model model = llm::Model::load(flags.path, options);
  if (console.verbose > 0) {
    for (const std::string& key : model.info().unused_keys) console.detail("unused key: " + key);
    for (const std::string& tensor : model.info().unused_tensors) console.detail("unused tensor: " + tensor);
  }
  return model;
}

const llm::Tokenizer& tokenizer_of(const llm::Model& model) {
  const llm::Tokenizer* tokenizer = model.tokenizer();
  if (tokenizer == nullptr) {
    throw Error(ErrorCode::model, "the model has no vocabulary: give the prompt as ids (--prompt-ids 1,2,3)");
  }
  return *tokenizer;
}

std::vector<llm::TokenId> parse_ids(const std::string& text, const std::string& option) {
  std::vector<llm::TokenId> ids;
  const char* p = text.data();
  const char* const end = p + text.size();
  const auto skip = [&] {
    while (p != end && (*p == ' ' || *p == ',' || *p == '\n' || *p == '\t' || *p == '[' || *p == ']')) ++p;
  };
  for (skip(); p != end; skip()) {
    llm::TokenId id = 0;
    const auto [next, code] = std::from_chars(p, end, id);
    if (code != std::errc() || id < 0) {
      const std::string_view found(p, std::min<std::size_t>(20, static_cast<std::size_t>(end - p)));
      throw Error(ErrorCode::usage, fmt::format("{}: found '{}', expected token ids such as 1,2,3", option, found));
    }
    ids.push_back(id);
    p = next;
  }
  return ids;
}

llm::KvType parse_kv_type(const std::string& name) {
  if (name == "f32") return llm::KvType::f32;
  if (name == "bf16") return llm::KvType::bf16;
  if (name == "q8_0") return llm::KvType::q8_0;
  if (name == "q4_0") return llm::KvType::q4_0;
  return llm::KvType::f16;
}

std::string read_text(const std::string& path) {
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  const bool standard_input = path == "-";
  std::unique_ptr<std::FILE, Close> opened(standard_input ? nullptr : std::fopen(path.c_str(), "rb"));
  std::FILE* file = standard_input ? stdin : opened.get();
  if (file == nullptr) throw Error(ErrorCode::io, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  std::string text;
  char buffer[1 << 16];
  std::size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0) text.append(buffer, n);
  if (std::ferror(file) != 0) throw Error(ErrorCode::io, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  return text;
}

}  // namespace llmgen
