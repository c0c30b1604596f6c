#include "sampling/constraint/decimal.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace llm::sampling {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The parts of a number that may be unfinished.
struct Parts {
  bool valid = true;  // as a beginning of a number
  bool negative = false, point = false, exponent = false, exponent_negative = false, exponent_signed = false;
  std::string_view integer, fraction, exponent_digits;
};

Parts take_apart(std::string_view text) {
  Parts p;
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return text.substr(begin, i - begin);
  };
  if (i < text.size() && text[i] == '-') p.negative = true, ++i;
  p.integer = digits();
  if (p.integer.size() > 1 && p.integer[0] == '0') p.valid = false;
  if (i < text.size() && text[i] == '.' && !p.integer.empty()) p.point = true, ++i, p.fraction = digits();
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E') && !p.integer.empty() &&
      (!p.point || !p.fraction.empty())) {
    p.exponent = true;
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) {
      p.exponent_signed = true;
      p.exponent_negative = text[i++] == '-';
    }
    p.exponent_digits = digits();
  }
  if (i != text.size()) p.valid = false;
  return p;
}

std::int64_t to_int(std::string_view digits) {
  std::int64_t n = 0;
  for (char c : digits) n = std::min<std::int64_t>(n * 10 + (c - '0'), 1'000'000);
  return n;
}

Decimal magnitude_of(const Parts& p) {
  return Decimal::of(false, std::string(p.integer) + std::string(p.fraction),
                     -static_cast<std::int64_t>(p.fraction.size()));
}

// One unit of the last digit.
Decimal unit(std::int64_t exponent) {
  return Decimal::of(false, "1", exponent);
}

// a + 10^e where a is a multiple of 10^e.
Decimal next(const Decimal& a, std::int64_t e) {
  if (a.zero()) return unit(e);
  std::string digits = a.digits() + std::string(static_cast<std::size_t>(a.exponent() - e), '0');
  std::size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) {
    digits.insert(digits.begin(), '1');
  } else {
    ++digits[i - 1];
  }
  return Decimal::of(false, digits, e);
}

__extension__ using Wide = __int128;

constexpr std::size_t max_double_digits = 15;  // decimal digits that double precision keeps apart
constexpr int max_wide_digits = 37;            // 10^37 < 2^127

Wide power_of_ten(std::int64_t n) {
  Wide value = 1;
  for (std::int64_t i = 0; i < n; ++i) value *= 10;
  return value;
}

// value * 10^scale rounded down, kept within +-10^37. `exact`: nothing was rounded away.
Wide scaled_floor(const Decimal& value, std::int64_t scale, bool& exact) {
  exact = true;
  if (value.zero()) return 0;
  const std::int64_t e = value.exponent() + scale;
  const std::int64_t n_digits = e + static_cast<std::int64_t>(value.digits().size());
  if (n_digits > max_wide_digits)
    return value.negative() ? -power_of_ten(max_wide_digits) : power_of_ten(max_wide_digits);
  Wide w = 0;
  for (std::int64_t i = 0; i < n_digits; ++i) {
    const auto at = static_cast<std::size_t>(i);
    w = w * 10 + (at < value.digits().size() ? value.digits()[at] - '0' : 0);
  }
  exact = e >= 0;
  return value.negative() ? -w - (exact ? 0 : 1) : w;
}

Wide floor_divide(Wide a, Wide b) {
  const Wide q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

// digits * 10^extra modulo m.
Wide remainder(std::string_view digits, std::int64_t extra, Wide m) {
  Wide r = 0;
  for (char c : digits) r = (r * 10 + (c - '0')) % m;
  for (std::int64_t i = 0; i < extra && r != 0; ++i) r = r * 10 % m;
  return r;
}

Wide to_wide(std::string_view digits) {
  Wide w = 0;
  for (char c : digits) w = w * 10 + (c - '0');
  return w;
}

}  // namespace

Decimal Decimal::of(bool negative, const std::string& digits, std::int64_t exponent) {
  const std::size_t first = digits.find_first_not_of('0');
  Decimal d;
  if (first == std::string::npos) return d;
  const std::size_t last = digits.find_last_not_of('0');
  d.exponent_ = exponent + static_cast<std::int64_t>(digits.size() - 1 - last);
  d.digits_ = digits.substr(first, last - first + 1);
  d.negative_ = negative;
  return d;
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
  const Parts p = take_apart(text);
  if (!p.valid || p.integer.empty() || (p.point && p.fraction.empty()) || (p.exponent && p.exponent_digits.empty())) {
    return std::nullopt;
  }
  const std::int64_t e = p.exponent_negative ? -to_int(p.exponent_digits) : to_int(p.exponent_digits);
  Decimal d = magnitude_of(p).times_power_of_ten(e);
  d.negative_ = p.negative && !d.zero();
  return d;
}

Decimal Decimal::times_power_of_ten(std::int64_t n) const {
  Decimal d = *this;
  if (!d.zero()) d.exponent_ += n;
  return d;
}

double Decimal::to_double() const {
  if (zero()) return 0;
  return std::strtod(((negative_ ? "-" : "") + digits_ + "e" + std::to_string(exponent_)).c_str(), nullptr);
}

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
  const auto sign = [](const Decimal& d) { return d.zero() ? 0 : d.negative_ ? -1 : 1; };
  if (sign(*this) != sign(other)) return sign(*this) <=> sign(other);
  if (zero()) return std::strong_ordering::equal;
  const auto top = [](const Decimal& d) { return d.exponent_ + static_cast<std::int64_t>(d.digits_.size()); };
  const auto size = [&](const Decimal& a, const Decimal& b) {
    const auto order = top(a) <=> top(b);
    return order != std::strong_ordering::equal ? order : a.digits_ <=> b.digits_;
  };
  return negative_ ? size(other, *this) : size(*this, other);
}

bool NumberSpec::contains(const Decimal& value) const {
  if (integer && !value.integer()) return false;
  if (low && (low_exclusive ? value <= *low : value < *low)) return false;
  if (high && (high_exclusive ? value >= *high : value > *high)) return false;
  if (!multiple || value.zero()) return true;
  const std::int64_t e = value.exponent() - multiple->exponent();
  if (e < 0 || remainder(value.digits(), e, to_wide(multiple->digits())) != 0) return false;
  if (multiple->integer()) return true;
  // Validators divide in double precision; a quotient that rounds away from an integer would be refused by them.
  const double quotient = value.to_double() / multiple->to_double();
  return quotient == std::floor(quotient);
}

bool NumberSpec::accepts(std::string_view text) const {
  const std::optional<Decimal> value = Decimal::parse(text);
  return value && can_become(text) && contains(*value);
}

bool NumberSpec::rounds_inside(const Decimal& value) const {
  const double x = value.to_double();
  return (!low || !low_exclusive || x > low->to_double()) && (!high || !high_exclusive || x < high->to_double());
}

bool NumberSpec::can_become(std::string_view text) const {
  if (!take_apart(text).valid) return false;
  if (integer || multiple) return can_become_step(text);
  return can_become_plain(text) || can_become_scientific(text);
}

// Numbers of one sign with a magnitude in [from, to), dense; or just `from` where the two are equal.
bool NumberSpec::meets(bool negative, const Decimal& from, const Decimal& to) const {
  const auto inside = [&](const Decimal& v) { return contains(Decimal::of(negative, v.digits(), v.exponent())); };
  if (inside(from)) return true;
  // `near` keeps away from zero, `far` from infinity.
  const std::optional<Decimal>& near = negative ? high : low;
  const std::optional<Decimal>& far = negative ? low : high;
  Decimal a = from, b = to;
  if (near && !near->zero() && near->negative() == negative) {
    const Decimal bound = near->magnitude();
    if (bound >= from && bound < to && inside(bound)) return true;
    a = std::max(a, bound);
  }
  if (far) {
    if (far->zero() || far->negative() != negative) return false;  // zero at most, and that was tested
    b = std::min(b, far->magnitude());
  }
  return a < b;
}

bool NumberSpec::can_become_plain(std::string_view text) const {
  const Parts p = take_apart(text);
  if (p.exponent || p.integer.size() > max_integer_digits || p.fraction.size() > max_fraction_digits) return false;
  if (p.integer.empty()) {
    const Decimal top = unit(static_cast<std::int64_t>(max_integer_digits));
    return meets(p.negative, Decimal(), top) || (text.empty() && meets(true, Decimal(), top));
  }
  const Decimal v = magnitude_of(p);
  if (p.fraction.size() == max_fraction_digits) return meets(p.negative, v, v);
  const Decimal above = next(v, -static_cast<std::int64_t>(p.fraction.size()));
  // Beyond the digits of double precision a number may round to an exclusive bound.
  const bool exclusive = low_exclusive || high_exclusive;
  if (exclusive && v.digits().size() > max_double_digits &&
      !rounds_inside(Decimal::of(p.negative, v.digits(), v.exponent()))) {
    return false;
  }
  if (p.point || v.zero()) return meets(p.negative, v, above);
  for (std::size_t k = 0; k + p.integer.size() <= max_integer_digits; ++k) {
    const auto power = static_cast<std::int64_t>(k);
    if (meets(p.negative, v.times_power_of_ten(power), above.times_power_of_ten(power))) return true;
  }
  return false;
}

// Exponents as other programs write them: one digit that is not zero before the point, within double precision.
bool NumberSpec::can_become_scientific(std::string_view text) const {
  const Parts p = take_apart(text);
  if (p.integer.size() > 1 || p.integer == "0" || p.exponent_digits.size() > 3) return false;
  if (p.fraction.size() > max_fraction_digits) return false;
  const Decimal from = p.integer.empty() ? unit(0) : magnitude_of(p);
  Decimal to = unit(1);
  if (p.exponent || p.fraction.size() == max_fraction_digits) {
    to = from;
  } else if (!p.integer.empty()) {
    to = next(from, -static_cast<std::int64_t>(p.fraction.size()));
  }
  constexpr std::int64_t largest = 307, smallest = -324;
  for (std::int64_t e = smallest; e <= largest; ++e) {
    if (p.exponent_signed && (p.exponent_negative ? e > 0 : e < 0)) continue;
    if (!p.exponent_signed && !p.exponent_digits.empty() && e < 0) continue;
    bool possible = p.exponent_digits.empty();
    for (std::size_t n = std::max<std::size_t>(p.exponent_digits.size(), 1); n <= 3 && !possible; ++n) {
      // The exponent written with n digits.
      std::string written = std::to_string(e < 0 ? -e : e);
      if (written.size() > n) continue;
      written.insert(0, n - written.size(), '0');
      possible = std::string_view(written).starts_with(p.exponent_digits);
    }
    if (!possible) continue;
    const Decimal a = from.times_power_of_ten(e), b = to.times_power_of_ten(e);
    if (meets(p.negative, a, b) || (text.empty() && meets(true, a, b))) return true;
  }
  return false;
}

// Integers and multiples, counted in units of the last digit that a multiple can have.
bool NumberSpec::can_become_step(std::string_view text) const {
  const Parts p = take_apart(text);
  const std::int64_t scale = multiple ? std::max<std::int64_t>(0, -multiple->exponent()) : 0;
  const std::size_t max_digits = max_wide_digits - 1 - static_cast<std::size_t>(scale);
  if (p.exponent || p.integer.size() > max_digits) return false;
  // With a point it is read in double precision, and should still be a multiple then.
  if (p.point && p.integer.size() + std::max<std::size_t>(p.fraction.size(), 1) > max_double_digits + 1) return false;
  Wide step = multiple ? to_wide(multiple->digits()) * power_of_ten(multiple->exponent() + scale) : 1;
  if (integer && scale > 0)
    step = step / std::gcd(static_cast<std::int64_t>(step), static_cast<std::int64_t>(power_of_ten(scale))) *
           power_of_ten(scale);

  // Texts between a point and their end.
  const std::size_t max_fraction = integer ? 1 : static_cast<std::size_t>(std::max<std::int64_t>(scale, 1));
  if (p.fraction.size() > max_fraction) return false;
  if ((integer || scale == 0) && p.fraction.find_first_not_of('0') != std::string_view::npos) return false;
  const Decimal value = Decimal::of(p.negative, std::string(p.integer) + std::string(p.fraction),
                                    -static_cast<std::int64_t>(p.fraction.size()));
  if (p.point && (integer || static_cast<std::int64_t>(p.fraction.size()) >= scale)) return contains(value);

  bool exact = true;
  Wide least = -power_of_ten(max_wide_digits), most = power_of_ten(max_wide_digits);
  if (low) {
    least = scaled_floor(*low, scale, exact);
    if (!exact || low_exclusive) ++least;
  }
  if (high) {
    most = scaled_floor(*high, scale, exact);
    if (exact && high_exclusive) --most;
  }
  const auto holds = [&](bool negative, Wide first, Wide last) {
    const Wide a = std::max(least, negative ? -last : first);
    const Wide b = std::min(most, negative ? -first : last);
    return a <= b && floor_divide(b, step) * step >= a;
  };
  if (p.integer.empty()) {
    const Wide top = power_of_ten(static_cast<std::int64_t>(max_digits) + scale) - 1;
    const bool negative = holds(true, 0, top);
    return p.negative ? negative : (negative && text.empty()) || holds(false, 0, top);
  }
  const Wide digits =
      to_wide(p.integer) * power_of_ten(static_cast<std::int64_t>(p.fraction.size())) + to_wide(p.fraction);
  const std::int64_t open = scale - static_cast<std::int64_t>(p.fraction.size());
  const std::size_t n_more = p.point || digits == 0 ? 0 : max_digits - p.integer.size();
  for (std::size_t k = 0; k <= n_more; ++k) {
    const Wide width = power_of_ten(open + static_cast<std::int64_t>(k));
    if (holds(p.negative, digits * width, digits * width + width - 1)) return true;
  }
  return false;
}

}  // namespace llm::sampling
