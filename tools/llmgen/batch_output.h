#ifndef LLMGEN_BATCH_OUTPUT_H
#define LLMGEN_BATCH_OUTPUT_H

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "console.h"

namespace llmgen {

// Where results go: one line each, written whole and at once by a thread of its own, in the order of the input unless
// told otherwise.
class BatchOutput {
 public:
  struct Options {
    std::string path = "-";
    bool resume = false;
    bool unordered = false;
  };
  // With resume, reads what is there: a torn last line is cut off. Throws Error(io | usage).
  explicit BatchOutput(const Options& options);
  // What was not written is dropped; see finish().
  ~BatchOutput();
  BatchOutput(const BatchOutput&) = delete;
  BatchOutput& operator=(const BatchOutput&) = delete;

  // Whether the input line of this index was answered by an earlier run, and how many were, also with an error.
  bool answered(std::uint64_t index) const { return index < answered_.size() && answered_[index]; }
  std::uint64_t n_answered() const { return n_answered_; }
  std::uint64_t n_failed() const { return n_failed_; }

  // Takes what makes the line of a place, counted from 0 over the lines of this run; it is called on the writing
  // thread, when it is its turn.
  void put(std::uint64_t place, std::function<std::string()> make_line);
  // How many were put and not written.
  std::size_t n_pending() const;
  std::uint64_t n_written() const;
  // Waits for a short time until there are fewer than that. Throws what stopped the writing.
  void wait_below(std::size_t n);
  void check() const;
  // Returns when everything whose turn has come is written. Throws what stopped the writing.
  void finish();

 private:
  using MakeLine = std::function<std::string()>;
  void load_answered();
  void mark(const std::string& line, std::uint64_t number);
  bool has_next() const;
  MakeLine take_next();
  void write_lines();

  Options options_;
  int fd_ = 1;
  std::vector<bool> answered_;  // by index
  std::uint64_t n_answered_ = 0, n_failed_ = 0;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::map<std::uint64_t, MakeLine> waiting_;  // by place; without order: by arrival
  std::uint64_t next_ = 0;                     // the place whose turn it is: so many were taken
  std::uint64_t n_put_ = 0;
  bool writing_ = false, stop_ = false;
  std::exception_ptr failure_;
  std::thread writer_;
};

}  // namespace llmgen

#endif
