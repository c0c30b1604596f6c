#include "sampling/constraint/automaton.h"

#include <fmt/format.h>

namespace llm::sampling {
namespace {

std::size_t hash_of(const Threads& threads) {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (const Thread& thread : threads) {
    for (std::uint32_t w : thread) {
      h = (h ^ w) * 0xff51afd7ed558ccdu;
      h ^= h >> 32;
    }
    h = (h + thread.size()) * 0xc4ceb9fe1a85ec53u;
  }
  return static_cast<std::size_t>(h);
}

std::size_t bytes_of(const Threads& threads) {
  std::size_t n = 256;  // the state itself and its place in the table
  for (const Thread& thread : threads) n += sizeof(Thread) + 16 + thread.size() * sizeof(std::uint32_t);
  return n;
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Constraint::Impl> constraint, const VocabularyIndex& vocabulary)
    : constraint_(std::move(constraint)), vocabulary_(vocabulary), machine_(constraint_->program) {}

void Automaton::account(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > max_bytes_within_call) {
    throw Error(ErrorCode::usage,
                fmt::format("constraint: the states for one token take more than {} MB", max_bytes_within_call >> 20));
  }
  if (++n_accounts_ % 16 == 0 && thread_time() > deadline_) {
    throw Error(ErrorCode::usage,
                fmt::format("constraint: finding the allowed tokens takes longer than {} ms", max_mask_time.count()));
  }
}

// Called where no plain pointer to a state is in use but the caller's own, which a shared one keeps alive.
void Automaton::forget_if_large() {
  deadline_ = thread_time() + max_mask_time;
  if (bytes_ <= max_bytes) return;
  ++generation_;
  states_.clear();
  bytes_ = 0;
}

AutomatonState* Automaton::intern(Threads threads) {
  if (threads.empty()) return &dead_;
  auto state = std::make_shared<AutomatonState>();
  state->hash = hash_of(threads);
  state->threads = std::move(threads);
  state->generation = generation_;
  const auto [found, added] = states_.insert(std::move(state));
  if (added) account(bytes_of((*found)->threads));
  return found->get();
}

AutomatonState* Automaton::step(AutomatonState& state, std::uint8_t byte) {
  if (state.generation != generation_) {
    state.next.reset();
    state.generation = generation_;
  }
  if (!state.next) {
    state.next = std::make_unique<std::array<AutomatonState*, 256>>();
    account(sizeof(*state.next));
  }
  AutomatonState*& next = (*state.next)[byte];
  if (next == nullptr) next = intern(machine_.step(state.threads, byte));
  return next;
}

std::shared_ptr<AutomatonState> Automaton::start() {
  const std::lock_guard lock(mutex_);
  forget_if_large();
  return intern(machine_.start())->shared_from_this();
}

std::shared_ptr<AutomatonState> Automaton::advance(AutomatonState& state, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  forget_if_large();
  AutomatonState* at = &state;
  for (char c : bytes) {
    at = step(*at, static_cast<std::uint8_t>(c));
    if (at == &dead_) return nullptr;
  }
  return at->shared_from_this();
}

void Automaton::walk(const TokenTrie& trie, AutomatonState& from, TokenMask& mask) {
  std::vector<AutomatonState*> path(trie.max_depth() + 1);  // state before the byte of each depth
  path[0] = &from;
  const std::vector<TokenTrie::Node>& nodes = trie.nodes();
  for (std::size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    AutomatonState* next = step(*path[node.depth], node.byte);
    if (next == &dead_) {
      i = node.skip;
      continue;
    }
    path[static_cast<std::size_t>(node.depth) + 1] = next;
    for (std::int32_t token = node.token; token >= 0; token = trie.next_same(token)) mask.set(token);
    ++i;
  }
}

std::shared_ptr<const TokenMask> Automaton::mask(AutomatonState& state) {
  const std::lock_guard lock(mutex_);
  if (state.mask) return state.mask;
  forget_if_large();
  const auto max_short = static_cast<std::uint32_t>(VocabularyIndex::max_short_bytes);
  const std::shared_ptr<AutomatonState> common =
      intern(machine_.representative(state.threads, max_short))->shared_from_this();
  if (!common->short_mask) {
    auto found = std::make_shared<TokenMask>(vocabulary_.tokens.n_vocab());
    walk(vocabulary_.short_tokens, *common, *found);
    common->short_mask = std::move(found);
    account(common->short_mask->bytes());
  }
  auto all = std::make_shared<TokenMask>(*common->short_mask);
  walk(vocabulary_.long_tokens, state, *all);
  if (Machine::finished(state.threads)) {
    for (TokenId id : vocabulary_.tokens.end_of_generation()) all->set(id);
  }
  state.mask = std::move(all);
  account(state.mask->bytes());
  return state.mask;
}

std::string Automaton::forced_bytes(AutomatonState& from, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  forget_if_large();
  std::string bytes;
  AutomatonState* state = &from;
  while (bytes.size() < limit && !Machine::finished(state->threads)) {
    if (!state->forced) {
      std::string only;
      // Letters first: where much is allowed, two of them end the search.
      for (std::uint32_t i = 0; i < 256 && only.size() < 2; ++i) {
        const auto byte = static_cast<std::uint8_t>(i + 'a');
        if (step(*state, byte) != &dead_) only += static_cast<char>(byte);
      }
      state->forced = only.size() == 1 ? only : std::string();
    }
    if (state->forced->empty()) break;
    bytes += *state->forced;
    state = step(*state, static_cast<std::uint8_t>(state->forced->front()));
  }
  return bytes;
}

ConstraintState::ConstraintState(const Constraint& constraint, const VocabularyIndex& vocabulary)
    : automaton_(std::make_shared<Automaton>(constraint.impl(), vocabulary)), state_(automaton_->start()) {}

bool ConstraintState::advance(TokenId token) {
  const TokenTable& tokens = automaton_->vocabulary().tokens;
  if (tokens.is_end_of_generation(token)) return can_end();
  const std::string_view bytes = tokens.bytes(token);
  return !bytes.empty() && advance(bytes);
}

bool ConstraintState::advance(std::string_view bytes) {
  std::shared_ptr<AutomatonState> next = automaton_->advance(*state_, bytes);
  if (!next) return false;
  state_ = std::move(next);
  return true;
}

bool ConstraintState::can_end() const {
  return Machine::finished(state_->threads);
}

bool ConstraintState::must_end() const {
  return can_end() && state_->threads.size() == 1;
}

std::shared_ptr<const TokenMask> ConstraintState::mask() const {
  return automaton_->mask(*state_);
}

std::string ConstraintState::forced_bytes(std::size_t limit) const {
  return automaton_->forced_bytes(*state_, limit);
}

std::vector<TokenId> ConstraintState::forced_tokens(std::size_t limit) const {
  const std::string bytes = forced_bytes(limit);
  const VocabularyIndex& vocabulary = automaton_->vocabulary();
  std::vector<TokenId> tokens;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    TokenId token = vocabulary.long_tokens.longest_prefix(rest);
    if (token < 0) token = vocabulary.short_tokens.longest_prefix(rest);
    if (token < 0) break;
    const std::size_t n = vocabulary.tokens.bytes(token).size();
    // What follows the forced bytes is free, and may belong to a longer token that begins with these.
    if (n == rest.size()) break;
    tokens.push_back(token);
    rest.remove_prefix(n);
  }
  return tokens;
}

}  // namespace llm::sampling
