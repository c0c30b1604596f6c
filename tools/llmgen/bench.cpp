#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <thread>

#include "clock.h"
#include "console.h"
#include "options.h"
#include "program.h"
#include "report.h"

namespace llmgen {

namespace {

struct BenchFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  std::vector<int> n_prompt = {512}, n_gen = {64}, depth = {0}, batch = {1};
  int repeat = 5;
  bool json = false;
};

// One row of the table: a kind of work and the speed of each repetition in tokens a second.
struct Row {
  int n_prompt = 0, n_gen = 0, depth = 0, batch = 1;
  std::vector<double> speeds = {};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Bytes a second that the threads read together from memory well beyond the caches.
double read_bandwidth(int n_threads) {
  constexpr std::size_t words_a_thread = std::size_t{32} << 20;  // 256 MiB
  std::vector<std::vector<std::uint64_t>> blocks(static_cast<std::size_t>(n_threads));
  std::vector<std::uint64_t> sums(blocks.size());
  double best = 0;
  for (int round = 0; round < 4; ++round) {
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      threads.emplace_back([&, i] {
        if (blocks[i].empty()) blocks[i].assign(words_a_thread, i + 1);
        std::uint64_t lanes[8] = {};
        const std::uint64_t* p = blocks[i].data();
        for (std::size_t k = 0; k < words_a_thread; k += 8) {
          for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += p[k + lane];
        }
        sums[i] += std::accumulate(std::begin(lanes), std::end(lanes), std::uint64_t{0});
      });
    }
    for (std::thread& thread : threads) thread.join();
    const double seconds = seconds_since(start);
    // The first round fills the memory. Reading the sums keeps the loop from being optimised away.
    if (round > 0 && sums[0] != 0)
      best = std::max(best, static_cast<double>(blocks.size() * words_a_thread * 8) / seconds);
  }
  return best;
}

std::uint64_t peak_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

class Bench {
 public:
  Bench(const BenchFlags& flags, const llm::Model& model) : model_(model) {
    options_ = engine_options(flags.run);
    options_.share_prefixes = false;
    options_.max_sequences = *std::max_element(flags.batch.begin(), flags.batch.end());
    const int longest = *std::max_element(flags.depth.begin(), flags.depth.end()) +
                        std::max(*std::max_element(flags.n_prompt.begin(), flags.n_prompt.end()),
                                 *std::max_element(flags.n_gen.begin(), flags.n_gen.end())) +
                        8;
    if (options_.n_context == 0) options_.n_context = longest;
    engine_ = std::make_unique<llm::Engine>(model, options_);
  }

  const llm::EngineOptions& options() const { return engine_->options(); }
  const llm::Engine& engine() const { return *engine_; }

  // Speed of `row.batch` sequences that either read row.n_prompt tokens or write row.n_gen, row.depth tokens deep.
  double measure(const Row& row) {
    const bool prompt = row.n_gen == 0;
    if (prompt && row.depth > 0) return measure_prompt_at_depth(row);
    const int n_read = prompt ? row.n_prompt : std::max(1, row.depth);
    int n_open = row.batch, n_begun = 0;
    auto start = Clock::now();
    for (int i = 0; i < row.batch; ++i) {
      llm::Request request;
      request.prompt = random_ids(n_read);
      request.max_tokens = prompt ? 1 : row.n_gen + 1;
      request.ignore_eos = true;
      request.sampling.temperature = 0;
      bool first = true;
      // The clock of a generation starts when every sequence has its first token.
      request.on_token = [&, first](const llm::GeneratedToken&) mutable {
        if (first && ++n_begun == row.batch && !prompt) start = Clock::now();
        first = false;
        return !interrupted();
      };
      engine_->submit(std::move(request), [&](const llm::Result&) { --n_open; });
    }
    while (n_open > 0 && engine_->step()) {
    }
    const double seconds = seconds_since(start);
    return row.batch * (prompt ? row.n_prompt : row.n_gen) / std::max(seconds, 1e-9);
  }

 private:
  // What lies before the prompt is read before the clock starts.
  double measure_prompt_at_depth(const Row& row) {
    double seconds = 0;
    for (int i = 0; i < row.batch; ++i) {
      llm::Session session(model_, options_);
      session.eval(random_ids(row.depth));
      const auto start = Clock::now();
      session.eval(random_ids(row.n_prompt));
      seconds += seconds_since(start);
    }
    return row.batch * row.n_prompt / std::max(seconds, 1e-9);
  }

  std::vector<llm::TokenId> random_ids(int n) {
    std::vector<llm::TokenId> ids(static_cast<std::size_t>(n));
    for (llm::TokenId& id : ids) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      id = static_cast<llm::TokenId>((state_ >> 33) % static_cast<std::uint64_t>(model_.info().n_vocab));
    }
    return ids;
  }

  const llm::Model& model_;
  llm::EngineOptions options_;
  std::unique_ptr<llm::Engine> engine_;
  std::uint64_t state_ = 1;
};

std::vector<Row> plan(const BenchFlags& flags) {
  std::vector<Row> rows;
  for (const int batch : flags.batch) {
    for (const int depth : flags.depth) {
      for (const int n : flags.n_prompt) {
        if (n > 0) rows.push_back({.n_prompt = n, .depth = depth, .batch = batch});
      }
      for (const int n : flags.n_gen) {
        if (n > 0) rows.push_back({.n_gen = n, .depth = depth, .batch = batch});
      }
    }
  }
  return rows;
}

int run_bench(const BenchFlags& flags) {
  const Console console = console_of(flags.console);
  watch_interrupt();
  const llm::Model model = load_model(flags.model, console);
  Bench bench(flags, model);
  ProgressLine progress(console);
  std::vector<Row> rows = plan(flags);
  for (Row& row : rows) {
    bench.measure(row);  // warm-up
    for (int i = 0; i < flags.repeat && !interrupted(); ++i) {
      progress.show_text(
          fmt::format("p {} n {} depth {} batch {}: run {}", row.n_prompt, row.n_gen, row.depth, row.batch, i + 1));
      row.speeds.push_back(bench.measure(row));
    }
    if (interrupted()) return static_cast<int>(llm::ErrorCode::cancelled);
  }
  progress.clear();
  const std::uint64_t peak = peak_bytes();
  const double bandwidth = read_bandwidth(bench.options().n_threads);
  const auto weight_bytes = static_cast<double>(model.info().file_bytes);
  const auto n_params = static_cast<double>(model.info().n_params);

  Output out;
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  if (!flags.json) {
    out.text(fmt::format("{:<10} {:>6} {:>6} {:>10} {:>17} {:>7} {:>6} {:>8}\n", "work", "depth", "batch", "tokens/s",
                         "min-max", "GB/s", "% read", "GFLOP/s"));
  }
  for (const Row& row : rows) {
    const double speed = median(row.speeds);
    const auto [low, high] = std::minmax_element(row.speeds.begin(), row.speeds.end());
    const double read = row.n_gen > 0 ? speed / row.batch * weight_bytes : 0;
    const double flops = 2 * n_params * speed;
    if (flags.json) {
      results.push_back({{"n_prompt", row.n_prompt},
                         {"n_gen", row.n_gen},
                         {"depth", row.depth},
                         {"batch", row.batch},
                         {"threads", bench.options().n_threads},
                         {"tokens_per_second", speed},
                         {"min", *low},
                         {"max", *high},
                         {"gigabytes_per_second", read / 1e9},
                         {"percent_of_read_bandwidth", 100 * read / bandwidth},
                         {"gigaflops", flops / 1e9}});
    } else {
      const std::string work =
          row.n_gen > 0 ? fmt::format("write {}", row.n_gen) : fmt::format("read {}", row.n_prompt);
      out.text(fmt::format("{:<10} {:>6} {:>6} {:>10.1f} {:>17} {:>7} {:>6} {:>8.1f}\n", work, row.depth, row.batch,
                           speed, fmt::format("{:.1f}-{:.1f}", *low, *high),
                           read > 0 ? fmt::format("{:.1f}", read / 1e9) : "-",
                           read > 0 ? fmt::format("{:.0f}", 100 * read / bandwidth) : "-", flops / 1e9));
    }
  }
  if (flags.json) {
    out.line(dump({{"model", model.info().name},
                   {"file_bytes", model.info().file_bytes},
                   {"read_bandwidth_gigabytes_per_second", bandwidth / 1e9},
                   {"peak_bytes", peak},
                   {"results", results}}));
  } else {
    out.text(fmt::format("{} threads; read bandwidth {:.1f} GB/s; peak memory {}\n", bench.options().n_threads,
                         bandwidth / 1e9, format_bytes(peak)));
  }
  out.flush();
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "Measure the speed of a model");
  add_model_flags(*command, flags->model);
  const auto list = [command](const char* names, std::vector<int>& values, const char* help, int low) {
    command->add_option(names, values, help)
        ->delimiter(',')
        ->check(CLI::Range(low, 1 << 24))
        ->group("Work")
        ->capture_default_str();
  };
  list("-p,--n-prompt", flags->n_prompt, "Prompt tokens; several: 128,512; 0: none", 0);
  list("-n,--n-gen", flags->n_gen, "Tokens to generate; 0: none", 0);
  list("-d,--depth", flags->depth, "Tokens that lie before", 0);
  list("-b,--batch", flags->batch, "Sequences at once", 1);
  command->add_option("-r,--repeat", flags->repeat, "Repetitions; the median counts")
      ->check(CLI::Range(1, 1000))
      ->group("Work")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object");
  add_run_flags(*command, flags->run);
  add_console_flags(*command, flags->console);
  add_environment(*command);
  command->callback([&program, flags] {
    program.json_errors = flags->json;
    program.run = [flags] { return run_bench(*flags); };
  });
}

}  // namespace llmgen
