#include "chat/big_integer.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace llm::chat {

namespace {

using Limbs = std::vector<std::uint32_t>;
constexpr std::uint32_t base = 1'000'000'000;
constexpr std::size_t limb_digits = 9;
constexpr std::size_t most_digits = 4300;

void trim(Limbs& limbs) {
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
  if (limbs.size() > most_digits / limb_digits + 1)
    fail(fmt::format("an integer has more than {} digits", most_digits));
}

int compare_limbs(const Limbs& a, const Limbs& b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  for (std::size_t i = a.size(); i-- > 0;) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

Limbs sum_of(const Limbs& a, const Limbs& b) {
  Limbs sum;
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()) || carry != 0; ++i) {
    const std::uint32_t digit = (i < a.size() ? a[i] : 0) + (i < b.size() ? b[i] : 0) + carry;
    sum.push_back(digit % base);
    carry = digit / base;
  }
  trim(sum);
  return sum;
}

// a must be at least b.
Limbs difference_of(const Limbs& a, const Limbs& b) {
  Limbs rest = a;
  std::uint32_t borrow = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const std::uint32_t taken = (i < b.size() ? b[i] : 0) + borrow;
    borrow = rest[i] < taken ? 1 : 0;
    rest[i] += (borrow != 0 ? base : 0) - taken;
  }
  trim(rest);
  return rest;
}

Limbs product_of(const Limbs& a, const Limbs& b) {
  Limbs product(a.size() + b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t k = 0; k < b.size() || carry != 0; ++k) {
      const std::uint64_t digit =
          product[i + k] + carry + (k < b.size() ? std::uint64_t{a[i]} * b[k] : std::uint64_t{0});
      product[i + k] = static_cast<std::uint32_t>(digit % base);
      carry = digit / base;
    }
  }
  trim(product);
  return product;
}

// Long division; each digit of the quotient is found by bisection.
Limbs quotient_of(const Limbs& a, const Limbs& b, Limbs& rest) {
  Limbs quotient(a.size());
  rest.clear();
  for (std::size_t i = a.size(); i-- > 0;) {
    rest.insert(rest.begin(), a[i]);
    trim(rest);
    std::uint32_t low = 0, high = base - 1;
    while (low < high) {
      const std::uint32_t middle = low + (high - low + 1) / 2;
      if (compare_limbs(product_of(b, {middle}), rest) <= 0) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    quotient[i] = low;
    if (low != 0) rest = difference_of(rest, product_of(b, {low}));
  }
  trim(quotient);
  return quotient;
}

}  // namespace

BigInteger::BigInteger(Limbs limbs, bool negative) : limbs_(std::move(limbs)), negative_(negative && !limbs_.empty()) {}

BigInteger::BigInteger(Integer value) : BigInteger(std::string_view(format_integer(value))) {}

BigInteger::BigInteger(const Value& value)
    : BigInteger(std::string_view(value.is_big() ? value.big_digits() : format_integer(value.integer()))) {}

BigInteger::BigInteger(std::string_view digits) {
  negative_ = digits.starts_with('-');
  if (negative_) digits.remove_prefix(1);
  if (digits.size() > most_digits) fail(fmt::format("an integer has more than {} digits", most_digits));
  for (std::size_t end = digits.size(); end > 0;) {
    const std::size_t begin = end - std::min(end, limb_digits);
    std::uint32_t limb = 0;
    for (const char c : digits.substr(begin, end - begin)) limb = limb * 10 + static_cast<std::uint32_t>(c - '0');
    limbs_.push_back(limb);
    end = begin;
  }
  trim(limbs_);
  negative_ = negative_ && !limbs_.empty();
}

BigInteger BigInteger::from_real(double value) {
  return BigInteger(std::string_view(fmt::format("{:.0f}", std::trunc(value))));
}

std::string BigInteger::digits() const {
  if (limbs_.empty()) return "0";
  std::string text = fmt::format("{}{}", negative_ ? "-" : "", limbs_.back());
  for (std::size_t i = limbs_.size() - 1; i-- > 0;) text += fmt::format("{:09}", limbs_[i]);
  return text;
}

Value BigInteger::value() const {
  const std::string text = digits();
  Integer small = 0;
  if (text.size() < 38 && parse_integer(text, 10, small)) return Value(small);
  return Value::big(text);
}

BigInteger BigInteger::negated() const {
  return BigInteger(limbs_, !negative_);
}

BigInteger operator+(const BigInteger& a, const BigInteger& b) {
  if (a.negative_ == b.negative_) return {sum_of(a.limbs_, b.limbs_), a.negative_};
  if (compare_limbs(a.limbs_, b.limbs_) >= 0) return {difference_of(a.limbs_, b.limbs_), a.negative_};
  return {difference_of(b.limbs_, a.limbs_), b.negative_};
}

BigInteger operator*(const BigInteger& a, const BigInteger& b) {
  return {product_of(a.limbs_, b.limbs_), a.negative_ != b.negative_};
}

int compare(const BigInteger& a, const BigInteger& b) {
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  const int order = compare_limbs(a.limbs_, b.limbs_);
  return a.negative_ ? -order : order;
}

BigInteger BigInteger::power(std::uint64_t exponent) const {
  BigInteger result(Integer{1}), square = *this;
  while (exponent > 0) {
    if (exponent % 2 != 0) result = result * square;
    exponent /= 2;
    if (exponent > 0) square = square * square;
  }
  return result;
}

BigInteger::Division BigInteger::divided_by(const BigInteger& divisor) const {
  Limbs rest;
  Limbs quotient = quotient_of(limbs_, divisor.limbs_, rest);
  BigInteger q(std::move(quotient), negative_ != divisor.negative_), r(std::move(rest), negative_);
  if (!r.is_zero() && r.negative_ != divisor.negative_) {
    q = q - BigInteger(Integer{1});
    r = r + divisor;
  }
  return {std::move(q), std::move(r)};
}

}  // namespace llm::chat
