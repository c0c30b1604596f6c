#include "sampling/constraint/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace llm::sampling {

std::uint32_t Program::add(Inst inst) {
  if (code.size() >= max_code) {
    throw Error(ErrorCode::usage, fmt::format("constraint: more than {} instructions", max_code));
  }
  code.push_back(inst);
  return static_cast<std::uint32_t>(code.size() - 1);
}

std::uint32_t Program::add_choice(std::vector<std::uint32_t> targets) {
  choices.push_back(std::move(targets));
  return add({.op = Op::choice, .arg = static_cast<std::uint32_t>(choices.size() - 1)});
}

bool StringSpec::alive(std::uint32_t state, std::uint32_t count) const {
  if (any) return count <= max_length;
  if (state == Dfa::dead) return false;
  if (live.empty()) return true;
  if (count > max_length) return false;
  return live[std::min<std::size_t>(count, live.size() - 1)][state];
}

bool StringSpec::accepts(std::uint32_t state, std::uint32_t count) const {
  if (count < min_length || count > max_length) return false;
  return any || dfa.accepts(state);
}

namespace {

// Emits code backwards: every piece is given the instruction that follows it.
class SyntaxCompiler {
 public:
  SyntaxCompiler(const Syntax& syntax, Budget& budget, std::string_view what)
      : syntax_(syntax), budget_(budget), what_(what) {
    find_nullable();
    find_productive();
    find_nonempty();
  }

  Program compile() {
    if (!productive(syntax_.root)) fail("it matches no finite text");
    program_.add({.op = Op::ret});
    program_.start = emit(syntax_.root, ret(), true, true);
    while (!waiting_.empty()) {
      const Variant variant = waiting_.back();
      waiting_.pop_back();
      const std::uint32_t entry = entries_.at(variant);
      const std::uint32_t body = variant.second ? nonempty(syntax_.rules[variant.first], ret(), false, false)
                                                : emit(syntax_.rules[variant.first], ret(), false, false);
      program_.choices[program_.code[entry].arg] = {body};
    }
    refuse_left_recursion();
    return std::move(program_);
  }

 private:
  using Variant = std::pair<std::uint32_t, bool>;  // rule; whether without its empty text

  [[noreturn]] void fail(std::string_view message) const {
    throw Error(ErrorCode::usage, fmt::format("{}: {}", what_, message));
  }

  bool nullable(std::uint32_t node) const { return nullable_[node]; }
  bool productive(std::uint32_t node) const { return productive_[node]; }

  // Least fixpoints over all nodes; a node's items are always added before it, so few rounds are needed.
  template <typename Rule>
  std::vector<bool> fixpoint(const Rule& rule) {
    std::vector<bool> value(syntax_.nodes.size());
    for (bool changed = true; changed;) {
      changed = false;
      budget_.spend(syntax_.nodes.size(), what_);
      for (std::uint32_t i = 0; i < value.size(); ++i) {
        if (!value[i] && rule(syntax_.nodes[i], value)) value[i] = changed = true;
      }
    }
    return value;
  }

  // Of every node, whether it has a string, where `set_has` says it of a set: the empty one where no set has any.
  template <typename SetHas>
  std::vector<bool> nodes_that_have(SetHas set_has) {
    return fixpoint([&](const Expr& e, const std::vector<bool>& known) {
      const auto is = [&](std::uint32_t n) { return known[n]; };
      switch (e.kind) {
        case Expr::Kind::set:
          return set_has(syntax_.sets[e.index]);
        case Expr::Kind::sequence:
          return std::all_of(e.items.begin(), e.items.end(), is);
        case Expr::Kind::choice:
          return std::any_of(e.items.begin(), e.items.end(), is);
        case Expr::Kind::repeat:
          return e.min == 0 || is(e.items[0]);
        case Expr::Kind::rule:
          return is(syntax_.rules[e.index]);
        default:
          return true;
      }
    });
  }

  void find_nullable() {
    nullable_ = nodes_that_have([](const auto&) { return false; });
  }

  void find_productive() {
    productive_ = nodes_that_have([](const auto& set) { return !set.ranges().empty(); });
  }

  void find_nonempty() {
    nonempty_ = fixpoint([&](const Expr& e, const std::vector<bool>& known) {
      const auto is = [&](std::uint32_t n) { return known[n]; };
      const auto can = [&](std::uint32_t n) { return productive(n); };
      switch (e.kind) {
        case Expr::Kind::set:
          return !syntax_.sets[e.index].ranges().empty();
        case Expr::Kind::sequence:
          return std::all_of(e.items.begin(), e.items.end(), can) && std::any_of(e.items.begin(), e.items.end(), is);
        case Expr::Kind::choice:
          return std::any_of(e.items.begin(), e.items.end(), is);
        case Expr::Kind::repeat:
          return e.max > 0 && is(e.items[0]);
        case Expr::Kind::rule:
          return is(syntax_.rules[e.index]);
        default:
          return false;
      }
    });
  }

  // Code for the node that continues at `next`. `first`, `last`: the node is at that end of the whole text.
  std::uint32_t emit(std::uint32_t node, std::uint32_t next, bool first, bool last) {
    budget_.spend(1, what_);
    const Expr& e = syntax_.nodes[node];
    if (!productive(node)) return program_.add_choice({});
    switch (e.kind) {
      case Expr::Kind::set:
        return emit_set(e.index, next);
      case Expr::Kind::sequence: {
        for (std::size_t i = e.items.size(); i-- > 0;) {
          const bool is_last = last && i + 1 == e.items.size();
          next = emit(e.items[i], next, first && only_begins(e, i), is_last || (last && only_ends(e, i)));
        }
        return next;
      }
      case Expr::Kind::choice: {
        std::vector<std::uint32_t> targets;
        for (std::uint32_t item : e.items) {
          if (productive(item)) targets.push_back(emit(item, next, first, last));
        }
        return targets.size() == 1 ? targets.front() : program_.add_choice(std::move(targets));
      }
      case Expr::Kind::repeat: {
        if (!productive(e.items[0]) || e.max == 0) return next;
        if (nullable(e.items[0])) {
          const std::uint32_t body = nonempty_if_any(e.items[0]);
          return body == no_target ? next : emit_repeat(body, 0, e.max, next);
        }
        return emit_repeat(emit(e.items[0], ret(), false, false), e.min, e.max, next);
      }
      case Expr::Kind::rule:
        return program_.add({.op = Op::call, .next = next, .arg = entry({e.index, false})});
      case Expr::Kind::begin:
        if (!first) fail("'^' inside the pattern is not supported");
        return next;
      case Expr::Kind::end:
        if (!last) fail("'$' inside the pattern is not supported");
        return next;
    }
    return next;
  }

  bool only_begins(const Expr& sequence, std::size_t n) const {
    return std::all_of(sequence.items.begin(), sequence.items.begin() + static_cast<std::ptrdiff_t>(n),
                       [&](std::uint32_t i) { return syntax_.nodes[i].kind == Expr::Kind::begin; });
  }
  bool only_ends(const Expr& sequence, std::size_t n) const {
    return std::all_of(sequence.items.begin() + static_cast<std::ptrdiff_t>(n) + 1, sequence.items.end(),
                       [&](std::uint32_t i) { return syntax_.nodes[i].kind == Expr::Kind::end; });
  }

  std::uint32_t ret() const { return 0; }

  std::uint32_t emit_repeat(std::uint32_t body, std::uint32_t min, std::uint32_t max, std::uint32_t next) {
    return program_.add({.op = Op::repeat, .next = next, .arg = body, .min = min, .max = max});
  }

  // A subroutine for the texts of the node but the empty one; no_target if there are none.
  std::uint32_t nonempty_if_any(std::uint32_t node) {
    if (!nonempty_[node]) return no_target;
    return nonempty(node, ret(), false, false);
  }

  // As emit, without the empty text.
  std::uint32_t nonempty(std::uint32_t node, std::uint32_t next, bool first, bool last) {
    budget_.spend(1, what_);
    if (!nullable(node)) return emit(node, next, first, last);
    const Expr& e = syntax_.nodes[node];
    switch (e.kind) {
      case Expr::Kind::sequence: {
        // All items are nullable: the first one that is not empty, then the rest.
        std::vector<std::uint32_t> targets;
        std::uint32_t rest = next;
        for (std::size_t i = e.items.size(); i-- > 0;) {
          targets.push_back(nonempty(e.items[i], rest, false, false));
          rest = emit(e.items[i], rest, false, false);
        }
        return program_.add_choice(std::move(targets));
      }
      case Expr::Kind::choice: {
        std::vector<std::uint32_t> targets;
        for (std::uint32_t item : e.items) {
          if (productive(item)) targets.push_back(nonempty(item, next, false, false));
        }
        return program_.add_choice(std::move(targets));
      }
      case Expr::Kind::repeat: {
        if (!productive(e.items[0]) || e.max == 0) return program_.add_choice({});
        const bool empty_item = nullable(e.items[0]);
        const std::uint32_t body = empty_item ? nonempty_if_any(e.items[0]) : emit(e.items[0], ret(), false, false);
        if (body == no_target) return program_.add_choice({});
        // min is 0 here, or the item may be empty.
        return emit_repeat(body, 1, e.max, next);
      }
      case Expr::Kind::rule:
        return program_.add({.op = Op::call, .next = next, .arg = entry({e.index, true})});
      default:
        return program_.add_choice({});
    }
  }

  std::uint32_t emit_set(std::uint32_t index, std::uint32_t next) {
    const CodePointSet& set = syntax_.sets[index];
    if (set.ranges().back().high < 0x80) {
      std::bitset<256> bytes;
      for (const CodePointRange& r : set.ranges()) {
        for (std::uint32_t c = r.low; c <= r.high; ++c) bytes.set(c);
      }
      program_.byte_sets.push_back(bytes);
      return program_.add(
          {.op = Op::bytes, .next = next, .arg = static_cast<std::uint32_t>(program_.byte_sets.size() - 1)});
    }
    const auto [found, added] = set_dfas_.try_emplace(index, static_cast<std::uint32_t>(program_.dfas.size()));
    if (added) {
      Syntax one;
      one.root = one.add_set(set);
      DfaBuilder builder(budget_, what_);
      builder.add(one, 0, false);
      program_.dfas.push_back(builder.build());
    }
    return program_.add({.op = Op::dfa, .next = next, .arg = found->second});
  }

  std::uint32_t entry(Variant variant) {
    const auto found = entries_.find(variant);
    if (found != entries_.end()) return found->second;
    const std::uint32_t index = program_.add_choice({});
    entries_.emplace(variant, index);
    rule_of_.emplace(index, variant);
    waiting_.push_back(variant);
    return index;
  }

  // A rule that can come back to itself without reading a byte would never end.
  void refuse_left_recursion() {
    // Edges of the walk that reads nothing. A call also goes to its next instruction if the rule may be empty, a
    // repeat if it may be run no times.
    enum : std::uint8_t { unseen, open, closed };
    std::vector<std::uint8_t> state(program_.code.size(), unseen);
    struct Visit {
      std::uint32_t pc;
      std::vector<std::uint32_t> targets;
      std::size_t n_done = 0;
    };
    std::vector<Visit> path;
    const auto edges = [&](std::uint32_t pc) {
      std::vector<std::uint32_t> out;
      const Inst& inst = program_.code[pc];
      if (inst.op == Op::choice) out = program_.choices[inst.arg];
      if (inst.op == Op::call) {
        out.push_back(inst.arg);
        const Variant& variant = rule_of_.at(inst.arg);
        if (!variant.second && nullable(syntax_.rules[variant.first])) out.push_back(inst.next);
      }
      if (inst.op == Op::repeat) {
        out.push_back(inst.arg);
        if (inst.min == 0) out.push_back(inst.next);
      }
      return out;
    };
    for (const auto& [start, rule] : rule_of_) {
      if (state[start] != unseen) continue;
      path.push_back({start, edges(start)});
      state[start] = open;
      while (!path.empty()) {
        budget_.spend(1, what_);
        Visit& top = path.back();
        if (top.n_done == top.targets.size()) {
          state[top.pc] = closed;
          path.pop_back();
          continue;
        }
        const std::uint32_t target = top.targets[top.n_done++];
        if (state[target] == open) {
          for (auto visit = path.rbegin(); visit != path.rend(); ++visit) {
            const auto found = rule_of_.find(visit->pc);
            if (found != rule_of_.end()) {
              fail(fmt::format("rule '{}' is left-recursive: it begins with itself",
                               syntax_.rule_names[found->second.first]));
            }
          }
          fail("left recursion");
        }
        if (state[target] == unseen) {
          state[target] = open;
          path.push_back({target, edges(target)});
        }
      }
    }
  }

  const Syntax& syntax_;
  Budget& budget_;
  std::string_view what_;
  Program program_;
  std::vector<bool> nullable_, productive_, nonempty_;  // of nodes; nonempty_: has a text that is not empty
  std::map<std::uint32_t, std::uint32_t> set_dfas_;
  std::map<Variant, std::uint32_t> entries_;
  std::map<std::uint32_t, Variant> rule_of_;  // of an entry instruction
  std::vector<Variant> waiting_;
};

}  // namespace

Program compile_syntax(const Syntax& syntax, Budget& budget, std::string_view what) {
  return SyntaxCompiler(syntax, budget, what).compile();
}

}  // namespace llm::sampling
