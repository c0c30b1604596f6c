#ifndef CHAT_BIG_INTEGER_H
#define CHAT_BIG_INTEGER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/value.h"

namespace llm::chat {

// Integers that are too large for Integer: magnitude in base 10^9, lowest digit first, and a sign. At most 4300 decimal
// digits, which is also what Python writes; larger results fail.
class BigInteger {
 public:
  explicit BigInteger(Integer value);
  // Of an integer value of any size.
  explicit BigInteger(const Value& value);
  // Decimal digits, with a minus sign perhaps.
  explicit BigInteger(std::string_view digits);
  static BigInteger from_real(double value);  // a whole number

  // An ordinary integer if it fits.
  Value value() const;
  std::string digits() const;
  bool is_zero() const { return limbs_.empty(); }

  BigInteger negated() const;
  friend BigInteger operator+(const BigInteger& a, const BigInteger& b);
  friend BigInteger operator-(const BigInteger& a, const BigInteger& b) { return a + b.negated(); }
  friend BigInteger operator*(const BigInteger& a, const BigInteger& b);
  friend int compare(const BigInteger& a, const BigInteger& b);
  BigInteger power(std::uint64_t exponent) const;
  // Quotient towards minus infinity and what remains; the divisor must not be zero.
  struct Division;
  Division divided_by(const BigInteger& divisor) const;

 private:
  using Limbs = std::vector<std::uint32_t>;
  BigInteger(Limbs limbs, bool negative);

  Limbs limbs_;
  bool negative_ = false;
};

struct BigInteger::Division {
  BigInteger quotient, remainder;
};

}  // namespace llm::chat

#endif
