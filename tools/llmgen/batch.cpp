#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <optional>

#include "batch_feed.h"
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

std::uint64_t parse_bytes(const std::string& text) {
  if (text.empty()) return 0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double scale = unit.empty() || unit == "B"                                  ? 1
                       : unit == "k" || unit == "K" || unit == "kB" || unit == "KB" ? 1e3
                       : unit == "M" || unit == "MB"                                ? 1e6
                       : unit == "G" || unit == "GB"                                ? 1e9
                       : unit == "Ki" || unit == "KiB"                              ? 1024.0
                       : unit == "Mi" || unit == "MiB"                              ? 1048576.0
                       : unit == "Gi" || unit == "GiB"                              ? 1073741824.0
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
        rules_(rules_of(flags)),
        shard_(Shard::parse(flags.shard)),
        model_(load_model(flags.model, console)),
        engine_(model_, options_of(flags)),
        max_running_(static_cast<std::size_t>(flags.parallel) * 2),
        progress_(console) {
    use_model_settings(flags.sampling, model_, console_, rules_.defaults.sampling);
    complete_request(app, flags.translation, model_, rules_.defaults);
    rules_.source_lang = flags.translation.source_lang;
    rules_.target_lang = flags.translation.target_lang;
    rules_.beams_given = flags.translation.beams > 0;
    warn_beyond_training(engine_.options(), model_, console_);
    find_chat_template();
    result_rules_ = {.ids = flags.ids,
                     .timings = flags.timings,
                     .reasoning = flags.chat.reasoning,
                     .chat_template = rules_.chat_template};
    pooling_.normalize = !flags.no_normalize;
    pooling_.pooling = flags.pooling;
    output_.emplace(BatchOutput::Options{.path = flags.output, .resume = flags.resume, .unordered = flags.unordered});
    n_failed_ = output_->n_failed();
    feed_.emplace(BatchFeed::Options{.path = flags.input,
                                     .shard = shard_,
                                     .max_items = max_running_,
                                     .is_answered = [this](std::uint64_t i) { return output_->answered(i); }},
                  rules_, model_);
    start_ = Clock::now();
  }

  int run() {
    for (;;) {
      if (interrupted()) return stop_early();
      output_->check();
      take_more();
      if (n_running_ > 0) {
        engine_.step();
      } else if (feed_->finished()) {
        break;
      } else if (has_room()) {
        feed_->wait();
      } else {
        output_->wait_below(max_waiting());
      }
      show_progress();
    }
    output_->finish();
    progress_.clear();
    const double seconds = std::max(seconds_so_far(), 1e-9);
    const auto n_tokens = engine_.counters().n_rows;
    console_.note(fmt::format("{} lines in {:.1f} s, {} failed; {} tokens evaluated, {} written, {:.1f} tokens/s",
                              n_done_, seconds, n_failed_, n_tokens, n_written_,
                              static_cast<double>(n_tokens) / seconds));
    return n_failed_ > 0 ? static_cast<int>(llm::ErrorCode::some_failed) : 0;
  }

 private:
  // A line whose parts are under way; finished when every part has answered. After that it belongs to the writing
  // thread.
  struct Work {
    std::uint64_t place = 0, index = 0;
    Record record;
    std::vector<llm::Result> results;
    std::vector<llm::ScoreResult> scores;
    std::vector<llm::EmbedResult> vectors;
    std::size_t n_open = 0;
    std::optional<llm::Error> failure;
  };
  using WorkPtr = std::shared_ptr<Work>;

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
    rules.line_template = LineTemplate(flags.line_template);
    return rules;
  }

  // A template that does not work is an error of the lines that need one, unless the command line does.
  void find_chat_template() {
    try {
      rules_.chat_template = std::make_shared<llm::ChatTemplate>(chat_template_of(model_, rules_.chat));
    } catch (const llm::Error& error) {
      if (wants_chat(rules_.chat) || !rules_.chat.template_file.empty() || !rules_.chat.template_name.empty()) throw;
      rules_.no_template_reason = error.message();
    }
  }

  static llm::EngineOptions options_of(const BatchFlags& flags) {
    llm::EngineOptions options = engine_options(flags.run);
    options.max_sequences = flags.parallel;
    options.kv_memory = parse_bytes(flags.kv_memory);
    return options;
  }

  // Lines that are read but not written are few, so memory stays bounded on an endless stream, and input waits when
  // output does.
  std::size_t max_waiting() const { return max_running_ * 4; }
  bool has_room() const { return n_running_ < max_running_ && output_->n_pending() + n_running_ < max_waiting(); }

  void take_more() {
    while (has_room()) {
      std::optional<BatchFeed::Item> item = feed_->next();
      if (!item) return;
      if (auto* error = std::get_if<LineError>(&item->line)) {
        fail(item->place, item->index, std::move(*error));
      } else {
        begin(*item);
      }
    }
  }

  void begin(BatchFeed::Item& item) {
    const auto work = std::make_shared<Work>();
    work->place = item.place;
    work->index = item.index;
    work->record = std::move(std::get<Record>(item.line));
    try {
      submit(work);
    } catch (const llm::Error& error) {
      // Parts that were submitted before one that cannot be are of no use.
      for (const llm::Engine::Ticket ticket : tickets_) engine_.cancel(ticket);
      work->n_open = 0;
      fail(*work, error);
    }
  }

  void fail(const Work& work, const llm::Error& error) {
    fail(work.place, work.index,
         {.identity = identity_of(work.record),
          .code = error.code(),
          .field = field_of(error, work.record),
          .message = error.message()});
  }

  static LineIdentity identity_of(const Record& record) {
    LineIdentity identity{.carried = record.carried, .openai = record.openai};
    if (record.openai) identity.carried["custom_id"] = record.custom_id;
    return identity;
  }

  // The library's messages begin with the name of an option, if it is one that is wrong.
  static std::string field_of(const llm::Error& error, const Record& record) {
    const std::string name = error.message().substr(0, error.message().find(':'));
    return is_option(name) ? name : record.prompt_field;
  }

  void submit(const WorkPtr& work) {
    tickets_.clear();
    switch (work->record.kind) {
      case RecordKind::generate:
        submit_generate(work);
        break;
      case RecordKind::score:
      case RecordKind::choices:
        submit_scores(work);
        break;
      case RecordKind::embed:
        submit_embed(work);
        break;
    }
    ++n_running_;
  }

  void submit_generate(const WorkPtr& work) {
    const std::size_t n_choices = static_cast<std::size_t>(work->record.n_choices);
    const std::size_t n = work->record.prompts.size() * n_choices;
    work->results.resize(n);
    work->n_open = n;
    for (std::size_t i = 0; i < n; ++i) {
      llm::Request request = work->record.request;
      request.prompt = work->record.prompts[i / n_choices];
      request.sequence_key = i;
      request.on_token = [this](const llm::GeneratedToken&) {
        ++n_written_;
        return true;
      };
      tickets_.push_back(engine_.submit(std::move(request), [this, work, i](llm::Result result) {
        if (result.reason == llm::FinishReason::error) work->failure.emplace(result.error_code, result.error);
        work->results[i] = std::move(result);
        end_part(work);
      }));
    }
  }

  void submit_scores(const WorkPtr& work) {
    const Record& record = work->record;
    work->scores.resize(record.completions.size());
    work->n_open = record.completions.size();
    for (std::size_t i = 0; i < record.completions.size(); ++i) {
      tickets_.push_back(
          engine_.submit_score(record.prompts[0], record.completions[i], [this, work, i](llm::ScoreResult score) {
            if (!score.error.empty()) work->failure.emplace(score.error_code, score.error);
            work->scores[i] = std::move(score);
            end_part(work);
          }));
    }
  }

  void submit_embed(const WorkPtr& work) {
    const Record& record = work->record;
    work->vectors.resize(record.prompts.size());
    work->n_open = record.prompts.size();
    for (std::size_t i = 0; i < record.prompts.size(); ++i) {
      tickets_.push_back(engine_.submit_embed(record.prompts[i], pooling_, [this, work, i](llm::EmbedResult result) {
        if (!result.error.empty()) work->failure.emplace(result.error_code, result.error);
        work->vectors[i] = std::move(result);
        end_part(work);
      }));
    }
  }

  void end_part(const WorkPtr& work) {
    if (work->n_open == 0 || --work->n_open > 0) return;
    --n_running_;
    if (work->failure) {
      fail(*work, *work->failure);
      return;
    }
    output_->put(work->place, [this, work] { return dump(result_of(*work)); });
    ++n_done_;
  }

  nlohmann::ordered_json result_of(Work& work) const {
    switch (work.record.kind) {
      case RecordKind::generate:
        return generated_json(work.index, work.record, work.results, result_rules_, model_);
      case RecordKind::score:
        return score_json(work.index, work.record, work.scores.front());
      case RecordKind::choices:
        return choices_json(work.index, work.record, work.scores);
      case RecordKind::embed:
        break;
    }
    return embedding_json(work.index, work.record, work.vectors, model_);
  }

  void fail(std::uint64_t place, std::uint64_t index, LineError error) {
    output_->put(place, [index, error = std::move(error)] { return dump(error_json(index, error)); });
    ++n_done_;
    ++n_failed_;
  }

  double seconds_so_far() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void show_progress() {
    if (!progress_.is_due()) return;
    const double seconds = std::max(seconds_so_far(), 1e-9), n_done = static_cast<double>(n_done_);
    const std::string rates = fmt::format("{:.1f} lines/s, {:.0f} tokens/s", n_done / seconds,
                                          static_cast<double>(engine_.counters().n_rows) / seconds);
    const double n_all = feed_->expected_items();
    if (n_all <= 0) {
      progress_.show_text(fmt::format("{} lines, {}", n_done_, rates));
      return;
    }
    const double fraction = n_done / std::max(n_all, 1.0);
    std::string left;
    if (n_done_ > 0) left = ", " + format_time(seconds / n_done * (n_all - n_done)) + " left";
    progress_.show_text(
        fmt::format("{} {} of {:.0f} lines, {}{}", progress_bar(fraction), n_done_, n_all, rates, left));
  }

  int stop_early() {
    output_->finish();
    progress_.clear();
    console_.note(fmt::format("interrupted after {} lines", output_->n_written()));
    if (flags_.output == "-") {
      console_.note("to be able to go on after an interruption, use -o FILE and --resume");
    } else {
      console_.note("the same command with --resume goes on from here");
    }
    return static_cast<int>(llm::ErrorCode::cancelled);
  }

  const BatchFlags& flags_;
  const Console& console_;
  RecordRules rules_;
  Shard shard_;
  llm::Model model_;
  llm::Engine engine_;
  std::size_t max_running_;
  ResultRules result_rules_;
  llm::EmbedOptions pooling_;
  ProgressLine progress_;
  Clock::time_point start_;
  std::uint64_t n_done_ = 0, n_failed_ = 0;
  std::int64_t n_written_ = 0;
  std::size_t n_running_ = 0;
  std::vector<llm::Engine::Ticket> tickets_;  // of the line at hand
  // Their threads use what stands above.
  std::optional<BatchOutput> output_;
  std::optional<BatchFeed> feed_;
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
  watch_termination();
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
