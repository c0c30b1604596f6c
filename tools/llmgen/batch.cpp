#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <deque>
#include <memory>

#include "batch_input.h"
#include "batch_output.h"
#include "batch_record.h"
#include "batch_result.h"
#include "console.h"
#include "options.h"
#include "program.h"
#include "report.h"
#include "translation.h"

namespace llmgen {

namespace {

using Clock = std::chrono::steady_clock;

struct BatchFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  SamplingFlags sampling;
  ConstraintFlags constraint;
  ChatFlags chat;
  TranslationFlags translation;
  std::string input = "-", output = "-";
  std::string line_template, shard, pooling;
  std::string kv_memory;
  int parallel = 16, lookup = 0;
  bool lines = false, score = false, embed = false, no_normalize = false, ids = false, timings = false;
  bool unordered = false, resume = false, strict = false, parse_special = false;
};

// "2/8": the second of eight parts.
struct Shard {
  std::uint64_t part = 0, n_parts = 1;
};

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  char slash = 0, rest = 0;
  unsigned long long part = 0, n_parts = 0;
  if (std::sscanf(text.c_str(), "%llu%c%llu%c", &part, &slash, &n_parts, &rest) != 3 || slash != '/' || part < 1 ||
      part > n_parts) {
    throw llm::Error(llm::ErrorCode::usage,
                     fmt::format("--shard: found '{}', expected K/N with 1 <= K <= N, e.g. 2/8", text));
  }
  return {.part = part - 1, .n_parts = n_parts};
}

// FNV-1a (64 bits) of the line's bytes, mixed, so that a line goes to the same shard on every machine.
std::uint64_t line_hash(const std::string& line) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : line) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash ^= hash >> 32;
  return hash * 0xd6e8feb86659fd93 >> 32;
}

std::uint64_t parse_bytes(const std::string& text) {
  if (text.empty()) return 0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double scale = unit.empty() || unit == "B"     ? 1
                       : unit == "k" || unit == "kB"   ? 1e3
                       : unit == "M" || unit == "MB"   ? 1e6
                       : unit == "G" || unit == "GB"   ? 1e9
                       : unit == "Mi" || unit == "MiB" ? 1048576.0
                       : unit == "Gi" || unit == "GiB" ? 1073741824.0
                                                       : 0;
  if (scale == 0 || !(value > 0) || end == text.c_str()) {
    throw llm::Error(llm::ErrorCode::usage,
                     fmt::format("--kv-memory: found '{}', expected a size such as 500M or 2G", text));
  }
  return static_cast<std::uint64_t>(value * scale);
}

class BatchRun {
 public:
  BatchRun(const CLI::App& app, BatchFlags& flags, const Console& console)
      : flags_(flags),
        console_(console),
        shard_(parse_shard(flags.shard)),
        rules_(rules_of(flags)),
        model_(load_model(flags.model, console)),
        input_(flags.input),
        output_({.path = flags.output, .resume = flags.resume, .unordered = flags.unordered}),
        engine_(model_, options_of(flags)),
        progress_(console),
        start_(Clock::now()) {
    complete_request(app, flags.translation, model_, rules_.defaults);
    rules_.source_lang = flags.translation.source_lang;
    rules_.target_lang = flags.translation.target_lang;
    rules_.beams_given = flags.translation.beams > 0;
    result_rules_ = {.ids = flags.ids, .timings = flags.timings, .chat = rules_.chat};
    pooling_.normalize = !flags.no_normalize;
    pooling_.pooling = flags.pooling;
  }

  int run() {
    for (;;) {
      if (interrupted()) return stop_early();
      read_more();
      if (n_running_ > 0) {
        engine_.step();
        show_progress();
      } else if (input_.at_end()) {
        break;
      }
    }
    progress_.clear();
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    console_.note(fmt::format("{} lines in {:.1f} s, {} failed; {:.1f} tokens/s generated", n_done_, seconds, n_failed_,
                              static_cast<double>(n_generated_) / std::max(seconds, 1e-9)));
    return n_failed_ > 0 ? static_cast<int>(llm::ErrorCode::some_failed) : 0;
  }

 private:
  // A line whose parts are under way; finished when every part has answered.
  struct Work {
    std::uint64_t place = 0;
    Record record;
    std::vector<llm::Result> results;
    std::vector<llm::ScoreResult> scores;
    std::vector<llm::Engine::Ticket> tickets;
    std::size_t n_open = 0;
    std::string failure;
  };

  static RecordRules rules_of(BatchFlags& flags) {
    if (!flags.sampling.seed) flags.sampling.seed = 0;  // a run that is resumed draws what it would have drawn
    RecordRules rules;
    rules.defaults = request_of(flags.sampling);
    rules.defaults.constraint = constraint_of(flags.constraint);
    rules.defaults.lookup = flags.lookup;
    check_chat_flags(flags.chat);
    rules.chat = flags.chat;
    if (!rules.chat.tools_file.empty()) rules.chat.tools_json = read_text(rules.chat.tools_file);
    rules.plain_lines = flags.lines;
    rules.score = flags.score;
    rules.embed = flags.embed;
    rules.parse_special = flags.parse_special;
    rules.strict = flags.strict;
    rules.line_template = flags.line_template;
    return rules;
  }

  static llm::EngineOptions options_of(const BatchFlags& flags) {
    llm::EngineOptions options = engine_options(flags.run);
    options.max_sequences = flags.parallel;
    options.kv_memory = parse_bytes(flags.kv_memory);
    return options;
  }

  // Lines that are read but not answered are few, so memory stays bounded on an endless stream.
  bool room() const {
    const auto limit = static_cast<std::size_t>(flags_.parallel) * 2;
    return n_running_ < limit && output_.n_waiting() + n_running_ < limit * 4;
  }

  void read_more() {
    while (room()) {
      const std::optional<LineReader::Line> line = input_.next(n_running_ == 0);
      if (!line) return;
      const std::uint64_t place = n_places_;
      if (!line->too_long && shard_.n_parts > 1 && line_hash(line->text) % shard_.n_parts != shard_.part) continue;
      ++n_places_;
      if (output_.answered(place)) continue;
      if (line->too_long) {
        fail(place, {}, false, "", "the line is longer than 64 MiB");
      } else {
        begin(place, line->text);
      }
      if (n_running_ == 0) show_progress();
    }
  }

  void begin(std::uint64_t place, const std::string& line) {
    auto work = std::make_shared<Work>();
    work->place = place;
    try {
      work->record = parse_record(line, rules_, model_);
      work->record.request.sequence_key = place;
      submit(work);
    } catch (const RecordError& error) {
      bool openai = false;
      const nlohmann::ordered_json carried = carried_fields(line, rules_, openai);
      fail(place, carried, openai, error.field, error.what());
    } catch (const llm::Error& error) {
      bool openai = false;
      const nlohmann::ordered_json carried = carried_fields(line, rules_, openai);
      const std::string field = error.code() == llm::ErrorCode::context ? "prompt" : "";
      fail(place, carried, openai, field, error.message(), error.code());
    }
  }

  void submit(const std::shared_ptr<Work>& work) {
    const Record& record = work->record;
    switch (record.kind) {
      case RecordKind::generate:
        submit_generate(work);
        break;
      case RecordKind::score:
        submit_scores(work, {record.completion});
        break;
      case RecordKind::choices:
        submit_scores(work, record.choice_ids);
        break;
      case RecordKind::embed:
        work->n_open = 1;
        engine_.submit_embed(record.request.prompt, pooling_, [this, work](llm::EmbedResult result) {
          if (!result.error.empty()) work->failure = result.error;
          finish_part(*work, [&] { return embedding_json(work->place, work->record, result.values, model_); });
        });
        break;
    }
    ++n_running_;
  }

  void submit_generate(const std::shared_ptr<Work>& work) {
    const auto n = static_cast<std::size_t>(work->record.n_choices);
    work->results.resize(n);
    work->n_open = n;
    for (std::size_t i = 0; i < n; ++i) {
      llm::Request request = work->record.request;
      request.sequence_key = work->place + (static_cast<std::uint64_t>(i) << 48);
      engine_.submit(std::move(request), [this, work, i](llm::Result result) {
        n_generated_ += static_cast<std::int64_t>(result.ids.size());
        if (result.reason == llm::FinishReason::error) work->failure = result.error;
        work->results[i] = std::move(result);
        finish_part(*work,
                    [&] { return generated_json(work->place, work->record, work->results, result_rules_, model_); });
      });
    }
  }

  void submit_scores(const std::shared_ptr<Work>& work, const std::vector<std::vector<llm::TokenId>>& completions) {
    work->scores.resize(completions.size());
    work->n_open = completions.size();
    for (std::size_t i = 0; i < completions.size(); ++i) {
      engine_.submit_score(work->record.request.prompt, completions[i], [this, work, i](llm::ScoreResult score) {
        if (!score.error.empty()) work->failure = score.error;
        work->scores[i] = std::move(score);
        finish_part(*work, [&] {
          return work->record.kind == RecordKind::score ? score_json(work->place, work->record, work->scores.front())
                                                        : choices_json(work->place, work->record, work->scores);
        });
      });
    }
  }

  template <class MakeJson>
  void finish_part(Work& work, MakeJson make_json) {
    if (--work.n_open > 0) return;
    --n_running_;
    if (stopping_) return;
    if (!work.failure.empty()) {
      nlohmann::ordered_json carried = work.record.carried;
      if (work.record.openai) carried["custom_id"] = work.record.custom_id;
      fail(work.place, carried, work.record.openai, "", work.failure, llm::ErrorCode::internal);
      return;
    }
    output_.put(work.place, dump(make_json()));
    ++n_done_;
  }

  void fail(std::uint64_t place, const nlohmann::ordered_json& carried, bool openai, const std::string& field,
            const std::string& message, llm::ErrorCode code = llm::ErrorCode::io) {
    output_.put(place, dump(error_json(place, carried, openai, code, field, message)));
    ++n_done_;
    ++n_failed_;
  }

  void show_progress() {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    std::string text = fmt::format("{} lines, {:.1f} lines/s, {:.0f} tokens/s", n_done_,
                                   static_cast<double>(n_done_) / seconds, static_cast<double>(n_generated_) / seconds);
    if (input_.total_bytes() > 0 && input_.read_bytes() > 0 && n_done_ > 0) {
      // Lines still to come, from the mean length of those read.
      const double n_total = static_cast<double>(n_places_) * static_cast<double>(input_.total_bytes()) /
                             static_cast<double>(input_.read_bytes());
      const double n_left = std::max(0.0, n_total - static_cast<double>(output_.n_answered() + n_done_));
      const double eta = n_left * seconds / static_cast<double>(n_done_);
      text += fmt::format(", {:.0f} %, {:.0f} s left", 100 * (1 - n_left / std::max(n_total, 1.0)), eta);
    }
    progress_.show_text(text);
  }

  int stop_early() {
    stopping_ = true;
    progress_.clear();
    console_.note(fmt::format("interrupted after {} lines", n_done_));
    if (flags_.output != "-") console_.note("the same command with --resume goes on from here");
    return static_cast<int>(llm::ErrorCode::cancelled);
  }

  const BatchFlags& flags_;
  const Console& console_;
  Shard shard_;
  RecordRules rules_;
  llm::Model model_;
  LineReader input_;
  BatchOutput output_;
  llm::Engine engine_;
  ResultRules result_rules_;
  llm::EmbedOptions pooling_;
  ProgressLine progress_;
  Clock::time_point start_;
  std::uint64_t n_places_ = 0, n_done_ = 0, n_failed_ = 0;
  std::int64_t n_generated_ = 0;
  std::size_t n_running_ = 0;
  bool stopping_ = false;
};

void refuse_same_file(const BatchFlags& flags) {
  struct stat in = {}, out = {};
  if (flags.input == "-" || flags.output == "-" || stat(flags.input.c_str(), &in) != 0 ||
      stat(flags.output.c_str(), &out) != 0)
    return;
  if (in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
    throw llm::Error(llm::ErrorCode::usage, "-i and -o are the same file: the input would be lost");
  }
}

int run_batch(const CLI::App& app, BatchFlags& flags) {
  const Console console = console_of(flags.console);
  if (flags.score && flags.embed) throw llm::Error(llm::ErrorCode::usage, "--score and --embed exclude each other");
  refuse_same_file(flags);
  watch_interrupt();
  return BatchRun(app, flags, console).run();
}

constexpr const char* footer =
    R"(A line is a JSON string, {"prompt": ...}, {"prompt_ids": [...]} or {"messages": [...]}, with any sampling option by the
name of its flag ("n", "temp", "top_k", "seed", ...) or OpenAI's ("max_tokens", "temperature"); other fields are carried
through. Lines of the OpenAI batch format (custom_id, url, body) are answered in its response shape.
Exit codes: 0 every line was answered, 3 some lines failed, 130 interrupted. docs/batch.md has recipes.)";

}  // namespace

void add_batch(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<BatchFlags>();
  CLI::App* command = app.add_subcommand("batch", "Answer many prompts: JSON lines in, JSON lines out");
  add_model_flags(*command, flags->model);
  command->add_option("-i,--input", flags->input, "Input; - is standard input")->group("Batch")->capture_default_str();
  command->add_option("-o,--output", flags->output, "Output; - is standard output")
      ->group("Batch")
      ->capture_default_str();
  command->add_flag("--lines", flags->lines, "Every line is a prompt as plain text")->group("Batch");
  command
      ->add_option("--template", flags->line_template,
                   "Prompt with fields of the line filled in, e.g. 'Summarise: {text}'")
      ->group("Batch")
      ->type_name("TEXT");
  command->add_flag("--resume", flags->resume, "Go on from what the output already holds")->group("Batch");
  command->add_flag("--unordered", flags->unordered, "Write results as they finish")->group("Batch");
  command->add_option("--parallel", flags->parallel, "Sequences in one step")
      ->check(CLI::Range(1, 1024))
      ->group("Batch")
      ->capture_default_str();
  command->add_option("--kv-memory", flags->kv_memory, "Memory for keys and values, e.g. 2G")
      ->group("Batch")
      ->type_name("SIZE");
  command->add_option("--shard", flags->shard, "Only part K of N of the lines, chosen by their hash")
      ->group("Batch")
      ->type_name("K/N");
  command->add_flag("--score", flags->score, "Log-likelihood of \"completion\" after \"prompt\"")->group("Batch");
  command->add_flag("--embed", flags->embed, "One vector a line")->group("Batch");
  command
      ->add_option("--pooling", flags->pooling,
                   "How --embed joins positions: mean, cls, last; absent: as the model says")
      ->check(CLI::IsMember({"mean", "cls", "last"}))
      ->group("Batch");
  command->add_flag("--no-normalize", flags->no_normalize, "Leave the length of --embed vectors as it is")
      ->group("Batch");
  command->add_flag("--ids", flags->ids, "Show the token ids of answers")->group("Batch");
  command->add_flag("--timings", flags->timings, "Show timings of answers")->group("Batch");
  command->add_flag("--strict", flags->strict, "Unknown fields of an OpenAI body are errors")->group("Batch");
  command
      ->add_flag("--parse-special", flags->parse_special,
                 "Take the text of control tokens in prompts as control tokens")
      ->group("Batch");
  command->add_option("--lookup", flags->lookup, "Guess up to N tokens from earlier text and check them at once")
      ->check(CLI::Range(0, 64))
      ->group("Run");
  add_chat_flags(*command, flags->chat);
  add_run_flags(*command, flags->run);
  add_sampling_flags(*command, flags->sampling);
  add_constraint_flags(*command, flags->constraint);
  add_translation_flags(*command, flags->translation);
  add_console_flags(*command, flags->console);
  command->footer(footer);
  add_environment(*command);
  command->callback(
      [command, &program, flags] { program.run = [command, flags] { return run_batch(*command, *flags); }; });
}

}  // namespace llmgen
