#include "formats/metadata.h"

#include <fmt/format.h>

#include <limits>
#include <llm/error.hpp>
#include <type_traits>

#include "formats/quote.h"

namespace llm::formats {
namespace {

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Calls put(item) with every item of a numeric array as its own C++ type; false for other item types.
template <typename Put>
bool for_each_number(const ArrayView& array, Put put) {
  const auto walk = [&]<typename T>(T) {
    for (std::uint64_t i = 0; i < array.count; ++i) put(load<T>(array.bytes.data() + i * sizeof(T)));
    return true;
  };
  switch (array.item_type) {
    case ValueType::u8:
      return walk(std::uint8_t{});
    case ValueType::i8:
      return walk(std::int8_t{});
    case ValueType::u16:
      return walk(std::uint16_t{});
    case ValueType::i16:
      return walk(std::int16_t{});
    case ValueType::u32:
      return walk(std::uint32_t{});
    case ValueType::i32:
      return walk(std::int32_t{});
    case ValueType::u64:
      return walk(std::uint64_t{});
    case ValueType::i64:
      return walk(std::int64_t{});
    case ValueType::f32:
      return walk(float{});
    case ValueType::f64:
      return walk(double{});
    case ValueType::boolean:
    case ValueType::string:
    case ValueType::array:
      break;
  }
  return false;
}

bool is_float(ValueType type) {
  return type == ValueType::f32 || type == ValueType::f64;
}

std::string describe(const Metadata::Entry& entry) {
  if (const auto* n = std::get_if<std::uint64_t>(&entry.value)) return fmt::format("{}", *n);
  if (const auto* n = std::get_if<std::int64_t>(&entry.value)) return fmt::format("{}", *n);
  if (const auto* x = std::get_if<double>(&entry.value)) return fmt::format("{}", *x);
  if (const auto* b = std::get_if<bool>(&entry.value)) return fmt::format("{}", *b);
  if (const auto* text = std::get_if<std::string_view>(&entry.value)) return fmt::format("the string {}", quote(*text));
  const auto& array = std::get<ArrayView>(entry.value);
  return fmt::format("an array of {} items of type {}", array.count, value_type_name(array.item_type));
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  static constexpr std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                               "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<std::uint32_t>(type)];
}

std::uint64_t value_type_bytes(ValueType type) {
  static constexpr std::uint64_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return bytes[static_cast<std::uint32_t>(type)];
}

void Metadata::insert(std::string_view key, ValueType type, Value value) {
  const bool inserted = values_.try_emplace(std::string(key), Entry{type, value}).second;
  if (!inserted) {
    throw Error(ErrorCode::model, fmt::format("{}: metadata key {} stands twice, expected once", file_, quote(key)));
  }
}

const Metadata::Entry* Metadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void Metadata::fail(std::string_view key, std::string_view found, std::string_view expected) const {
  throw Error(ErrorCode::model,
              fmt::format("{}: metadata key {}: found {}, expected {}", file_, quote(key), found, expected));
}

void Metadata::fail_missing(std::string_view key, std::string_view expected) const {
  throw Error(ErrorCode::model,
              fmt::format("{}: metadata key {} is missing, expected {}", file_, quote(key), expected));
}

std::optional<std::uint64_t> Metadata::find_uint(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* n = std::get_if<std::uint64_t>(&entry->value)) return *n;
  if (const auto* n = std::get_if<std::int64_t>(&entry->value); n != nullptr && *n >= 0) {
    return static_cast<std::uint64_t>(*n);
  }
  fail(key, describe(*entry), "an integer of at least 0");
}

std::optional<std::int64_t> Metadata::find_int(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* n = std::get_if<std::int64_t>(&entry->value)) return *n;
  if (const auto* n = std::get_if<std::uint64_t>(&entry->value)) {
    if (*n <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return static_cast<std::int64_t>(*n);
  }
  fail(key, describe(*entry), "a signed 64-bit integer");
}

std::optional<double> Metadata::find_float(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* x = std::get_if<double>(&entry->value)) return *x;
  if (const auto* n = std::get_if<std::int64_t>(&entry->value)) return static_cast<double>(*n);
  if (const auto* n = std::get_if<std::uint64_t>(&entry->value)) return static_cast<double>(*n);
  fail(key, describe(*entry), "a number");
}

std::optional<bool> Metadata::find_bool(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* b = std::get_if<bool>(&entry->value)) return *b;
  fail(key, describe(*entry), "a bool");
}

std::optional<std::string_view> Metadata::find_string(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(&entry->value)) return *text;
  fail(key, describe(*entry), "a string");
}

const ArrayView* Metadata::find_array_of(std::string_view key, std::string_view expected) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return nullptr;
  const auto* array = std::get_if<ArrayView>(&entry->value);
  if (array == nullptr) fail(key, describe(*entry), expected);
  return array;
}

const ArrayView* Metadata::find_array(std::string_view key) const {
  return find_array_of(key, "an array");
}

const ArrayView* Metadata::find_string_array(std::string_view key) const {
  const ArrayView* array = find_array_of(key, "an array of strings");
  if (array != nullptr && array->item_type != ValueType::string) fail(key, describe(*find(key)), "an array of strings");
  return array;
}

std::optional<std::vector<std::int64_t>> Metadata::find_ints(std::string_view key) const {
  static constexpr std::string_view expected = "an array of integers";
  const ArrayView* array = find_array_of(key, expected);
  if (array == nullptr) return std::nullopt;
  if (is_float(array->item_type) || value_type_bytes(array->item_type) == 0 || array->item_type == ValueType::boolean) {
    fail(key, describe(*find(key)), expected);
  }
  std::vector<std::int64_t> items;
  items.reserve(array->count);
  for_each_number(*array, [&](auto item) {
    if constexpr (std::is_same_v<decltype(item), std::uint64_t>) {
      if (item > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        fail(key, fmt::format("item {}", item), "integers below 2^63");
      }
    }
    items.push_back(static_cast<std::int64_t>(item));
  });
  return items;
}

std::optional<std::vector<float>> Metadata::find_floats(std::string_view key) const {
  static constexpr std::string_view expected = "an array of numbers";
  const ArrayView* array = find_array_of(key, expected);
  if (array == nullptr) return std::nullopt;
  if (value_type_bytes(array->item_type) == 0 || array->item_type == ValueType::boolean) {
    fail(key, describe(*find(key)), expected);
  }
  std::vector<float> items;
  items.reserve(array->count);
  for_each_number(*array, [&](auto item) { items.push_back(static_cast<float>(item)); });
  return items;
}

std::optional<std::vector<bool>> Metadata::find_bools(std::string_view key) const {
  static constexpr std::string_view expected = "an array of bools";
  const ArrayView* array = find_array_of(key, expected);
  if (array == nullptr) return std::nullopt;
  std::vector<bool> items;
  if (array->item_type == ValueType::boolean) {
    items.reserve(array->count);
    for (const std::byte item : array->bytes) items.push_back(item != std::byte{0});
    return items;
  }
  if (is_float(array->item_type) || value_type_bytes(array->item_type) == 0) fail(key, describe(*find(key)), expected);
  items.reserve(array->count);
  for_each_number(*array, [&](auto item) {
    if (item != 0 && item != 1) fail(key, fmt::format("item {}", item), expected);
    items.push_back(item != 0);
  });
  return items;
}

std::optional<std::vector<std::string_view>> Metadata::find_strings(std::string_view key) const {
  const ArrayView* array = find_string_array(key);
  if (array == nullptr) return std::nullopt;
  std::vector<std::string_view> items;
  items.reserve(array->count);
  for (const std::string_view item : StringItems(*array)) items.push_back(item);
  return items;
}

std::string_view Metadata::require_string(std::string_view key) const {
  if (const auto value = find_string(key)) return *value;
  fail_missing(key, "a string");
}

std::uint64_t Metadata::require_uint(std::string_view key) const {
  if (const auto value = find_uint(key)) return *value;
  fail_missing(key, "an integer of at least 0");
}

double Metadata::require_float(std::string_view key) const {
  if (const auto value = find_float(key)) return *value;
  fail_missing(key, "a number");
}

}  // namespace llm::formats
