#include "sampling/constraint/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "sampling/constraint/json_string.h"

namespace llm::sampling {
namespace {

// Words of a frame, before the instruction.
namespace repeat_words {
enum : std::size_t { count, n_words };
}
namespace dfa_words {
enum : std::size_t { state, n_words };
}
namespace number_words {
constexpr std::size_t n_text = (NumberSpec::max_text + 3) / 4;
enum : std::size_t { size, text, n_words = text + n_text };
}  // namespace number_words
namespace object_words {
// Then the set of literal names seen, and the hash of the name being read and those of names to remember, two each.
enum : std::size_t { phase, space, count, key_class, key, n_fixed = key + json_string::n_words };
}  // namespace object_words
namespace array_words {
enum : std::size_t { phase, space, count, n_words };
}

// Of a string: words[json_string::n_words] tells whether the first quote was read.
constexpr std::size_t string_n_words = json_string::n_words + 1;

// Of objects and arrays.
enum Phase : std::uint32_t {
  begin,        // before the opening bracket
  first,        // behind it
  name,         // inside a key
  after_name,   // before the colon
  colon,        // behind it
  value,        // a frame above this one reads a value or an item
  after_value,  // before a comma or the closing bracket
  comma,        // behind a comma
};

constexpr std::uint32_t max_indent = 64;  // blanks behind a line end

// Whitespace between the parts of objects and arrays: nothing, one space, or a line end with an indentation.
// words: 0 nothing yet, 1 a space, 2 + n a line end and n blanks.
bool read_space(std::uint32_t& words, std::uint8_t byte) {
  if (words == 0 && (byte == ' ' || byte == '\n')) {
    words = byte == ' ' ? 1 : 2;
    return true;
  }
  if (words >= 2 && words < 2 + max_indent && (byte == ' ' || byte == '\t')) {
    ++words;
    return true;
  }
  return false;
}

std::size_t seen_words(const ObjectSpec& spec) {
  return (spec.n_literals + 31) / 32;
}

std::size_t object_n_words(const ObjectSpec& spec) {
  return object_words::n_fixed + seen_words(spec) + (spec.n_remembered > 0 ? 2 + 2 * spec.n_remembered : 0);
}

// An object's frame with names for its words.
class ObjectFrame {
 public:
  ObjectFrame(std::span<std::uint32_t> words, const ObjectSpec& spec) : words_(words), spec_(spec) {}

  std::uint32_t& phase() { return words_[object_words::phase]; }
  std::uint32_t& space() { return words_[object_words::space]; }
  std::uint32_t& count() { return words_[object_words::count]; }
  std::uint32_t& key_class() { return words_[object_words::key_class]; }
  json_string::Words key() { return words_.subspan<object_words::key, json_string::n_words>(); }

  bool seen(std::uint32_t literal) const {
    return (words_[object_words::n_fixed + literal / 32] >> (literal % 32) & 1) != 0;
  }

  void start_key() {
    phase() = name;
    space() = 0;
    json_string::start(key());
    if (spec_.n_remembered > 0) hash() = {0x811c9dc5u, 0x9e3779b9u};
    find_allowed();
  }

  bool may_have_another() {
    if (spec_.keys.dfa.empty()) return false;
    find_allowed();
    return reaches_allowed(0);
  }
  bool may_close() { return n_missing() == 0 && count() >= spec_.min_properties; }

  bool read_key(std::uint8_t byte) {
    find_allowed();
    if (spec_.n_remembered > 0) {
      std::array<std::uint32_t, 2> h = hash().value();
      h[0] = (h[0] ^ byte) * 0x01000193u;
      h[1] = (h[1] + byte) * 0x85ebca6bu ^ h[1] >> 15;
      hash() = h;
    }
    return json_string::read(key(), byte, spec_.keys,
                             [&](std::uint32_t state, std::uint32_t) { return reaches_allowed(state); });
  }

  // The closing quote. False: no key that is allowed ends here.
  bool end_key() {
    if (!json_string::between_characters(key())) return false;
    const std::uint32_t c = spec_.class_of[key()[json_string::state]];
    if (c == no_target) return false;
    find_allowed();
    if ((allowed_[c / 64] >> (c % 64) & 1) == 0) return false;
    if (c < spec_.n_literals) {
      words_[object_words::n_fixed + c / 32] |= 1u << (c % 32);
    } else if (spec_.n_remembered > 0 && !remember()) {
      return false;
    }
    // Counts above the least that is wanted matter only for the greatest.
    if (spec_.max_properties != unlimited || count() < spec_.min_properties) ++count();
    key_class() = c;
    json_string::start(key());
    phase() = after_name;
    return true;
  }

 private:
  std::uint32_t n_missing() const {
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < spec_.n_literals; ++i) n += spec_.required[i] && !seen(i) ? 1 : 0;
    return n;
  }

  // The classes of which another key may be.
  void find_allowed() {
    if (!allowed_.empty()) return;
    allowed_.assign((spec_.values.size() + 63) / 64, 0);
    const std::uint32_t missing = n_missing();
    for (std::uint32_t c = 0; c < spec_.values.size(); ++c) {
      if (spec_.values[c] == no_target) continue;
      const bool literal = c < spec_.n_literals;
      if (literal && seen(c)) continue;
      const std::uint64_t still = missing - (literal && spec_.required[c] ? 1 : 0);
      if (spec_.max_properties != unlimited && count() + 1 + still > spec_.max_properties) continue;
      allowed_[c / 64] |= std::uint64_t{1} << (c % 64);
    }
  }

  bool reaches_allowed(std::uint32_t state) const {
    if (state == Dfa::dead) return false;
    for (std::size_t i = 0; i < allowed_.size(); ++i) {
      if ((spec_.reaches[state][i] & allowed_[i]) != 0) return true;
    }
    return false;
  }

  class Hash {
   public:
    explicit Hash(std::span<std::uint32_t> words) : words_(words) {}
    std::array<std::uint32_t, 2> value() const { return {words_[0], words_[1]}; }
    Hash& operator=(const std::array<std::uint32_t, 2>& h) {
      words_[0] = h[0];
      words_[1] = h[1];
      return *this;
    }

   private:
    std::span<std::uint32_t> words_;
  };
  Hash hash() { return Hash(words_.subspan(object_words::n_fixed + seen_words(spec_), 2)); }

  // False: the name has occurred already.
  bool remember() {
    const std::span<std::uint32_t> names = words_.subspan(object_words::n_fixed + seen_words(spec_) + 2);
    const std::array<std::uint32_t, 2> h = hash().value();
    for (std::size_t i = 0; i < names.size(); i += 2) {
      if (names[i] == h[0] && names[i + 1] == h[1]) return false;
      if (names[i] == 0 && names[i + 1] == 0) {
        names[i] = h[0];
        names[i + 1] = h[1];
        return true;
      }
    }
    return true;
  }

  std::span<std::uint32_t> words_;
  const ObjectSpec& spec_;
  std::vector<std::uint64_t> allowed_;  // set of classes
};

std::string_view number_text(std::span<const std::uint32_t> words) {
  return {reinterpret_cast<const char*>(words.data() + number_words::text), words[number_words::size]};
}

}  // namespace

std::size_t Machine::frame_words(const Inst& inst) const {
  switch (inst.op) {
    case Op::repeat:
      return repeat_words::n_words;
    case Op::dfa:
      return dfa_words::n_words;
    case Op::string:
      return string_n_words;
    case Op::number:
      return number_words::n_words;
    case Op::object:
      return object_n_words(program_.objects[inst.arg]);
    case Op::array:
      return array_words::n_words;
    default:
      return 0;
  }
}

void Machine::enter(Thread& thread, std::uint32_t pc) const {
  thread.insert(thread.end(), frame_words(program_.code[pc]), 0);
  thread.push_back(pc);
}

void Machine::leave(Thread thread, const Inst& inst, std::uint32_t pc) {
  thread.resize(thread.size() - frame_words(inst) - 1);
  enter(thread, pc);
  pend(std::move(thread));
}

void Machine::pend(Thread thread) {
  if (thread.size() > max_stack) return;
  n_words_ += thread.size() + 4;
  if (n_words_ > max_words) {
    throw Error(ErrorCode::usage, fmt::format("constraint: more than {} words of state at one place", max_words));
  }
  pending_.push_back(std::move(thread));
}

Threads Machine::start() {
  Thread thread;
  enter(thread, program_.start);
  n_words_ = 0;
  pend(std::move(thread));
  return settle();
}

Threads Machine::step(const Threads& threads, std::uint8_t byte) {
  n_words_ = 0;
  pending_.clear();
  for (const Thread& thread : threads) {
    if (!thread.empty()) read(thread, byte);
  }
  return settle();
}

Threads Machine::settle() {
  settled_.clear();
  while (!pending_.empty()) {
    Thread thread = std::move(pending_.back());
    pending_.pop_back();
    settle(std::move(thread));
    if (settled_.size() > 4 * max_threads) {
      std::sort(settled_.begin(), settled_.end());
      settled_.erase(std::unique(settled_.begin(), settled_.end()), settled_.end());
      if (settled_.size() > max_threads) break;
    }
  }
  std::sort(settled_.begin(), settled_.end());
  settled_.erase(std::unique(settled_.begin(), settled_.end()), settled_.end());
  if (settled_.size() > max_threads) {
    pending_.clear();
    throw Error(ErrorCode::usage, fmt::format("constraint: more than {} ways to read one text", max_threads));
  }
  return std::move(settled_);
}

void Machine::settle(Thread thread) {
  const std::uint32_t pc = thread.back();
  const Inst& inst = program_.code[pc];
  const std::size_t n_frame = frame_words(inst);
  const std::span<std::uint32_t> words = std::span(thread).last(n_frame + 1).first(n_frame);
  switch (inst.op) {
    case Op::choice:
      thread.pop_back();
      for (std::uint32_t target : program_.choices[inst.arg]) {
        Thread copy = thread;
        enter(copy, target);
        pend(std::move(copy));
      }
      return;
    case Op::call:
      thread.pop_back();
      if (program_.code[inst.next].op != Op::ret) enter(thread, inst.next);
      enter(thread, inst.arg);
      return pend(std::move(thread));
    case Op::ret:
      thread.pop_back();
      if (!thread.empty()) return pend(std::move(thread));
      break;
    case Op::repeat: {
      std::uint32_t& count = words[repeat_words::count];
      if (count >= inst.min) leave(thread, inst, inst.next);
      if (count >= inst.max && inst.max != unlimited) return;
      count = inst.max == unlimited ? std::min(count + 1, inst.min) : count + 1;
      enter(thread, inst.arg);
      return pend(std::move(thread));
    }
    case Op::dfa: {
      const Dfa& dfa = program_.dfas[inst.arg];
      if (dfa.empty()) return;
      if (dfa.accepts(words[dfa_words::state])) leave(thread, inst, inst.next);
      if (dfa.states[words[dfa_words::state]].edges.empty()) return;
      break;
    }
    case Op::number:
      if (program_.numbers[inst.arg].accepts(number_text(words))) leave(thread, inst, inst.next);
      break;
    case Op::object: {
      ObjectFrame frame(words, program_.objects[inst.arg]);
      if (frame.phase() == value) frame.phase() = after_value;
      if (frame.phase() == colon) {
        Thread copy = thread;
        ObjectFrame in_copy(std::span<std::uint32_t>(copy).last(n_frame + 1).first(n_frame),
                            program_.objects[inst.arg]);
        const std::uint32_t target = program_.objects[inst.arg].values[in_copy.key_class()];
        in_copy.phase() = value;
        in_copy.space() = 0;
        in_copy.key_class() = 0;
        enter(copy, target);
        pend(std::move(copy));
      }
      break;
    }
    case Op::array: {
      const ArraySpec& spec = program_.arrays[inst.arg];
      std::uint32_t& phase = words[array_words::phase];
      std::uint32_t& count = words[array_words::count];
      if (phase == value) {
        phase = after_value;
        const std::uint32_t enough = std::max(spec.min_items, static_cast<std::uint32_t>(spec.prefix.size()));
        if (spec.max_items != unlimited || count < enough) ++count;
      }
      if ((phase == first || phase == comma) && count < spec.max_items && spec.item(count) != no_target) {
        Thread copy = thread;
        const std::span<std::uint32_t> in_copy = std::span(copy).last(n_frame + 1).first(n_frame);
        in_copy[array_words::phase] = value;
        in_copy[array_words::space] = 0;
        enter(copy, spec.item(count));
        pend(std::move(copy));
      }
      break;
    }
    case Op::bytes:
    case Op::string:
      break;
  }
  settled_.push_back(std::move(thread));
}

void Machine::read(const Thread& thread, std::uint8_t byte) {
  const Inst& inst = program_.code[thread.back()];
  switch (inst.op) {
    case Op::bytes:
      if (program_.byte_sets[inst.arg][byte]) leave(thread, inst, inst.next);
      return;
    case Op::dfa:
      return read_dfa(thread, inst, byte);
    case Op::string:
      return read_string(thread, inst, byte);
    case Op::number:
      return read_number(thread, inst, byte);
    case Op::object:
      return read_object(thread, inst, byte);
    case Op::array:
      return read_array(thread, inst, byte);
    default:
      return;
  }
}

void Machine::read_dfa(Thread thread, const Inst& inst, std::uint8_t byte) {
  std::uint32_t& state = thread[thread.size() - 1 - dfa_words::n_words + dfa_words::state];
  state = program_.dfas[inst.arg].step(state, byte);
  if (state != Dfa::dead) pend(std::move(thread));
}

void Machine::read_string(Thread thread, const Inst& inst, std::uint8_t byte) {
  const StringSpec& spec = program_.strings[inst.arg];
  const std::span<std::uint32_t> words = std::span(thread).last(string_n_words + 1);
  const json_string::Words text = words.first<json_string::n_words>();
  std::uint32_t& opened = words[json_string::n_words];
  if (opened == 0) {
    if (byte != '"' || (!spec.any && spec.dfa.empty())) return;
    opened = 1;
    return pend(std::move(thread));
  }
  if (byte == '"' && json_string::between_characters(text)) {
    if (spec.accepts(text[json_string::state], text[json_string::length])) leave(std::move(thread), inst, inst.next);
    return;
  }
  const auto alive = [&](std::uint32_t state, std::uint32_t length) { return spec.alive(state, length); };
  if (!json_string::read(text, byte, spec, alive)) return;
  // A length that can no longer matter is not counted: all long texts are one state.
  if (spec.max_length == unlimited) text[json_string::length] = std::min(text[json_string::length], spec.min_length);
  pend(std::move(thread));
}

void Machine::read_number(Thread thread, const Inst& inst, std::uint8_t byte) {
  const NumberSpec& spec = program_.numbers[inst.arg];
  const std::span<std::uint32_t> words = std::span(thread).last(number_words::n_words + 1);
  const std::uint32_t size = words[number_words::size];
  if (size >= NumberSpec::max_text) return;
  char* text = reinterpret_cast<char*>(words.data() + number_words::text);
  text[size] = static_cast<char>(byte);
  words[number_words::size] = size + 1;
  if (!spec.can_become(number_text(words))) return;
  if (!spec.low && !spec.high && !spec.multiple) {
    // Without bounds the digits before an exponent do not matter, only how many there are and a zero in front.
    const std::string_view all(text, size + 1);
    const std::size_t end = std::min(all.find_first_of("eE"), all.size());
    const std::size_t from = all[0] == '-' ? 1 : 0;
    for (std::size_t i = from; i < end; ++i) {
      const bool leading_zero = i == from && text[i] == '0';
      const bool fraction = !spec.integer || all.substr(0, i).find('.') == std::string_view::npos;
      if (text[i] >= '0' && text[i] <= '9' && !leading_zero && fraction) text[i] = '1';
    }
  }
  pend(std::move(thread));
}

void Machine::read_object(Thread thread, const Inst& inst, std::uint8_t byte) {
  const ObjectSpec& spec = program_.objects[inst.arg];
  const std::size_t n_frame = object_n_words(spec);
  ObjectFrame frame(std::span<std::uint32_t>(thread).last(n_frame + 1).first(n_frame), spec);
  switch (frame.phase()) {
    case begin:
      if (byte != '{') return;
      frame.phase() = first;
      break;
    case first:
    case after_value:
    case comma: {
      const std::uint32_t phase = frame.phase();
      if (byte == '}' && phase != comma) {
        if (frame.may_close()) leave(std::move(thread), inst, inst.next);
        return;
      }
      if (byte == ',' && phase == after_value) {
        if (!frame.may_have_another()) return;
        frame.phase() = comma;
        frame.space() = 0;
      } else if (byte == '"' && phase != after_value) {
        if (!frame.may_have_another()) return;
        frame.start_key();
      } else if (!read_space(frame.space(), byte)) {
        return;
      }
      break;
    }
    case name:
      if (byte == '"' && json_string::between_characters(frame.key())) {
        if (!frame.end_key()) return;
      } else if (!frame.read_key(byte)) {
        return;
      }
      break;
    case after_name:
      if (byte != ':') return;
      frame.phase() = colon;
      break;
    case colon:
      if (!read_space(frame.space(), byte)) return;
      break;
    default:
      return;
  }
  pend(std::move(thread));
}

void Machine::read_array(Thread thread, const Inst& inst, std::uint8_t byte) {
  const ArraySpec& spec = program_.arrays[inst.arg];
  const std::span<std::uint32_t> words = std::span(thread).last(array_words::n_words + 1);
  std::uint32_t& phase = words[array_words::phase];
  const std::uint32_t count = words[array_words::count];
  if (phase == begin) {
    if (byte != '[') return;
    phase = first;
  } else if (byte == ']' && (phase == first || phase == after_value)) {
    if (count >= spec.min_items) leave(std::move(thread), inst, inst.next);
    return;
  } else if (byte == ',' && phase == after_value) {
    if (count >= spec.max_items || spec.item(count) == no_target) return;
    phase = comma;
    words[array_words::space] = 0;
  } else if (!read_space(words[array_words::space], byte)) {
    return;
  }
  pend(std::move(thread));
}

Threads Machine::representative(const Threads& threads, std::uint32_t n) const {
  // A count that cannot reach its least or its greatest within n bytes may be any such count.
  const auto soften = [&](std::uint32_t& count, std::uint32_t zero, std::uint32_t min, std::uint32_t max) {
    if (count < zero) return;
    if (std::uint64_t{count} + n < min) {
      count = zero;
    } else if (count >= min && (max == unlimited || std::uint64_t{count} + n < max)) {
      count = std::max(min, zero);
    }
  };
  Threads result = threads;
  for (Thread& thread : result) {
    for (std::size_t end = thread.size(); end > 0;) {
      const Inst& inst = program_.code[thread[end - 1]];
      const std::size_t begin_words = end - 1 - frame_words(inst);
      std::uint32_t* words = thread.data() + begin_words;
      if (inst.op == Op::repeat) soften(words[repeat_words::count], 0, inst.min, inst.max);
      if (inst.op == Op::string && program_.strings[inst.arg].live.empty()) {
        const StringSpec& spec = program_.strings[inst.arg];
        soften(words[json_string::length], 0, spec.min_length, spec.max_length);
      }
      if (inst.op == Op::array) {
        const ArraySpec& spec = program_.arrays[inst.arg];
        soften(words[array_words::count], static_cast<std::uint32_t>(spec.prefix.size()), spec.min_items,
               spec.max_items);
      }
      end = begin_words;
    }
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

}  // namespace llm::sampling
