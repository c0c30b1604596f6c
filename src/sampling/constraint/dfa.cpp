#include "sampling/constraint/dfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace llm::sampling {
namespace {

struct HashWords {
  std::size_t operator()(const std::vector<std::uint32_t>& words) const {
    std::uint64_t h = 0x9e3779b97f4a7c15u;
    for (std::uint32_t w : words) h = (h ^ w) * 0xff51afd7ed558ccdu, h ^= h >> 32;
    return static_cast<std::size_t>(h);
  }
};

// Removes states that cannot accept and renumbers; state 0 stays first.
void trim(Dfa& dfa) {
  const std::size_t n = dfa.states.size();
  std::vector<std::vector<std::uint32_t>> sources(n);
  for (std::uint32_t s = 0; s < n; ++s) {
    for (const Dfa::Edge& e : dfa.states[s].edges) sources[e.target].push_back(s);
  }
  std::vector<std::uint32_t> name(n, Dfa::dead);
  std::vector<std::uint32_t> work;
  for (std::uint32_t s = 0; s < n; ++s) {
    if (dfa.accepts(s)) work.push_back(s), name[s] = 0;
  }
  while (!work.empty()) {
    const std::uint32_t s = work.back();
    work.pop_back();
    for (std::uint32_t source : sources[s]) {
      if (name[source] == Dfa::dead) work.push_back(source), name[source] = 0;
    }
  }
  if (n == 0 || name[0] == Dfa::dead) {
    dfa.states.clear();
    return;
  }
  std::uint32_t n_live = 0;
  for (std::uint32_t s = 0; s < n; ++s) {
    if (name[s] != Dfa::dead) name[s] = n_live++;
  }
  for (std::uint32_t s = 0; s < n; ++s) {
    if (name[s] == Dfa::dead) continue;
    Dfa::State state = std::move(dfa.states[s]);
    std::erase_if(state.edges, [&](const Dfa::Edge& e) { return name[e.target] == Dfa::dead; });
    for (Dfa::Edge& e : state.edges) e.target = name[e.target];
    dfa.states[name[s]] = std::move(state);
  }
  dfa.states.resize(n_live);
}

void append_edge(std::vector<Dfa::Edge>& edges, Dfa::Edge edge) {
  if (!edges.empty() && edges.back().target == edge.target && edges.back().high + 1 == edge.low) {
    edges.back().high = edge.high;
  } else {
    edges.push_back(edge);
  }
}

}  // namespace

std::uint32_t Dfa::step(std::uint32_t state, std::uint8_t byte) const {
  const std::vector<Edge>& edges = states[state].edges;
  const auto edge =
      std::lower_bound(edges.begin(), edges.end(), byte, [](const Edge& e, std::uint8_t b) { return e.high < b; });
  return edge != edges.end() && edge->low <= byte ? edge->target : dead;
}

std::uint32_t Dfa::run(std::uint32_t state, std::string_view bytes) const {
  for (char c : bytes) {
    if (state == dead) return dead;
    state = step(state, static_cast<std::uint8_t>(c));
  }
  return state;
}

bool Dfa::matches(std::string_view text) const {
  if (empty()) return false;
  const std::uint32_t end = run(0, text);
  return end != dead && accepts(end);
}

std::uint32_t DfaBuilder::add_state() {
  if (nfa_.size() >= max_nfa_states) {
    throw Error(ErrorCode::usage, fmt::format("{}: more than {} states", what_, max_nfa_states));
  }
  budget_.spend(1, what_);
  nfa_.emplace_back();
  return static_cast<std::uint32_t>(nfa_.size() - 1);
}

std::uint32_t DfaBuilder::add_set(const CodePointSet& set, std::uint32_t from) {
  const std::uint32_t to = add_state();
  for (const ByteSequence& sequence : utf8_sequences(set)) {
    std::uint32_t at = from;
    for (std::size_t i = 0; i < sequence.size; ++i) {
      const std::uint32_t next = i + 1 == sequence.size ? to : add_state();
      nfa_[at].edges.push_back({sequence.ranges[i].low, sequence.ranges[i].high, next});
      at = next;
    }
  }
  return to;
}

std::uint32_t DfaBuilder::add_expr(const Syntax& syntax, std::uint32_t node, std::uint32_t from) {
  const Expr& expr = syntax.nodes[node];
  switch (expr.kind) {
    case Expr::Kind::set:
      return add_set(syntax.sets[expr.index], from);
    case Expr::Kind::sequence:
      for (std::uint32_t item : expr.items) from = add_expr(syntax, item, from);
      return from;
    case Expr::Kind::choice: {
      const std::uint32_t to = add_state();
      for (std::uint32_t item : expr.items) {
        const std::uint32_t begin = add_state();
        nfa_[from].next.push_back(begin);
        nfa_[add_expr(syntax, item, begin)].next.push_back(to);
      }
      return to;
    }
    case Expr::Kind::repeat: {
      for (std::uint32_t i = 0; i < expr.min; ++i) from = add_expr(syntax, expr.items[0], from);
      const std::uint32_t to = add_state();
      if (expr.max == unlimited) {
        nfa_[from].next.push_back(to);
        nfa_[add_expr(syntax, expr.items[0], to)].next.push_back(to);
        return to;
      }
      for (std::uint32_t i = expr.min; i < expr.max; ++i) {
        nfa_[from].next.push_back(to);
        const std::uint32_t begin = add_state();
        nfa_[from].next.push_back(begin);
        from = add_expr(syntax, expr.items[0], begin);
      }
      nfa_[from].next.push_back(to);
      return to;
    }
    case Expr::Kind::begin:
    case Expr::Kind::end: {
      const std::uint32_t to = add_state();
      (expr.kind == Expr::Kind::begin ? nfa_[from].if_begin : nfa_[from].if_end).push_back(to);
      return to;
    }
    case Expr::Kind::rule:
      break;
  }
  throw Error(ErrorCode::internal, fmt::format("{}: a rule in a regular expression", what_));
}

void DfaBuilder::add_any_text(std::uint32_t state) {
  nfa_[add_set(CodePointSet::all(), state)].next.push_back(state);
}

void DfaBuilder::add(const Syntax& syntax, std::uint32_t tag, bool search) {
  std::uint32_t state = add_state();
  nfa_[0].next.push_back(state);
  if (search) add_any_text(state);
  state = add_expr(syntax, syntax.root, state);
  if (search) {
    const std::uint32_t rest = add_state();
    nfa_[state].next.push_back(rest);
    add_any_text(rest);
    state = rest;
  }
  nfa_[state].tags.push_back(tag);
}

void DfaBuilder::add_literal(std::string_view bytes, std::uint32_t tag) {
  std::uint32_t at = add_state();
  nfa_[0].next.push_back(at);
  for (char c : bytes) {
    const std::uint32_t next = add_state();
    nfa_[at].edges.push_back({static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c), next});
    at = next;
  }
  nfa_[at].tags.push_back(tag);
}

void DfaBuilder::add_everything(std::uint32_t tag) {
  const std::uint32_t state = add_state();
  nfa_[0].next.push_back(state);
  add_any_text(state);
  nfa_[state].tags.push_back(tag);
}

// A state is live if an accepting state can be reached; behind an end assertion no byte may follow.
void DfaBuilder::mark_live() {
  std::vector<std::vector<std::uint32_t>> silent(nfa_.size()), ending(nfa_.size()), reading(nfa_.size());
  std::vector<std::uint32_t> work;
  std::vector<bool> at_end(nfa_.size());
  for (std::uint32_t s = 0; s < nfa_.size(); ++s) {
    for (std::uint32_t t : nfa_[s].next) silent[t].push_back(s);
    for (std::uint32_t t : nfa_[s].if_begin) silent[t].push_back(s);
    for (std::uint32_t t : nfa_[s].if_end) ending[t].push_back(s);
    for (const Dfa::Edge& e : nfa_[s].edges) reading[e.target].push_back(s);
    if (!nfa_[s].tags.empty()) work.push_back(s), at_end[s] = true;
  }
  std::vector<std::uint32_t> accepting;  // without reading another byte
  while (!work.empty()) {
    const std::uint32_t s = work.back();
    work.pop_back();
    accepting.push_back(s);
    for (const auto* sources : {&silent[s], &ending[s]}) {
      for (std::uint32_t source : *sources) {
        if (!at_end[source]) work.push_back(source), at_end[source] = true;
      }
    }
  }
  work = accepting;
  for (std::uint32_t s : work) nfa_[s].live = true;
  while (!work.empty()) {
    const std::uint32_t s = work.back();
    work.pop_back();
    for (const auto* sources : {&silent[s], &reading[s]}) {
      for (std::uint32_t source : *sources) {
        if (!nfa_[source].live) work.push_back(source), nfa_[source].live = true;
      }
    }
  }
}

// Adds what is reached without reading; the result is sorted.
void DfaBuilder::close(std::vector<std::uint32_t>& set, bool at_begin, bool at_end) {
  ++generation_;
  std::vector<std::uint32_t> work;
  work.swap(set);
  for (std::uint32_t s : work) mark_[s] = generation_;
  while (!work.empty()) {
    const std::uint32_t s = work.back();
    work.pop_back();
    if (nfa_[s].live || at_end) set.push_back(s);
    const auto follow = [&](const std::vector<std::uint32_t>& targets) {
      for (std::uint32_t t : targets) {
        if (mark_[t] != generation_) mark_[t] = generation_, work.push_back(t);
      }
    };
    follow(nfa_[s].next);
    if (at_begin) follow(nfa_[s].if_begin);
    if (at_end) follow(nfa_[s].if_end);
    budget_.spend(1 + nfa_[s].next.size(), what_);
  }
  std::sort(set.begin(), set.end());
}

Dfa DfaBuilder::build(std::size_t max_states) {
  mark_live();
  mark_.assign(nfa_.size(), 0);
  Dfa dfa;
  std::unordered_map<std::vector<std::uint32_t>, std::uint32_t, HashWords> names;
  std::vector<std::vector<std::uint32_t>> sets;
  const auto name_of = [&](std::vector<std::uint32_t> set, bool at_begin) {
    close(set, at_begin, false);
    if (set.empty()) return Dfa::dead;
    // The start differs from an equal set in the middle: only there `^$` accepts.
    std::vector<std::uint32_t> key = set;
    if (at_begin) key.push_back(0xffffffff);
    const auto [found, added] = names.try_emplace(std::move(key), static_cast<std::uint32_t>(sets.size()));
    if (!added) return found->second;
    if (sets.size() >= max_states) {
      throw Error(ErrorCode::usage,
                  fmt::format("{}: more than {} states after making it deterministic", what_, max_states));
    }
    std::vector<std::uint32_t> ends = set;
    close(ends, at_begin, true);
    Dfa::State state;
    for (std::uint32_t s : ends) state.tags.insert(state.tags.end(), nfa_[s].tags.begin(), nfa_[s].tags.end());
    std::sort(state.tags.begin(), state.tags.end());
    state.tags.erase(std::unique(state.tags.begin(), state.tags.end()), state.tags.end());
    dfa.states.push_back(std::move(state));
    sets.push_back(std::move(set));
    return found->second;
  };
  name_of({0}, true);
  for (std::uint32_t s = 0; s < sets.size(); ++s) {
    // Between two neighbouring borders all bytes lead to the same states.
    std::vector<bool> border(257);
    std::vector<Dfa::Edge> edges;
    for (std::uint32_t n : sets[s]) edges.insert(edges.end(), nfa_[n].edges.begin(), nfa_[n].edges.end());
    for (const Dfa::Edge& e : edges) border[e.low] = border[static_cast<std::size_t>(e.high) + 1] = true;
    budget_.spend(sets[s].size() + edges.size() + 1, what_);
    std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.low < b.low; });
    std::vector<Dfa::Edge> active;
    std::size_t next = 0;
    for (std::uint32_t low = 0; low < 256;) {
      std::uint32_t high = low;
      while (high < 255 && !border[high + 1]) ++high;
      std::erase_if(active, [&](const Dfa::Edge& e) { return e.high < low; });
      while (next < edges.size() && edges[next].low <= low) active.push_back(edges[next++]);
      if (!active.empty()) {
        std::vector<std::uint32_t> targets;
        targets.reserve(active.size());
        for (const Dfa::Edge& e : active) targets.push_back(e.target);
        std::sort(targets.begin(), targets.end());
        targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
        budget_.spend(2 * active.size(), what_);
        const std::uint32_t target = name_of(std::move(targets), false);
        if (target != Dfa::dead) {
          append_edge(dfa.states[s].edges, {static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), target});
        }
      }
      low = high + 1;
    }
  }
  trim(dfa);
  return dfa;
}

Dfa intersect(const Dfa& a, const Dfa& b, Budget& budget, std::string_view what) {
  Dfa product;
  if (a.empty() || b.empty()) return product;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> names;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto name_of = [&](std::uint32_t x, std::uint32_t y) {
    const auto [found, added] = names.try_emplace({x, y}, static_cast<std::uint32_t>(pairs.size()));
    if (added) {
      if (pairs.size() >= DfaBuilder::max_dfa_states) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: more than {} states of patterns together", what, DfaBuilder::max_dfa_states));
      }
      pairs.emplace_back(x, y);
      product.states.push_back({{}, b.accepts(y) ? a.states[x].tags : std::vector<std::uint32_t>{}});
    }
    return found->second;
  };
  name_of(0, 0);
  for (std::size_t s = 0; s < pairs.size(); ++s) {
    const auto [x, y] = pairs[s];
    for (const Dfa::Edge& e : a.states[x].edges) {
      for (const Dfa::Edge& f : b.states[y].edges) {
        const std::uint8_t low = std::max(e.low, f.low), high = std::min(e.high, f.high);
        budget.spend(4, what);
        if (low > high) continue;
        const std::uint32_t target = name_of(e.target, f.target);
        append_edge(product.states[s].edges, {low, high, target});
      }
    }
  }
  trim(product);
  return product;
}

bool disjoint(const Dfa& a, const Dfa& b, Budget& budget, std::string_view what) {
  return intersect(a, b, budget, what).empty();
}

}  // namespace llm::sampling
