#ifndef TOKENIZER_MODEL_H
#define TOKENIZER_MODEL_H

#include <llm/tokenizer.hpp>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

// What an algorithm keeps between calls of encode(): buffers, cached words. One thread at a time.
class Scratch {
 public:
  virtual ~Scratch() = default;
};

// One algorithm: a piece of text (after normalisation and splitting) -> ids. Immutable; the vocabulary it was made with
// must outlive it.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::unique_ptr<Scratch> make_scratch() const { return std::make_unique<Scratch>(); }
  // Appends the ids of a piece. `scratch` comes from make_scratch().
  virtual void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const = 0;
};

// Scratch space that outlives calls, shared by threads.
class ScratchPool {
 public:
  explicit ScratchPool(const Model& model) : model_(model) {}

  class Lease {
   public:
    Lease(ScratchPool& pool, std::unique_ptr<Scratch> scratch) : pool_(pool), scratch_(std::move(scratch)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.give_back(std::move(scratch_)); }
    Scratch& operator*() const { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

  Lease take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return {*this, model_.make_scratch()};
    std::unique_ptr<Scratch> scratch = std::move(free_.back());
    free_.pop_back();
    return {*this, std::move(scratch)};
  }

 private:
  static constexpr std::size_t kMostKept = 16;
  void give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    if (free_.size() < kMostKept) free_.push_back(std::move(scratch));
  }

  const Model& model_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace llm::tokenizer

#endif
