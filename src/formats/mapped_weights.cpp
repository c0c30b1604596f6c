#include "formats/mapped_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <llm/error.hpp>

#include "formats/quote.h"

namespace llm::formats {
namespace {

class MappedWeights final : public WeightsFile {
 public:
  MappedWeights(WeightsContents contents, const OpenOptions& options)
      : contents_(std::move(contents)), options_(options) {
    by_name_.reserve(contents_.tensors.size());
    for (const TensorView& tensor : contents_.tensors) by_name_.push_back(&tensor);
    std::sort(by_name_.begin(), by_name_.end(),
              [](const TensorView* a, const TensorView* b) { return a->name < b->name; });
    const auto twin = std::adjacent_find(by_name_.begin(), by_name_.end(),
                                         [](const TensorView* a, const TensorView* b) { return a->name == b->name; });
    if (twin != by_name_.end()) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: tensor {} stands twice, expected once", contents_.path, quote((*twin)->name)));
    }
    for (const MappedFile& part : contents_.parts) file_bytes_ += part.size();
  }

  void load(const ReadProgress& progress) override {
    std::uint64_t before = 0;
    const ReadProgress of_all = [&](std::uint64_t done, std::uint64_t) { return progress(before + done, file_bytes_); };
    for (MappedFile& part : contents_.parts) {
      if (options_.mmap) {
        part.read_ahead(progress ? of_all : ReadProgress());
      } else {
        part.read_into_memory(progress ? of_all : ReadProgress());
      }
      if (options_.mlock) part.lock();
      before += part.size();
    }
  }

  SourceKind kind() const override { return contents_.kind; }
  const std::string& path() const override { return contents_.path; }
  const Metadata& metadata() const override { return contents_.metadata; }
  std::string_view config_json() const override { return contents_.config_json; }
  std::span<const TensorView> tensors() const override { return contents_.tensors; }
  std::uint64_t file_bytes() const override { return file_bytes_; }

  const TensorView* find_tensor(std::string_view name) const override {
    const auto found =
        std::lower_bound(by_name_.begin(), by_name_.end(), name,
                         [](const TensorView* tensor, std::string_view key) { return tensor->name < key; });
    return found != by_name_.end() && (*found)->name == name ? *found : nullptr;
  }

 private:
  WeightsContents contents_;
  OpenOptions options_;
  std::vector<const TensorView*> by_name_;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace

std::unique_ptr<WeightsFile> make_weights_file(WeightsContents contents, const OpenOptions& options) {
  return std::make_unique<MappedWeights>(std::move(contents), options);
}

}  // namespace llm::formats
