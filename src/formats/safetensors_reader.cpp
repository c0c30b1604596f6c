#include "formats/safetensors_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/quote.h"

namespace llm::formats {
namespace {

constexpr std::uint64_t max_header_bytes = 100'000'000;  // the reference implementation's limit
constexpr std::size_t max_dims = 16;
constexpr std::uint64_t length_bytes = sizeof(std::uint64_t);

std::optional<TensorType> find_dtype(std::string_view dtype) {
  static constexpr struct {
    std::string_view name;
    TensorType type;
  } types[] = {
      {"F32", TensorType::F32}, {"F16", TensorType::F16}, {"BF16", TensorType::BF16}, {"F64", TensorType::F64},
      {"I8", TensorType::I8},   {"U8", TensorType::I8},   {"BOOL", TensorType::I8},   {"I16", TensorType::I16},
      {"U16", TensorType::I16}, {"I32", TensorType::I32}, {"U32", TensorType::I32},   {"I64", TensorType::I64},
      {"U64", TensorType::I64},
  };
  for (const auto& entry : types) {
    if (entry.name == dtype) return entry.type;
  }
  return std::nullopt;
}

// Receives the header's JSON event by event, so that memory follows the tensors and not the text:
// {"__metadata__": {string: string}, NAME: {"dtype": string, "shape": [n...], "data_offsets": [begin, end]}}.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderHandler(std::span<const std::byte> data, const std::string& file) : data_(data), file_(file) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a bool"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number that is no whole 64-bit number");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (shape_.size() == max_dims) fail_tensor("more than {} dimensions", max_dims);
      shape_.push_back(value);
      return true;
    }
    if (place_ == Place::offsets) {
      if (offsets_.size() == 2) fail_tensor("more than two data_offsets");
      offsets_.push_back(value);
      return true;
    }
    return unexpected("a number");
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) return true;
    if (place_ != Place::tensor || field_ != "dtype") return unexpected("a string");
    dtype_ = value.substr(0, 32);
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ == Place::entry) {
      place_ = name_ == "__metadata__" ? Place::metadata : Place::tensor;
      dtype_.clear();
      shape_.clear();
      offsets_.clear();
      has_shape_ = false;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::top) {
      name_ = std::move(key);
      place_ = Place::entry;
    } else if (place_ == Place::tensor) {
      field_ = key.substr(0, 32);
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) add_tensor();
    place_ = place_ == Place::top ? Place::end : Place::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::tensor && field_ == "shape") {
      shape_.clear();
      has_shape_ = true;
      place_ = Place::shape;
    } else if (place_ == Place::tensor && field_ == "data_offsets") {
      offsets_.clear();
      place_ = Place::offsets;
    } else {
      return unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    throw Error(ErrorCode::model, fmt::format("{}: the header is no valid JSON (at its byte {})", file_, position));
  }

  // The tensors, once it is known that their ranges tile the data.
  SafetensorsPart finish() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    ranges.reserve(part_.tensors.size());
    for (const TensorView& tensor : part_.tensors) {
      const std::uint64_t begin = static_cast<std::uint64_t>(tensor.data - data_.data());
      ranges.emplace_back(begin, begin + tensor.n_bytes);
    }
    std::sort(ranges.begin(), ranges.end());
    std::uint64_t end = 0;
    for (const auto& range : ranges) {
      if (range.first != end) {
        fail("{} of tensor data at byte {}, expected tensors end to end", range.first < end ? "an overlap" : "a gap",
             std::min(range.first, end));
      }
      end = range.second;
    }
    if (end != data_.size()) fail("{} bytes of tensor data, expected {} by the header", data_.size(), end);
    return std::move(part_);
  }

 private:
  enum class Place : std::uint8_t { start, top, entry, metadata, tensor, shape, offsets, end };

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorCode::model, fmt::format("{}: {}", file_, fmt::format(format, std::forward<Args>(args)...)));
  }

  template <typename... Args>
  [[noreturn]] void fail_tensor(fmt::format_string<Args...> format, Args&&... args) const {
    fail("tensor {}: {}", quote(name_), fmt::format(format, std::forward<Args>(args)...));
  }

  [[noreturn]] bool unexpected(std::string_view what) const {
    if (place_ == Place::start) fail("the header is {}, expected a JSON object", what);
    fail_tensor("the header has {} where none is expected", what);
  }

  void add_tensor() {
    if (name_.empty()) fail("a tensor has an empty name");
    const std::optional<TensorType> type = find_dtype(dtype_);
    if (!type) {
      fail_tensor("dtype {}, expected F64, F32, F16, BF16, BOOL or an integer type", quote(dtype_));
    }
    if (!has_shape_ || offsets_.size() != 2) fail_tensor("expected a shape and two data_offsets");
    TensorView tensor;
    tensor.type = *type;
    tensor.n_dims = static_cast<int>(std::min<std::size_t>(shape_.size(), 4));
    std::uint64_t n_elements = 1;
    for (std::size_t i = 0; i < shape_.size(); ++i) {
      const std::uint64_t extent = shape_[shape_.size() - 1 - i];
      if (extent == 0) fail_tensor("dimension {} is 0, expected at least 1", shape_.size() - 1 - i);
      const std::optional<std::uint64_t> product = checked_mul(n_elements, extent);
      if (!product || *product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        fail_tensor("more than 2^63 elements");
      }
      n_elements = *product;
      tensor.extent[std::min<std::size_t>(i, 3)] *= static_cast<std::int64_t>(extent);
    }
    const std::optional<std::uint64_t> n_bytes =
        checked_mul<std::uint64_t>(n_elements, tensor_type_info(*type).block_bytes);
    const std::uint64_t begin = offsets_[0];
    const std::uint64_t end = offsets_[1];
    if (begin > end || end > data_.size()) {
      fail_tensor("data_offsets {} to {}, expected a range inside {} bytes of data", begin, end, data_.size());
    }
    if (!n_bytes || *n_bytes != end - begin) {
      fail_tensor("{} bytes of data, expected {} elements of type {}", end - begin, n_elements, dtype_);
    }
    tensor.n_bytes = *n_bytes;
    tensor.data = data_.data() + begin;
    tensor.name = part_.names.emplace_back(std::move(name_));
    part_.tensors.push_back(tensor);
  }

  std::span<const std::byte> data_;
  const std::string& file_;
  SafetensorsPart part_;
  Place place_ = Place::start;
  std::string name_;
  std::string field_;
  std::string dtype_;
  std::vector<std::uint64_t> shape_;
  std::vector<std::uint64_t> offsets_;
  bool has_shape_ = false;
};

}  // namespace

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const std::optional<std::uint64_t> n_header = reader.take<std::uint64_t>();
  return n_header && *n_header <= max_header_bytes && *n_header <= reader.left() && reader.take<char>() == '{';
}

SafetensorsPart parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorCode::model, fmt::format("{}: {}", file, what)); };
  ByteReader reader(bytes);
  const std::optional<std::uint64_t> n_header = reader.take<std::uint64_t>();
  if (!n_header) fail(fmt::format("{} bytes, expected a safetensors file", bytes.size()));
  if (*n_header > max_header_bytes) {
    fail(fmt::format("a header of {} bytes, expected at most {}", *n_header, max_header_bytes));
  }
  if (*n_header > reader.left()) {
    fail(fmt::format("a header of {} bytes, but only {} are left", *n_header, reader.left()));
  }
  const std::span<const std::byte> header = bytes.subspan(length_bytes, static_cast<std::size_t>(*n_header));
  HeaderHandler handler(bytes.subspan(length_bytes + header.size()), file);
  const char* text = reinterpret_cast<const char*>(header.data());
  nlohmann::json::sax_parse(text, text + header.size(), &handler);
  return handler.finish();
}

}  // namespace llm::formats
