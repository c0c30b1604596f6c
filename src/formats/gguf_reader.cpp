#include "formats/gguf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <llm/error.hpp>
#include <numeric>
#include <string_view>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/quote.h"

namespace llm::formats {
namespace {

constexpr std::uint64_t default_alignment = 32;
constexpr std::uint64_t max_alignment = std::uint64_t{1} << 20;
constexpr std::uint64_t max_key_bytes = 65535;
constexpr std::uint64_t max_string_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t max_metadata_pairs = 1 << 16;
constexpr std::uint64_t max_tensors = 1 << 20;
constexpr std::size_t max_array_depth = 8;
// The least a metadata pair takes (key length, one letter, type, one byte) and a tensor info (name length, one letter,
// number of dimensions, one dimension, type, offset).
constexpr std::uint64_t min_pair_bytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t min_tensor_info_bytes = 8 + 1 + 4 + 8 + 4 + 8;

// Types that files once had or that other programs write, for refusals by name.
std::string_view foreign_type_name(std::uint32_t id) {
  switch (id) {
    case 4:
      return "Q4_2, retired";
    case 5:
      return "Q4_3, retired";
    case 9:
      return "Q8_1, not a type of files";
    case 15:
      return "Q8_K, not a type of files";
    case 31:
      return "Q4_0_4_4, retired";
    case 32:
      return "Q4_0_4_8, retired";
    case 33:
      return "Q4_0_8_8, retired";
    case 36:
      return "IQ4_NL_4_4, retired";
    case 37:
      return "IQ4_NL_4_8, retired";
    case 38:
      return "IQ4_NL_8_8, retired";
    default:
      break;
  }
  if ((id >= 97 && id <= 158) || (id >= 202 && id <= 399)) return "a type of ik_llama.cpp or unknown";
  return "unknown";
}

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), reader_(bytes), file_(file) {}

  GgufPart parse() {
    read_version();
    const std::uint64_t n_tensors = need(reader_.take<std::uint64_t>(), "the tensor count");
    const std::uint64_t n_pairs = need(reader_.take<std::uint64_t>(), "the metadata count");
    check_count("metadata pairs", n_pairs, min_pair_bytes, max_metadata_pairs);
    check_count("tensors", n_tensors, min_tensor_info_bytes, max_tensors);
    part_.metadata.set_source(file_);
    for (std::uint64_t i = 0; i < n_pairs; ++i) read_pair(i);
    read_alignment();
    check_count("tensors", n_tensors, min_tensor_info_bytes, max_tensors);
    part_.tensors.reserve(n_tensors);
    offsets_.reserve(n_tensors);
    for (std::uint64_t i = 0; i < n_tensors; ++i) read_tensor_info(i);
    place_tensors();
    return std::move(part_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorCode::model, fmt::format("{}: {}", file_, fmt::format(format, std::forward<Args>(args)...)));
  }

  template <typename T>
  T need(std::optional<T> value, std::string_view what) const {
    if (!value) fail("ends inside {} (at byte {} of {})", what, reader_.position(), bytes_.size());
    return *value;
  }

  void check_count(std::string_view what, std::uint64_t count, std::uint64_t least_bytes, std::uint64_t most) const {
    if (count > reader_.left() / least_bytes) {
      fail("announces {} {}, but only {} bytes are left", count, what, reader_.left());
    }
    if (count > most) fail("announces {} {}, expected at most {}", count, what, most);
  }

  void read_version() {
    if (!has_gguf_magic(bytes_)) fail("is not a GGUF file");
    static_cast<void>(reader_.take<std::uint32_t>());
    part_.version = need(reader_.take<std::uint32_t>(), "the version");
    if (part_.version == 2 || part_.version == 3) return;
    if (part_.version != 0 && (part_.version & 0xffff) == 0) {
      fail("is a big-endian GGUF file, expected a little-endian one");
    }
    fail("GGUF version {}, expected 2 or 3", part_.version);
  }

  void read_pair(std::uint64_t index) {
    const std::string_view key = need(reader_.take_string(), fmt::format("the key of metadata pair {}", index));
    if (key.empty()) fail("metadata pair {} has an empty key", index);
    if (key.size() > max_key_bytes) {
      fail("metadata key {} has {} bytes, expected at most {}", quote(key), key.size(), max_key_bytes);
    }
    const ValueType type = read_value_type(key);
    part_.metadata.insert(key, type, read_value(key, type));
  }

  ValueType read_value_type(std::string_view key) {
    const std::uint32_t id = need(reader_.take<std::uint32_t>(), "a metadata type");
    if (id > static_cast<std::uint32_t>(ValueType::f64)) {
      fail("metadata key {}: value type {} is unknown, expected 0 to 12", quote(key), id);
    }
    return static_cast<ValueType>(id);
  }

  Value read_value(std::string_view key, ValueType type) {
    const auto number = [&]<typename T>(T) { return need(reader_.take<T>(), "a metadata value"); };
    switch (type) {
      case ValueType::u8:
        return std::uint64_t{number(std::uint8_t{})};
      case ValueType::u16:
        return std::uint64_t{number(std::uint16_t{})};
      case ValueType::u32:
        return std::uint64_t{number(std::uint32_t{})};
      case ValueType::u64:
        return number(std::uint64_t{});
      case ValueType::i8:
        return std::int64_t{number(std::int8_t{})};
      case ValueType::i16:
        return std::int64_t{number(std::int16_t{})};
      case ValueType::i32:
        return std::int64_t{number(std::int32_t{})};
      case ValueType::i64:
        return number(std::int64_t{});
      case ValueType::f32:
        return double{number(float{})};
      case ValueType::f64:
        return number(double{});
      case ValueType::boolean:
        return number(std::uint8_t{}) != 0;
      case ValueType::string:
        return read_string(key);
      case ValueType::array:
        return read_array(key);
    }
    fail("metadata key {}: impossible value type", quote(key));
  }

  std::string_view read_string(std::string_view key) {
    const std::optional<std::string_view> text = reader_.take_string();
    if (!text)
      fail("metadata key {}: a string reaches beyond the end of the file ({} bytes)", quote(key), bytes_.size());
    if (text->size() > max_string_bytes) {
      fail("metadata key {}: a string of {} bytes, expected at most {}", quote(key), text->size(), max_string_bytes);
    }
    return *text;
  }

  // The head of an array, its count compared with the bytes left.
  ArrayView read_array_head(std::string_view key) {
    ArrayView array;
    array.item_type = read_value_type(key);
    array.count = need(reader_.take<std::uint64_t>(), "an array's length");
    // Strings have a u64 length each; arrays a type and a count.
    std::uint64_t least_bytes = value_type_bytes(array.item_type);
    if (array.item_type == ValueType::string) least_bytes = 8;
    if (array.item_type == ValueType::array) least_bytes = 12;
    if (array.count > reader_.left() / least_bytes) {
      fail("metadata key {}: an array of {} items of type {}, but only {} bytes are left", quote(key), array.count,
           value_type_name(array.item_type), reader_.left());
    }
    return array;
  }

  // Walks an array of any depth without recursion; n_pending has the arrays still to read on each level.
  ArrayView read_array(std::string_view key) {
    ArrayView outer = read_array_head(key);
    const std::uint64_t start = reader_.position();
    std::vector<std::uint64_t> n_pending;
    ArrayView array = outer;
    while (true) {
      if (array.item_type == ValueType::array) {
        if (n_pending.size() == max_array_depth) {
          fail("metadata key {}: arrays nested more than {} deep", quote(key), max_array_depth);
        }
        n_pending.push_back(array.count);
      } else if (array.item_type == ValueType::string) {
        for (std::uint64_t i = 0; i < array.count; ++i) read_string(key);
      } else {
        need(reader_.take_bytes(array.count * value_type_bytes(array.item_type)), "an array");
      }
      while (!n_pending.empty() && n_pending.back() == 0) n_pending.pop_back();
      if (n_pending.empty()) break;
      --n_pending.back();
      array = read_array_head(key);
    }
    outer.bytes = bytes_.subspan(start, reader_.position() - start);
    return outer;
  }

  void read_alignment() {
    static constexpr std::string_view key = "general.alignment";
    part_.alignment = part_.metadata.find_uint(key).value_or(default_alignment);
    const std::uint64_t n = part_.alignment;
    if (n < 8 || n > max_alignment || (n & (n - 1)) != 0) {
      fail("metadata key '{}': found {}, expected a power of two from 8 to {}", key, n, max_alignment);
    }
  }

  void read_tensor_info(std::uint64_t index) {
    TensorView tensor;
    tensor.name = need(reader_.take_string(), fmt::format("the name of tensor {}", index));
    if (tensor.name.empty()) fail("tensor {} has an empty name", index);
    if (tensor.name.size() > max_gguf_tensor_name_bytes) {
      fail("tensor {}: a name of {} bytes, expected at most {}", quote(tensor.name), tensor.name.size(),
           max_gguf_tensor_name_bytes);
    }
    const auto what = [&] { return fmt::format("the description of tensor {}", quote(tensor.name)); };
    const std::uint32_t n_dims = need(reader_.take<std::uint32_t>(), what());
    if (n_dims < 1 || n_dims > 4) fail("tensor {}: {} dimensions, expected 1 to 4", quote(tensor.name), n_dims);
    tensor.n_dims = static_cast<int>(n_dims);
    std::uint64_t n_elements = 1;
    for (std::uint32_t d = 0; d < n_dims; ++d) {
      const std::uint64_t extent = need(reader_.take<std::uint64_t>(), what());
      if (extent == 0) fail("tensor {}: dimension {} is 0, expected at least 1", quote(tensor.name), d);
      const std::optional<std::uint64_t> product = checked_mul(n_elements, extent);
      if (!product || *product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        fail("tensor {}: dimension {} of {} makes more than 2^63 elements", quote(tensor.name), d, extent);
      }
      n_elements = *product;
      tensor.extent[d] = static_cast<std::int64_t>(extent);
    }
    const std::uint32_t type_id = need(reader_.take<std::uint32_t>(), what());
    const TensorTypeInfo* type = find_tensor_type(type_id);
    if (type == nullptr) {
      fail("tensor {}: type {} ({}), expected a supported type", quote(tensor.name), type_id,
           foreign_type_name(type_id));
    }
    tensor.type = type->type;
    if (tensor.extent[0] % type->block_elements != 0) {
      fail("tensor {}: rows of {} elements, expected a multiple of {} for type {}", quote(tensor.name),
           tensor.extent[0], type->block_elements, type->name);
    }
    const std::optional<std::uint64_t> n_bytes =
        checked_mul<std::uint64_t>(n_elements / type->block_elements, type->block_bytes);
    if (!n_bytes) fail("tensor {}: {} elements are more than 2^64 bytes", quote(tensor.name), n_elements);
    tensor.n_bytes = *n_bytes;
    offsets_.push_back(need(reader_.take<std::uint64_t>(), what()));
    part_.tensors.push_back(tensor);
  }

  // Turns offsets into addresses, once all of them are known to be aligned, inside the file and disjoint.
  void place_tensors() {
    const std::optional<std::uint64_t> start = checked_align_up(reader_.position(), part_.alignment);
    if (!start) fail("the data section would begin beyond 2^64 bytes");
    part_.data_offset = *start;
    const std::uint64_t n_data_bytes = *start < bytes_.size() ? bytes_.size() - *start : 0;
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      TensorView& tensor = part_.tensors[i];
      if (offsets_[i] % part_.alignment != 0) {
        fail("tensor {}: offset {}, expected a multiple of {}", quote(tensor.name), offsets_[i], part_.alignment);
      }
      if (offsets_[i] > n_data_bytes || tensor.n_bytes > n_data_bytes - offsets_[i]) {
        fail("tensor {}: {} bytes at offset {} reach beyond the data section of {} bytes", quote(tensor.name),
             tensor.n_bytes, offsets_[i], n_data_bytes);
      }
      tensor.data = bytes_.data() + *start + offsets_[i];
    }
    std::vector<const TensorView*> by_place;
    by_place.reserve(part_.tensors.size());
    for (const TensorView& tensor : part_.tensors) by_place.push_back(&tensor);
    std::sort(by_place.begin(), by_place.end(),
              [](const TensorView* a, const TensorView* b) { return a->data < b->data; });
    for (std::size_t i = 1; i < by_place.size(); ++i) {
      if (by_place[i - 1]->data + by_place[i - 1]->n_bytes > by_place[i]->data) {
        fail("tensors {} and {} overlap, expected disjoint data", quote(by_place[i - 1]->name),
             quote(by_place[i]->name));
      }
    }
  }

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  const std::string& file_;
  GgufPart part_;
  std::vector<std::uint64_t> offsets_;  // one a tensor, from the start of the data section
};

// Where a split model's parts are: "<stem>-00001-of-00003<extension>".
struct SplitName {
  std::string stem;
  std::string extension;

  std::string part(std::uint64_t number, std::uint64_t count) const {
    return fmt::format("{}-{:05}-of-{:05}{}", stem, number, count, extension);
  }
};

std::optional<SplitName> parse_split_name(const std::string& path, std::uint64_t number, std::uint64_t count) {
  const std::string tag = fmt::format("-{:05}-of-{:05}", number, count);
  const std::size_t at = path.rfind(tag);
  if (at == std::string::npos) return std::nullopt;
  const std::string extension = path.substr(at + tag.size());
  if (extension.find('/') != std::string::npos || (!extension.empty() && extension[0] != '.')) return std::nullopt;
  return SplitName{path.substr(0, at), extension};
}

// A part that is not there makes the model incomplete, whatever the reason.
MappedFile open_part(const std::string& path, const std::string& first, std::uint64_t number, std::uint64_t count) {
  try {
    return MappedFile(path);
  } catch (const Error& error) {
    throw Error(ErrorCode::model,
                fmt::format("{}: is split, but part {} of {} is missing: {}", first, number, count, error.message()));
  }
}

void expect_split_value(const Metadata& metadata, std::string_view key, std::uint64_t expected) {
  const std::uint64_t found = metadata.require_uint(key);
  if (found != expected) {
    throw Error(ErrorCode::model,
                fmt::format("{}: metadata key '{}': found {}, expected {}", metadata.source(), key, found, expected));
  }
}

}  // namespace

bool has_gguf_magic(std::span<const std::byte> bytes) {
  static constexpr std::string_view magic = "GGUF";
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

GgufPart parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  return GgufParser(bytes, file).parse();
}

WeightsContents read_gguf(MappedFile first) {
  WeightsContents contents;
  contents.kind = SourceKind::gguf;
  contents.path = first.path();
  GgufPart part = parse_gguf(first.bytes(), first.path());
  const std::string path = first.path();
  contents.parts.push_back(std::move(first));
  contents.metadata = std::move(part.metadata);
  contents.tensors = std::move(part.tensors);

  const std::uint64_t n_parts = contents.metadata.find_uint("split.count").value_or(1);
  if (n_parts <= 1) return contents;
  if (n_parts > std::numeric_limits<std::uint16_t>::max()) {
    throw Error(ErrorCode::model,
                fmt::format("{}: metadata key 'split.count': found {}, expected at most 65535", path, n_parts));
  }
  const std::uint64_t number = contents.metadata.require_uint("split.no");
  if (number != 0) {
    const std::optional<SplitName> name = number < n_parts ? parse_split_name(path, number + 1, n_parts) : std::nullopt;
    throw Error(ErrorCode::model, fmt::format("{}: is part {} of {}, expected the first: {}", path, number + 1, n_parts,
                                              name ? name->part(1, n_parts) : "...-00001-of-..."));
  }
  const std::optional<SplitName> name = parse_split_name(path, 1, n_parts);
  if (!name) {
    throw Error(ErrorCode::model,
                fmt::format("{}: is part 1 of {}, expected a file name that ends in -00001-of-{:05}.gguf", path,
                            n_parts, n_parts));
  }
  for (std::uint64_t i = 1; i < n_parts; ++i) {
    MappedFile file = open_part(name->part(i + 1, n_parts), path, i + 1, n_parts);
    const GgufPart next = parse_gguf(file.bytes(), file.path());
    expect_split_value(next.metadata, "split.no", i);
    expect_split_value(next.metadata, "split.count", n_parts);
    contents.tensors.insert(contents.tensors.end(), next.tensors.begin(), next.tensors.end());
    contents.parts.push_back(std::move(file));
  }
  if (contents.metadata.contains("split.tensors.count")) {
    expect_split_value(contents.metadata, "split.tensors.count", contents.tensors.size());
  }
  return contents;
}

}  // namespace llm::formats
