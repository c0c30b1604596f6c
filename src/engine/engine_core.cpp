#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <llm/error.hpp>

#include "engine/invariants.h"
#include "engine/saved_state.h"

namespace llm::engine {

namespace {

constexpr std::size_t max_checkpoints = 8;  // of a sequence
// Waiting for an older sequence to compute a common beginning pays from so many ids on.
constexpr std::int64_t least_shared = 16;

}  // namespace

struct EngineCore::Sequence {
  Sequence(StatePool& pool, Id id_, SequenceOptions&& o, SequenceClient& c)
      : id(id_),
        ids(std::move(o.ids)),
        source(std::move(o.source)),
        token_types(std::move(o.token_types)),
        state(pool, o.max_ids, static_cast<std::int64_t>(source.size())),
        client(&c),
        max_ids(o.max_ids),
        n_prompt(static_cast<std::int64_t>(ids.size())),
        outputs_from(o.outputs_from),
        kind(o.kind),
        whole(o.whole),
        held(o.held) {
    ids.reserve(static_cast<std::size_t>(max_ids));
    checkpoints.reserve(max_checkpoints);
  }

  std::int64_t n_ids() const { return static_cast<std::int64_t>(ids.size()); }
  // The first id whose results are wanted has to be evaluated; what lies before may be taken over.
  std::int64_t n_shareable() const { return std::min(outputs_from, n_ids() - 1); }
  bool needs_source() const { return !source.empty() && !source_done && outputs_from < n_ids(); }

  Id id;
  std::vector<TokenId> ids, source;
  std::vector<std::int32_t> token_types;
  SequenceState state;
  SequenceClient* client;
  std::int64_t max_ids;
  std::int64_t n_prompt;  // ids that may be shared with others while they are evaluated
  std::int64_t outputs_from;
  std::int64_t n_guesses = 0;
  std::vector<std::int64_t> checkpoints;  // ascending positions at which the state is to be remembered
  OutputKind kind;
  bool whole, held;
  bool running = false, source_done = false, finished = false, has_begun = false;
};

// The scheduler's view of the pool and the tree.
class EngineCore::Memory : public StepMemory {
 public:
  explicit Memory(EngineCore& core) : core_(core) {}

  bool admit(std::size_t index, SequenceView& view) override {
    Sequence& sequence = *core_.sequences_[index];
    std::int64_t n_cached = core_.sharing_ ? resume(sequence) : 0;
    if (!has_room(sequence, n_cached)) {
      // What it took over also takes room.
      sequence.state.clear();
      n_cached = 0;
      if (!has_room(sequence, 0)) return false;
    }
    const auto n_source = static_cast<std::int64_t>(sequence.source.size());
    if (n_source > 0 && !sequence.state.reserve_source(n_source)) return false;
    sequence.running = true;
    if (!sequence.has_begun) {
      sequence.has_begun = true;
      sequence.client->began(n_cached);
    }
    view.n_done = n_cached;
    view.stop_at = core_.stop_at(sequence, n_cached);
    return true;
  }

  bool reserve(std::size_t index, std::int64_t n_rows) override {
    Sequence& sequence = *core_.sequences_[index];
    if (sequence.state.reserve(n_rows)) return true;
    core_.tree_.make_room(sequence.state.bytes_to_reserve(n_rows));
    return sequence.state.reserve(n_rows);
  }

  void unreserve(std::size_t index) override { core_.sequences_[index]->state.unreserve(); }

  void preempt(std::size_t index) override {
    Sequence& sequence = *core_.sequences_[index];
    core_.remember_all(sequence, false);
    sequence.state.clear();
    sequence.running = false;
    sequence.source_done = false;
    ++core_.counters_.n_preempted;
  }

  void refuse(std::size_t index) override {
    Sequence& sequence = *core_.sequences_[index];
    const std::uint64_t bytes =
        state_bytes(core_.pool_, 0, sequence.n_ids() + 1, static_cast<std::int64_t>(sequence.source.size()),
                    core_.options_.limits.chunk);
    core_.fail(sequence, std::make_exception_ptr(Error(
                             ErrorCode::memory, fmt::format("sequence of {} tokens: its state takes {} bytes, "
                                                            "expected at most {} (memory for keys and values)",
                                                            sequence.n_ids(), bytes, core_.pool_.budget_bytes()))));
  }

 private:
  bool has_room(const Sequence& sequence, std::int64_t n_cached) {
    // One position more than is known: room for a first answer.
    const std::int64_t n = std::min(sequence.n_ids() + 1, sequence.max_ids);
    return core_.tree_.make_room(state_bytes(
        core_.pool_, n_cached, n, static_cast<std::int64_t>(sequence.source.size()), core_.options_.limits.chunk));
  }

  std::int64_t resume(Sequence& sequence) {
    const std::int64_t limit = sequence.n_shareable();
    if (limit <= 0) return 0;
    const std::span<const TokenId> ids = std::span(sequence.ids).first(static_cast<std::size_t>(limit));
    if (core_.recurrent_) {
      // Where others branch off, and before the end of the prompt: there a record will serve the next ones.
      const std::int64_t block = core_.pool_.block_tokens();
      core_.mark_checkpoint(sequence, core_.tree_.find(ids).n_same_ids);
      core_.mark_checkpoint(sequence, core_.keeps_prompt_ends_ ? limit : limit / block * block);
    }
    return core_.tree_.resume(ids, sequence.state);
  }

  EngineCore& core_;
};

EngineCore::EngineCore(StepRunner& runner, CoreOptions options)
    : runner_(&runner),
      options_(std::move(options)),
      pool_(options_.groups, options_.block_tokens, options_.state_bytes),
      tree_(pool_) {
  bool has_source = false;
  for (const StateGroup& group : options_.groups) {
    recurrent_ = recurrent_ || group.kind == StateKind::per_sequence;
    has_source = has_source || group.kind == StateKind::per_source;
  }
  sharing_ = options_.share_prefixes && !has_source && !options_.groups.empty() && !options_.fixed_rope_length;
  const auto max_rows = static_cast<std::size_t>(std::max(options_.limits.max_rows, options_.n_source));
  const auto max_sequences = static_cast<std::size_t>(options_.limits.max_sequences);
  tokens_.reserve(max_rows);
  token_types_.reserve(max_rows);
  output_rows_.reserve(max_rows);
  slices_.reserve(max_sequences);
  first_output_.reserve(max_sequences);
  tasks_.reserve(static_cast<std::size_t>(options_.limits.max_outputs) + max_sequences);
  plan_.on_outputs = [this](std::int64_t i) {
    const Task& task = tasks_[static_cast<std::size_t>(i)];
    const Sequence& s = *sequences_[choice_.slices[task.slice].index];
    s.client->prepare(outputs_of(task.slice), s.ids, task.part);
  };
  choice_.slices.reserve(max_sequences);
  views_.reserve(max_sequences * 4);
  logits_ = Arena(static_cast<std::size_t>(options_.limits.max_outputs * options_.n_vocab) * sizeof(float));
  hidden_ = Arena(static_cast<std::size_t>(options_.limits.max_rows * options_.n_embd) * sizeof(float));
}

EngineCore::~EngineCore() = default;

EngineCore::Sequence& EngineCore::find(Id id) const {
  for (const std::unique_ptr<Sequence>& sequence : sequences_) {
    if (sequence->id == id) return *sequence;
  }
  throw Error(ErrorCode::internal, fmt::format("engine: there is no sequence {}", id));
}

EngineCore::Id EngineCore::add(SequenceOptions options, SequenceClient& client) {
  const auto n_ids = static_cast<std::int64_t>(options.ids.size());
  const auto n_source = static_cast<std::int64_t>(options.source.size());
  options.max_ids = std::clamp(options.max_ids, n_ids, std::max(n_ids, options_.n_context));
  if (n_ids > options_.n_context || n_source > std::max(options_.n_source, options_.limits.max_rows)) {
    throw Error(ErrorCode::context,
                fmt::format("prompt: {} tokens, expected at most {} (the context)", std::max(n_ids, n_source),
                            n_ids > options_.n_context ? options_.n_context : options_.n_source));
  }
  if (options.whole && n_ids > options_.limits.max_rows) {
    throw Error(ErrorCode::context,
                fmt::format("text: {} tokens, expected at most {} (this model takes a text at once)", n_ids,
                            options_.limits.max_rows));
  }
  sequences_.push_back(std::make_unique<Sequence>(pool_, next_id_, std::move(options), client));
  return next_id_++;
}

void EngineCore::remove(Id id) {
  find(id).finished = true;
  forget_finished();
}

const std::vector<TokenId>& EngineCore::ids(Id id) const {
  return find(id).ids;
}
const SequenceState& EngineCore::state(Id id) const {
  return find(id).state;
}
std::int64_t EngineCore::n_done(Id id) const {
  return find(id).state.size();
}

void EngineCore::append(Id id, std::span<const TokenId> ids, std::int64_t outputs_from, SequenceClient& client) {
  Sequence& sequence = find(id);
  sequence.ids.insert(sequence.ids.end(), ids.begin(), ids.end());
  sequence.n_prompt = sequence.n_ids();
  sequence.outputs_from = outputs_from;
  sequence.n_guesses = 0;
  sequence.client = &client;
  sequence.has_begun = false;
  if (sequence.running) {
    sequence.has_begun = true;
    client.began(std::min(sequence.state.size(), sequence.n_ids()));
  }
}

void EngineCore::truncate(Id id, std::int64_t n) {
  Sequence& sequence = find(id);
  sequence.ids.resize(static_cast<std::size_t>(std::min(n, sequence.n_ids())));
  sequence.n_guesses = 0;
  if (sequence.state.size() <= n) return;
  if (sequence.state.can_rewind_to(n)) {
    sequence.state.rewind(n);
  } else {
    sequence.state.clear();
  }
  sequence.running = sequence.state.size() > 0;
  if (!sequence.running) sequence.source_done = false;
}

void EngineCore::copy(Id from, Id to) {
  const Sequence& source = find(from);
  Sequence& s = find(to);
  s.ids.assign(source.ids.begin(), source.ids.end());
  s.source = source.source;
  s.token_types = source.token_types;
  s.n_prompt = source.n_prompt;
  s.outputs_from = source.outputs_from;
  s.n_guesses = 0;
  s.kind = source.kind;
  std::copy(std::begin(source.checkpoints), std::end(source.checkpoints), std::begin(s.checkpoints));
  s.state.clear();
  s.running = source.running && s.state.fork(source.state);
  s.source_done = s.running && source.source_done;
  s.has_begun = source.has_begun;
}

void EngineCore::extend(Id id, TokenId token) {
  Sequence& s = find(id);
  s.ids.push_back(token);
  s.outputs_from = s.n_ids() - 1;
}

// A prompt that is being evaluated may find that another sequence has come further with the same ids.
void EngineCore::adopt_longer_prefixes() {
  if (!sharing_) return;
  for (const std::unique_ptr<Sequence>& s : sequences_) {
    const std::int64_t limit = s->n_shareable();
    if (!s->running || limit - s->state.size() < pool_.block_tokens()) continue;
    const std::span<const TokenId> ids = std::span(s->ids).first(static_cast<std::size_t>(limit));
    if (tree_.find(ids).n >= s->state.size() + pool_.block_tokens()) tree_.resume(ids, s->state);
  }
}

void EngineCore::mark_checkpoint(Sequence& s, std::int64_t position) {
  if (position <= 0 || s.checkpoints.size() == max_checkpoints) return;
  const auto at = std::lower_bound(s.checkpoints.begin(), s.checkpoints.end(), position);
  if (at == s.checkpoints.end() || *at != position) s.checkpoints.insert(at, position);
}

// Where a step that begins at n_done has to end, so that the record of that position can be kept; 0: anywhere.
std::int64_t EngineCore::stop_at(const Sequence& s, std::int64_t n_done) const {
  const auto next = std::upper_bound(s.checkpoints.begin(), s.checkpoints.end(), n_done);
  return recurrent_ && next != s.checkpoints.end() ? *next : 0;
}

// Whether an older sequence is about to compute ids that this one begins with too: then it is taken in when they are
// there. The older one leaves its state where the two part.
bool EngineCore::waits_for_older(std::size_t index) {
  const Sequence& s = *sequences_[index];
  if (!sharing_ || s.running || s.n_shareable() < least_shared) return false;
  const auto begin = s.ids.begin(), end = begin + s.n_shareable();
  for (std::size_t i = 0; i < index; ++i) {
    Sequence& older = *sequences_[i];
    // One that wants no results computes nothing.
    const bool is_idle = older.finished || older.outputs_from >= older.n_ids();
    if (is_idle || older.n_shareable() <= older.state.size()) continue;
    const auto older_end = older.ids.begin() + older.n_shareable();
    const std::int64_t n_same = std::mismatch(begin, end, older.ids.begin(), older_end).first - begin;
    if (n_same < least_shared || n_same <= older.state.size()) continue;
    const std::span<const TokenId> same = std::span(s.ids).first(static_cast<std::size_t>(n_same));
    if (tree_.find(same).n + least_shared > n_same) continue;
    mark_checkpoint(older, n_same);
    return true;
  }
  return false;
}

void EngineCore::build_views() {
  views_.clear();
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const std::unique_ptr<Sequence>& s = sequences_[i];
    SequenceView view{.n_ids = s->n_ids(),
                      .n_done = s->state.size(),
                      .n_guesses = s->n_guesses,
                      .outputs_from = s->outputs_from,
                      .kind = s->kind,
                      .running = s->running,
                      .needs_source = s->needs_source(),
                      .n_source = static_cast<std::int64_t>(s->source.size()),
                      .whole = s->whole,
                      .waits = waits_for_older(i)};
    views_.push_back(view);
  }
  // Only now every checkpoint is known.
  for (std::size_t i = 0; recurrent_ && i < sequences_.size(); ++i) {
    views_[i].stop_at = stop_at(*sequences_[i], views_[i].n_done);
  }
}

void EngineCore::build_plan() {
  tokens_.clear();
  token_types_.clear();
  output_rows_.clear();
  slices_.clear();
  first_output_.clear();
  for (const StepSlice& slice : choice_.slices) {
    first_output_.push_back(static_cast<std::int64_t>(output_rows_.size()));
    const Sequence& s = *sequences_[slice.index];
    const auto row_begin = static_cast<std::int64_t>(tokens_.size());
    const std::vector<TokenId>& ids = choice_.encode ? s.source : s.ids;
    const std::int64_t position = choice_.encode ? 0 : s.state.size();
    tokens_.insert(tokens_.end(), ids.begin() + position, ids.begin() + position + slice.n_rows);
    if (!s.token_types.empty()) {
      token_types_.resize(static_cast<std::size_t>(row_begin), 0);
      token_types_.insert(token_types_.end(), s.token_types.begin() + position,
                          s.token_types.begin() + position + slice.n_rows);
    }
    for (std::int64_t i = slice.n_rows - slice.n_outputs; i < slice.n_rows; ++i) {
      output_rows_.push_back(static_cast<std::int32_t>(row_begin + i));
    }
    slices_.push_back({.row_begin = static_cast<int>(row_begin),
                       .n_rows = static_cast<int>(slice.n_rows),
                       .position = position,
                       .n_source = s.state.n_source(),
                       .rope_length = options_.fixed_rope_length ? s.max_ids : 0,
                       .tables = s.state.tables()});
  }
  if (!token_types_.empty()) token_types_.resize(tokens_.size(), 0);
  plan_.tokens = tokens_;
  plan_.slices = slices_;
  plan_.encode = choice_.encode;
  plan_.token_types = token_types_;
  plan_.output_rows = output_rows_;
  const bool has_outputs = !output_rows_.empty();
  plan_.logits = has_outputs && choice_.kind == OutputKind::logits ? logits_.at<float>(0) : nullptr;
  plan_.last_hidden = has_outputs && choice_.kind == OutputKind::hidden ? hidden_.at<float>(0) : nullptr;
  plan_.on_hidden = on_hidden;
  build_tasks();
}

StepOutputs EngineCore::outputs_of(std::size_t slice) const {
  const StepSlice& chosen = choice_.slices[slice];
  const bool logits = choice_.kind == OutputKind::logits;
  const std::int64_t width = logits ? options_.n_vocab : options_.n_embd;
  float* data = logits ? plan_.logits : plan_.last_hidden;
  return {.position = slices_[slice].position + chosen.n_rows - chosen.n_outputs,
          .n_rows = chosen.n_outputs,
          .width = width,
          .data = data == nullptr ? nullptr : data + first_output_[slice] * width};
}

void EngineCore::build_tasks() {
  tasks_.clear();
  for (std::size_t i = 0; i < choice_.slices.size(); ++i) {
    if (choice_.slices[i].n_outputs == 0) continue;
    const std::int64_t n_parts = sequences_[choice_.slices[i].index]->client->n_parts(outputs_of(i));
    for (std::int64_t part = 0; part < n_parts; ++part) tasks_.push_back({.slice = i, .part = part});
  }
  plan_.n_output_tasks = static_cast<std::int64_t>(tasks_.size());
}

bool EngineCore::step() {
  adopt_longer_prefixes();
  build_views();
  Memory memory(*this);
  choose_step(views_, options_.limits, memory, choice_);
  const bool has_refused = std::any_of(sequences_.begin(), sequences_.end(), [](const auto& s) { return s->finished; });
  if (choice_.slices.empty()) {
    forget_finished();
    return has_refused;
  }
  build_plan();
  try {
    runner_->run(plan_);
  } catch (...) {
    fail_step(std::current_exception());
    forget_finished();
    return true;
  }
  ++counters_.n_steps;
  counters_.n_rows += tokens_.size();
  commit_step();
  forget_finished();
  return true;
}

void EngineCore::commit_step() {
  if (choice_.encode) {
    for (const StepSlice& slice : choice_.slices) sequences_[slice.index]->source_done = true;
    return;
  }
  for (std::size_t i = 0; i < choice_.slices.size(); ++i) commit(*sequences_[choice_.slices[i].index], i);
}

void EngineCore::commit(Sequence& s, std::size_t index) {
  const StepSlice& slice = choice_.slices[index];
  const std::int64_t n_before = s.state.size(), n_evaluated = n_before + slice.n_rows;
  Advance next{.n_valid = n_evaluated, .outputs_from = s.outputs_from, .n_guesses = s.n_guesses};
  if (slice.n_outputs > 0) {
    next = s.client->advance(outputs_of(index), s.ids);
  }
  s.outputs_from = next.outputs_from;
  s.n_guesses = next.n_guesses;
  s.finished = next.done && !s.held;
  s.state.advance(std::min(next.n_valid, n_evaluated) - n_before);
  if (recurrent_ && next.n_valid < n_evaluated) {
    s.state.clear();  // a record cannot go back; it is computed again
    s.running = false;
  }
  s.state.unreserve();
  remember_prompt(s, n_before);
  s.state.drop_passed();
}

void EngineCore::remember_prompt(Sequence& s, std::int64_t n_before) {
  if (!sharing_) return;
  const std::int64_t n = s.state.size(), block = pool_.block_tokens();
  const auto passed = std::upper_bound(s.checkpoints.begin(), s.checkpoints.end(), n_before);
  const bool at_checkpoint = n > 0 && passed != s.checkpoints.end() && *passed <= n;
  if (recurrent_) {
    if (!at_checkpoint || *passed != n) return;
    tree_.make_room(state_bytes(pool_, n, n, 0, 0));
    tree_.insert(std::span(s.ids).first(static_cast<std::size_t>(n)), s.state, true);
    return;
  }
  if (n > s.n_prompt) return;
  // Whole blocks, and the one that is being filled if somebody waits for it.
  const std::int64_t n_kept = at_checkpoint ? n : n / block * block;
  if (n_kept > 0) tree_.insert(std::span(s.ids).first(static_cast<std::size_t>(n_kept)), s.state, false);
}

void EngineCore::remember_all(Sequence& s, bool checkpoint) {
  if (!sharing_ || s.state.size() == 0 || (recurrent_ && !checkpoint)) return;
  const std::int64_t n = s.state.size();
  if (recurrent_) tree_.make_room(state_bytes(pool_, n, n, 0, 0));
  tree_.insert(std::span(s.ids).first(static_cast<std::size_t>(n)), s.state, checkpoint);
}

void EngineCore::fail(Sequence& s, const std::exception_ptr& error) {
  s.client->fail(error);
  s.finished = !s.held;
}

void EngineCore::fail_step(const std::exception_ptr& error) {
  for (const StepSlice& slice : choice_.slices) {
    Sequence& s = *sequences_[slice.index];
    s.state.unreserve();
    if (recurrent_) {
      s.state.clear();
      s.running = false;
      s.source_done = false;
    }
    fail(s, error);
  }
}

void EngineCore::forget_finished() {
  for (const std::unique_ptr<Sequence>& s : sequences_) {
    if (s->finished) remember_all(*s, true);
  }
  std::erase_if(sequences_, [](const std::unique_ptr<Sequence>& s) { return s->finished; });
}

std::int64_t EngineCore::save(const std::string& path, std::string_view identity, std::span<const TokenId> ids) {
  if (!sharing_) return 0;
  SequenceState state(pool_, static_cast<std::int64_t>(ids.size()));
  const std::int64_t n = tree_.resume(ids, state);
  if (n > 0) save_state(path, identity, ids.first(static_cast<std::size_t>(n)), state);
  return n;
}

std::vector<TokenId> EngineCore::load(const std::string& path, std::string_view identity) {
  if (!sharing_) throw Error(ErrorCode::io, fmt::format("{}: this model's state cannot be kept for later", path));
  // Nothing else is remembered yet that would be worth more.
  tree_.clear();
  SequenceState state(pool_, options_.n_context);
  std::vector<TokenId> ids = load_state(path, identity, options_.n_context, options_.n_vocab, state);
  tree_.insert(ids, state, recurrent_);
  return ids;
}

std::string EngineCore::check() const {
  PoolSnapshot snapshot = snapshot_of(pool_);
  for (const std::unique_ptr<Sequence>& s : sequences_) add_holders(snapshot, s->state);
  tree_.each_held(
      [&](int group, const std::byte* block) { snapshot.groups[static_cast<std::size_t>(group)].uses[block]++; });
  return find_violation(snapshot);
}

}  // namespace llm::engine
