#include "batch_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>

namespace llmgen {

using llm::Error;
using llm::ErrorCode;

BatchOutput::BatchOutput(const Options& options) : options_(options) {
  if (options_.path == "-") {
    if (options_.resume) throw Error(ErrorCode::usage, "--resume needs -o FILE: standard output cannot be read back");
    out_ = std::make_unique<Output>();
    return;
  }
  if (options_.resume) load_answered();
  fd_ =
      ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (options_.resume ? 0 : O_TRUNC), 0666);
  if (fd_ < 0) throw Error(ErrorCode::io, fmt::format("cannot write {}: {}", options_.path, std::strerror(errno)));
  out_ = std::make_unique<Output>(fd_);
}

BatchOutput::~BatchOutput() {
  if (fd_ != 1) ::close(fd_);
}

// Whole lines count; what follows the last newline was torn by the end of the earlier run and is cut off.
void BatchOutput::load_answered() {
  std::ifstream in(options_.path, std::ios::binary);
  if (!in) {
    if (::access(options_.path.c_str(), F_OK) == 0)
      throw Error(ErrorCode::io, fmt::format("cannot read {}: {}", options_.path, std::strerror(errno)));
    return;
  }
  std::uint64_t kept_bytes = 0;
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    if (options_.unordered) {
      const auto record = nlohmann::json::parse(line, nullptr, false);
      const auto index = record.is_object() ? record.find("index") : record.end();
      if (!record.is_object() || index == record.end() || !index->is_number_unsigned()) {
        throw Error(ErrorCode::io,
                    fmt::format("{}: line {} is no result with an \"index\"; --resume --unordered needs one",
                                options_.path, n_kept_ + 1));
      }
      answered_.insert(index->get<std::uint64_t>());
    }
    kept_bytes += line.size() + 1;
    ++n_kept_;
  }
  in.close();
  if (::truncate(options_.path.c_str(), static_cast<off_t>(kept_bytes)) != 0) {
    throw Error(ErrorCode::io,
                fmt::format("cannot cut off the unfinished line of {}: {}", options_.path, std::strerror(errno)));
  }
  if (!options_.unordered) next_ = n_kept_;
}

bool BatchOutput::answered(std::uint64_t place) const {
  return options_.unordered ? answered_.count(place) > 0 : place < n_kept_;
}

void BatchOutput::put(std::uint64_t place, std::string line) {
  if (options_.unordered) {
    write(line);
    return;
  }
  waiting_.emplace(place, std::move(line));
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_; first = waiting_.begin()) {
    write(first->second);
    waiting_.erase(first);
    ++next_;
  }
}

void BatchOutput::write(const std::string& line) {
  out_->line(line);
  out_->flush();
}

}  // namespace llmgen
