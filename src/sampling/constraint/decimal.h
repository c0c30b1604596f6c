#ifndef SAMPLING_CONSTRAINT_DECIMAL_H
#define SAMPLING_CONSTRAINT_DECIMAL_H

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llm::sampling {

// An exact decimal number: digits * 10^exponent. No leading or trailing zeros; zero has no digits and no sign.
class Decimal {
 public:
  Decimal() = default;
  // A JSON number; nullopt if the text is none.
  static std::optional<Decimal> parse(std::string_view text);
  static Decimal of(bool negative, const std::string& digits, std::int64_t exponent);

  bool zero() const { return digits_.empty(); }
  bool negative() const { return negative_; }
  const std::string& digits() const { return digits_; }
  std::int64_t exponent() const { return exponent_; }
  bool integer() const { return exponent_ >= 0; }
  Decimal magnitude() const { return of(false, digits_, exponent_); }
  Decimal times_power_of_ten(std::int64_t n) const;
  double to_double() const;

  std::strong_ordering operator<=>(const Decimal& other) const;
  bool operator==(const Decimal& other) const { return (*this <=> other) == std::strong_ordering::equal; }

 private:
  std::string digits_;
  std::int64_t exponent_ = 0;
  bool negative_ = false;
};

// A JSON number that is wanted: which texts are one, and which can still become one.
struct NumberSpec {
  bool integer = false;
  std::optional<Decimal> low, high;
  bool low_exclusive = false, high_exclusive = false;
  std::optional<Decimal> multiple;

  // Digits before and behind the point: numbers end. Integers and multiples have 36 in all.
  static constexpr std::size_t max_integer_digits = 40, max_fraction_digits = 24;
  static constexpr std::size_t max_text = max_integer_digits + max_fraction_digits + 8;
  // Most digits, and most of them behind the point, of a multipleOf.
  static constexpr std::size_t max_multiple_digits = 15;

  bool contains(const Decimal& value) const;
  bool accepts(std::string_view text) const;
  // Whether some continuation (perhaps none) of the text is accepted.
  bool can_become(std::string_view text) const;
  bool satisfiable() const { return can_become(""); }

 private:
  bool rounds_inside(const Decimal& value) const;
  bool meets(bool negative, const Decimal& from, const Decimal& to) const;
  bool can_become_plain(std::string_view text) const;
  bool can_become_scientific(std::string_view text) const;
  bool can_become_step(std::string_view text) const;
};

}  // namespace llm::sampling

#endif
