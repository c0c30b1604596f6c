#ifndef FORMATS_METADATA_H
#define FORMATS_METADATA_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace llm::formats {

enum class ValueType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

// "u32", "array" ... for messages.
std::string_view value_type_name(ValueType type);
// Bytes of one item; 0 for strings and arrays, whose items differ in length.
std::uint64_t value_type_bytes(ValueType type);

// An array as it lies in the file: checked when the file was opened, decoded only when asked for.
struct ArrayView {
  ValueType item_type = ValueType::u8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;  // the items, little-endian; strings with their u64 lengths
};

// The strings of an array of strings, one after the other, without copying:
//   for (std::string_view token : StringItems(array)) ...
class StringItems {
 public:
  class Iterator {
   public:
    Iterator(const std::byte* at, std::uint64_t index) : at_(at), index_(index) {}
    std::string_view operator*() const {
      return {reinterpret_cast<const char*>(at_) + sizeof(std::uint64_t), length()};
    }
    Iterator& operator++() {
      at_ += sizeof(std::uint64_t) + length();
      ++index_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    std::size_t length() const {
      std::uint64_t n = 0;
      std::memcpy(&n, at_, sizeof n);
      return static_cast<std::size_t>(n);
    }
    const std::byte* at_;
    std::uint64_t index_;
  };

  explicit StringItems(const ArrayView& array) : array_(array) {}
  std::uint64_t size() const { return array_.count; }
  Iterator begin() const { return {array_.bytes.data(), 0}; }
  Iterator end() const { return {nullptr, array_.count}; }

 private:
  ArrayView array_;  // item_type string
};

// One metadata value. Integers of any width become i64/u64; views point into the mapped file.
using Value = std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, ArrayView>;

// Key -> value with typed access. Absent keys give nullopt; a key of another type throws Error(model) that names the
// file, the key, the type found and the type expected. Integers convert between widths when the value fits.
class Metadata {
 public:
  void set_source(std::string file) { file_ = std::move(file); }
  const std::string& source() const { return file_; }
  void insert(std::string_view key, ValueType type, Value value);
  bool contains(std::string_view key) const { return values_.find(key) != values_.end(); }
  struct Entry {
    ValueType type;
    Value value;
  };
  const std::map<std::string, Entry, std::less<>>& entries() const { return values_; }

  std::optional<std::uint64_t> find_uint(std::string_view key) const;
  std::optional<std::int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;  // integers are taken too
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  const ArrayView* find_array(std::string_view key) const;
  const ArrayView* find_string_array(std::string_view key) const;  // its items: StringItems
  // Arrays decoded whole. Item types are checked likewise.
  std::optional<std::vector<std::int64_t>> find_ints(std::string_view key) const;
  std::optional<std::vector<float>> find_floats(std::string_view key) const;  // integers are taken too
  std::optional<std::vector<bool>> find_bools(std::string_view key) const;    // integers 0 and 1 are taken too
  std::optional<std::vector<std::string_view>> find_strings(std::string_view key) const;

  std::string_view require_string(std::string_view key) const;
  std::uint64_t require_uint(std::string_view key) const;
  double require_float(std::string_view key) const;

 private:
  const Entry* find(std::string_view key) const;
  const ArrayView* find_array_of(std::string_view key, std::string_view expected) const;
  [[noreturn]] void fail(std::string_view key, std::string_view found, std::string_view expected) const;
  [[noreturn]] void fail_missing(std::string_view key, std::string_view expected) const;

  std::string file_;
  std::map<std::string, Entry, std::less<>> values_;
};

}  // namespace llm::formats

#endif
