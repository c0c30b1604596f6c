#ifndef LLMGEN_BATCH_OUTPUT_H
#define LLMGEN_BATCH_OUTPUT_H

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "console.h"

namespace llmgen {

// Where results go: one line each, written whole and at once, in the order of the input unless told otherwise.
class BatchOutput {
 public:
  struct Options {
    std::string path = "-";
    bool resume = false;
    bool unordered = false;
  };
  // With resume, reads what is there: a torn last line is cut off. Throws Error(io).
  explicit BatchOutput(const Options& options);
  ~BatchOutput();
  BatchOutput(const BatchOutput&) = delete;
  BatchOutput& operator=(const BatchOutput&) = delete;

  // Whether the input line of this place (counted from 0 over lines that are not blank) was answered by an earlier run.
  bool answered(std::uint64_t place) const;
  std::uint64_t n_answered() const { return n_kept_; }
  // Takes the answer of a place; writes it when it is its turn.
  void put(std::uint64_t place, std::string line);
  // Answers that wait for an earlier one.
  std::size_t n_waiting() const { return waiting_.size(); }

 private:
  void load_answered();
  void write(const std::string& line);

  Options options_;
  int fd_ = 1;
  std::unique_ptr<Output> out_;
  std::uint64_t n_kept_ = 0;          // ordered: the first so many places are answered
  std::set<std::uint64_t> answered_;  // unordered: these
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, std::string> waiting_;
};

}  // namespace llmgen

#endif
