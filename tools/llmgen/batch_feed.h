#ifndef LLMGEN_BATCH_FEED_H
#define LLMGEN_BATCH_FEED_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <llm/llm.hpp>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

#include "batch_input.h"
#include "batch_record.h"
#include "batch_result.h"

namespace llmgen {

// "2/8": the second of eight parts, part = 1 here.
struct Shard {
  std::uint64_t part = 0, n_parts = 1;
  // Empty: all. Throws Error(usage).
  static Shard parse(const std::string& text);
  // Lines go to a part by the hash of their bytes: on every machine to the same.
  bool contains(std::uint64_t line_hash) const;
};

// Reads, understands and tokenises lines on a thread of its own, some lines ahead.
class BatchFeed {
 public:
  struct Item {
    std::uint64_t place = 0;  // counted from 0 over the items
    std::uint64_t index = 0;  // of the line, counted from 0 over lines that are not blank
    std::size_t n_bytes = 0;  // of the line
    std::variant<Record, LineError> line = {};
  };
  struct Options {
    std::string path = "-";
    Shard shard = {};
    std::size_t max_items = 32;                      // that wait
    std::function<bool(std::uint64_t)> is_answered;  // lines to leave out, by index
  };
  // Refers to rules and model, which must outlive it. Throws Error(io).
  BatchFeed(Options options, const RecordRules& rules, const llm::Model& model);
  ~BatchFeed();
  BatchFeed(const BatchFeed&) = delete;
  BatchFeed& operator=(const BatchFeed&) = delete;

  // The next item; nothing: none is there yet, or finished(). Throws what stopped the reading.
  std::optional<Item> next();
  // Waits for a short time until there is one, or the end.
  void wait();
  bool finished() const;

  // For a progress bar: lines that were read, without those of other shards and those answered before; all of the
  // lines in the input, as far as can be told from their mean length; 0: unknown.
  double expected_items() const;

 private:
  void read_lines();
  Item make_item(LineReader::Line&& line, std::uint64_t index);
  bool push(Item&& item);

  Options options_;
  const RecordRules& rules_;
  const llm::Model& model_;
  LineReader lines_;
  RecordReader records_;
  std::atomic<std::uint64_t> n_items_ = 0, n_left_out_ = 0, taken_bytes_ = 0;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Item> items_;
  std::size_t queued_bytes_ = 0;
  bool end_ = false, stop_ = false;
  std::exception_ptr failure_;
  std::thread reader_;
};

}  // namespace llmgen

#endif
