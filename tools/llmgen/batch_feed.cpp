#include "batch_feed.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "console.h"

namespace llmgen {

namespace {

constexpr std::size_t max_queued_bytes = std::size_t{16} << 20;
constexpr auto feed_wait = std::chrono::milliseconds(100);

}  // namespace

Shard Shard::parse(const std::string& text) {
  if (text.empty()) return {};
  char slash = 0, rest = 0;
  unsigned long long part = 0, n_parts = 0;
  if (text.find_first_not_of("0123456789/") != std::string::npos ||
      std::sscanf(text.c_str(), "%llu%c%llu%c", &part, &slash, &n_parts, &rest) != 3 || slash != '/' || part < 1 ||
      part > n_parts) {
    throw llm::Error(llm::ErrorCode::usage,
                     fmt::format("--shard: found '{}', expected K/N with 1 <= K <= N, e.g. 2/8", text));
  }
  return {.part = part - 1, .n_parts = n_parts};
}

bool Shard::contains(std::uint64_t line_hash) const {
  line_hash ^= line_hash >> 32;
  return (line_hash * 0xd6e8feb86659fd93 >> 32) % n_parts == part;
}

BatchFeed::BatchFeed(Options options, const RecordRules& rules, const llm::Model& model)
    : options_(std::move(options)), rules_(rules), model_(model), lines_(options_.path), records_(rules, model) {
  reader_ = std::thread([this] {
    try {
      read_lines();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    end_ = true;
    changed_.notify_all();
  });
}

BatchFeed::~BatchFeed() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reader_.join();
}

void BatchFeed::read_lines() {
  std::uint64_t n_lines = 0;
  while (!lines_.at_end()) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_ || interrupted()) return;
    }
    std::optional<LineReader::Line> line = lines_.next(true);
    if (!line) continue;
    const std::uint64_t index = n_lines++;
    if (!options_.shard.contains(line->hash)) continue;
    taken_bytes_ = lines_.taken_bytes();
    if (options_.is_answered && options_.is_answered(index)) {
      ++n_left_out_;
    } else if (!push(make_item(std::move(*line), index))) {
      return;
    }
  }
}

BatchFeed::Item BatchFeed::make_item(LineReader::Line&& line, std::uint64_t index) {
  Item item{.place = n_items_, .index = index, .n_bytes = line.text.size()};
  ++n_items_;
  LineError failure;
  if (line.too_long) {
    failure.code = llm::ErrorCode::io;
    failure.field = "line";
    failure.message = "the line is longer than 64 MiB";
  } else {
    try {
      item.line = records_.read(line.text, index);
      return item;
    } catch (const RecordError& error) {
      failure.identity = records_.identity(line.text);
      failure.code = error.code;
      failure.field = error.field;
      failure.message = error.what();
    }
  }
  item.line = std::move(failure);
  return item;
}

bool BatchFeed::push(Item&& item) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return stop_ || items_.empty() || (items_.size() < options_.max_items && queued_bytes_ < max_queued_bytes);
  });
  if (stop_) return false;
  queued_bytes_ += item.n_bytes;
  items_.push_back(std::move(item));
  changed_.notify_all();
  return true;
}

std::optional<BatchFeed::Item> BatchFeed::next() {
  std::unique_lock lock(mutex_);
  if (items_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return std::nullopt;
  }
  Item item = std::move(items_.front());
  items_.pop_front();
  queued_bytes_ -= item.n_bytes;
  lock.unlock();
  changed_.notify_all();
  return item;
}

void BatchFeed::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, feed_wait, [this] { return end_ || !items_.empty(); });
}

bool BatchFeed::finished() const {
  const std::lock_guard lock(mutex_);
  return end_ && items_.empty() && !failure_;
}

double BatchFeed::expected_items() const {
  const auto n_seen = static_cast<double>(n_items_ + n_left_out_), taken = static_cast<double>(taken_bytes_);
  if (lines_.total_bytes() == 0 || taken == 0) return 0;
  const double n_all = n_seen * std::max(1.0, static_cast<double>(lines_.total_bytes()) / taken);
  return std::max(n_all - static_cast<double>(n_left_out_), static_cast<double>(n_items_));
}

}  // namespace llmgen
