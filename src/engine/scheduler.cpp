#include "engine/scheduler.h"

#include <algorithm>
#include <optional>

namespace llm::engine {
namespace {

class Planner {
 public:
  Planner(std::span<SequenceView> views, const StepLimits& limits, StepMemory& memory, StepChoice& choice)
      : views_(views), limits_(limits), memory_(memory), choice_(choice) {
    choice_.slices.clear();
    choice_.encode = false;
    rows_left_ = limits.max_rows;
    outputs_left_ = limits.max_outputs;
    for (const SequenceView& view : views_) n_running_ += view.running ? 1 : 0;
  }

  void run() {
    const std::optional<std::size_t> first = first_to_run();
    if (!first) return;
    choice_.kind = views_[*first].kind;
    if (encode(*first)) return;
    // Every running sequence that generates is sure of its output row before guesses take the rest.
    std::int64_t n_sure = 0;
    for (const SequenceView& view : views_) n_sure += is_step_of(view) && is_generating(view) ? 1 : 0;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      if (!is_step_of(views_[i]) || !is_generating(views_[i])) continue;
      --n_sure;
      add(i, std::max<std::int64_t>(outputs_left_ - n_sure, 1));
    }
    for (std::size_t i = 0; i < views_.size(); ++i) {
      if (is_step_of(views_[i]) && !is_generating(views_[i]) && !is_chosen(i)) add(i, outputs_left_);
    }
    for (std::size_t i = 0; i < views_.size() && rows_left_ > 0 && n_running_ < limits_.max_sequences; ++i) {
      if (views_[i].running || views_[i].n_pending() == 0 || views_[i].waits) continue;
      if (views_[i].kind != choice_.kind || views_[i].needs_source || was_preempted(i)) break;
      const bool wants_logits = choice_.kind == OutputKind::logits && views_[i].outputs_from < views_[i].n_ids;
      if (wants_logits && outputs_left_ <= 0) break;
      if (!admit(i)) break;
      add(i, outputs_left_);
    }
  }

  // Takes the state of the youngest that has nothing to do, if others wait. False: there is none.
  bool release_idle() {
    const bool waits = std::any_of(views_.begin(), views_.end(), [](const SequenceView& view) {
      return !view.running && (view.n_pending() > 0 || view.needs_source);
    });
    for (std::size_t i = views_.size(); waits && i-- > 0;) {
      if (!views_[i].running || views_[i].n_pending() > 0 || views_[i].needs_source) continue;
      preempt(i);
      return true;
    }
    return false;
  }

 private:
  // The oldest that runs and has something to do, else the oldest that waits.
  std::optional<std::size_t> first_to_run() const {
    std::optional<std::size_t> waiting;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      if (views_[i].n_pending() == 0 && !views_[i].needs_source) continue;
      if (views_[i].running) return i;
      if (!waiting) waiting = i;
    }
    return waiting;
  }

  bool is_step_of(const SequenceView& view) const {
    return view.running && view.kind == choice_.kind && view.n_pending() > 0 && !view.needs_source;
  }
  // Its pending rows are few and their results are what it waits for.
  static bool is_generating(const SequenceView& view) {
    return !view.whole && view.n_pending() - view.n_guesses == 1 && view.outputs_from >= view.n_done;
  }
  bool is_chosen(std::size_t index) const {
    return std::any_of(choice_.slices.begin(), choice_.slices.end(),
                       [&](const StepSlice& slice) { return slice.index == index; });
  }
  bool was_preempted(std::size_t index) const {
    return std::find(preempted_.begin(), preempted_.end(), index) != preempted_.end();
  }

  // The encoder runs for one sequence in a step of its own.
  bool encode(std::size_t first) {
    std::size_t index = first;
    while (index < views_.size() && !(views_[index].needs_source && (views_[index].running || index == first))) ++index;
    if (index == views_.size()) {
      // Those that wait are encoded as soon as there is room for one more.
      if (n_running_ >= limits_.max_sequences) return false;
      for (index = 0; index < views_.size() && !views_[index].needs_source; ++index) continue;
      if (index == views_.size()) return false;
    }
    if (!views_[index].running && !admit(index)) return false;
    choice_.encode = true;
    choice_.slices.push_back({.index = index, .n_rows = views_[index].n_source, .n_outputs = 0});
    return true;
  }

  bool admit(std::size_t index) {
    if (!memory_.admit(index, views_[index])) {
      if (n_running_ == 0) memory_.refuse(index);
      return false;
    }
    views_[index].running = true;
    ++n_running_;
    return true;
  }

  void preempt(std::size_t index) {
    for (auto slice = choice_.slices.begin(); slice != choice_.slices.end(); ++slice) {
      if (slice->index != index) continue;
      rows_left_ += slice->n_rows;
      outputs_left_ += slice->n_outputs;
      choice_.slices.erase(slice);
      break;
    }
    memory_.preempt(index);
    views_[index].running = false;
    views_[index].n_done = 0;
    preempted_.push_back(index);
    --n_running_;
  }

  static std::int64_t outputs_in(const SequenceView& view, std::int64_t n_rows) {
    const std::int64_t end = view.n_done + n_rows;
    return std::max<std::int64_t>(0, end - std::max(view.n_done, view.outputs_from));
  }

  void add(std::size_t index, std::int64_t outputs_allowed) {
    if (static_cast<std::int64_t>(choice_.slices.size()) == limits_.max_sequences) return;
    const SequenceView& view = views_[index];
    std::int64_t n_rows = std::min({view.n_pending(), rows_left_, limits_.chunk});
    if (view.whole) n_rows = view.n_pending() <= rows_left_ ? view.n_pending() : 0;
    if (view.stop_at > view.n_done) n_rows = std::min(n_rows, view.stop_at - view.n_done);
    if (view.kind == OutputKind::logits) {
      n_rows -= std::max<std::int64_t>(0, outputs_in(view, n_rows) - std::max<std::int64_t>(0, outputs_allowed));
    }
    const std::int64_t n_sure = std::min(n_rows, view.n_pending() - view.n_guesses);
    if (n_rows <= 0) return;
    while (!memory_.reserve(index, n_rows)) {
      if (n_rows > n_sure && n_sure > 0) {
        n_rows = n_sure;
        continue;
      }
      std::size_t youngest = views_.size();
      while (!views_[--youngest].running) continue;
      if (youngest == index && n_running_ == 1) {
        memory_.refuse(index);
        return;
      }
      preempt(youngest);
      if (youngest == index) return;
    }
    const std::int64_t n_outputs = outputs_in(view, n_rows);
    choice_.slices.push_back({.index = index, .n_rows = n_rows, .n_outputs = n_outputs});
    rows_left_ -= n_rows;
    if (view.kind == OutputKind::logits) outputs_left_ -= n_outputs;
  }

  std::span<SequenceView> views_;
  const StepLimits& limits_;
  StepMemory& memory_;
  StepChoice& choice_;
  std::int64_t rows_left_ = 0, outputs_left_ = 0, n_running_ = 0;
  std::vector<std::size_t> preempted_;
};

}  // namespace

void choose_step(std::span<SequenceView> views, const StepLimits& limits, StepMemory& memory, StepChoice& choice) {
  while (true) {
    Planner planner(views, limits, memory, choice);
    planner.run();
    if (!choice.slices.empty() || !planner.release_idle()) return;
  }
}

}  // namespace llm::engine
