#ifndef SAMPLING_CONSTRAINT_MACHINE_H
#define SAMPLING_CONSTRAINT_MACHINE_H

#include <cstdint>
#include <vector>

#include "sampling/constraint/program.h"

namespace llm::sampling {

// A thread's stack: frames from the outermost to the top one. The empty stack is a thread that has finished.
using Thread = std::vector<std::uint32_t>;
// Every way to read the text so far: ascending, each thread once, each about to read a byte or finished.
using Threads = std::vector<Thread>;

// Runs a program. Stateless but for scratch memory: one user at a time.
class Machine {
 public:
  // What one position of a text may cost; beyond it Error(usage) names the limit.
  static constexpr std::size_t max_threads = 4096;
  static constexpr std::size_t max_words = 1 << 20;  // of all threads
  static constexpr std::size_t max_stack = 2048;     // words of one; deeper nesting is not offered

  explicit Machine(const Program& program) : program_(program) {}

  Threads start();
  // The threads after one more byte; none if no text of the language goes on like that.
  Threads step(const Threads& threads, std::uint8_t byte);
  static bool finished(const Threads& threads) { return !threads.empty() && threads.front().empty(); }

  // Threads that behave like these for the next n bytes, in a form shared by many: counts far from their bounds become
  // one and the same.
  Threads representative(const Threads& threads, std::uint32_t n) const;

 private:
  void read(const Thread& thread, std::uint8_t byte);
  void read_dfa(Thread thread, const Inst& inst, std::uint8_t byte);
  void read_string(Thread thread, const Inst& inst, std::uint8_t byte);
  void read_number(Thread thread, const Inst& inst, std::uint8_t byte);
  void read_object(Thread thread, const Inst& inst, std::uint8_t byte);
  void read_array(Thread thread, const Inst& inst, std::uint8_t byte);

  // Follows what reads nothing, from the pending threads, and gives the result.
  Threads settle();
  void settle(Thread thread);
  // Makes pc the top frame, with its words as at its start.
  void enter(Thread& thread, std::uint32_t pc) const;
  // Takes the top frame off and goes on at pc.
  void leave(Thread thread, const Inst& inst, std::uint32_t pc);
  void pend(Thread thread);
  std::size_t frame_words(const Inst& inst) const;

  const Program& program_;
  std::vector<Thread> pending_;
  Threads settled_;
  std::size_t n_words_ = 0;
};

}  // namespace llm::sampling

#endif
