#include <algorithm>

#include "sampling/constraint/syntax.h"

namespace llm::sampling {
namespace {

constexpr std::uint32_t last_code_point = 0x10ffff;
constexpr CodePointRange surrogates = {0xd800, 0xdfff};

int utf8_length(std::uint32_t c) {
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

ByteSequence encode(std::uint32_t low, std::uint32_t high) {
  std::string a, b;
  append_utf8(a, low);
  append_utf8(b, high);
  ByteSequence sequence;
  sequence.size = a.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    sequence.ranges[i] = {static_cast<std::uint8_t>(a[i]), static_cast<std::uint8_t>(b[i])};
  }
  return sequence;
}

// Splits [low, high], of one UTF-8 length, into parts whose bytes vary independently of each other.
void split(std::uint32_t low, std::uint32_t high, std::vector<ByteSequence>& out) {
  for (int trailing = 1; trailing < utf8_length(high); ++trailing) {
    const std::uint32_t mask = (std::uint32_t{1} << (6 * trailing)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      split(low, low | mask, out);
      split((low | mask) + 1, high, out);
      return;
    }
    if ((high & mask) != mask) {
      split(low, (high & ~mask) - 1, out);
      split(high & ~mask, high, out);
      return;
    }
  }
  out.push_back(encode(low, high));
}

}  // namespace

CodePointSet::CodePointSet(std::initializer_list<CodePointRange> ranges) : ranges_(ranges) {
  normalise();
}

CodePointSet CodePointSet::of(std::vector<CodePointRange> ranges) {
  CodePointSet set;
  set.ranges_ = std::move(ranges);
  set.normalise();
  return set;
}

CodePointSet CodePointSet::all() {
  return CodePointSet().complement();
}

void CodePointSet::add(std::uint32_t low, std::uint32_t high) {
  if (low > high) return;
  ranges_.push_back({low, std::min(high, last_code_point)});
  normalise();
}

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalise();
}

void CodePointSet::normalise() {
  std::vector<CodePointRange> parts;
  for (const CodePointRange& r : ranges_) {
    if (r.low < surrogates.low) parts.push_back({r.low, std::min(r.high, surrogates.low - 1)});
    if (r.high > surrogates.high) parts.push_back({std::max(r.low, surrogates.high + 1), r.high});
  }
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.low < b.low; });
  ranges_.clear();
  for (const CodePointRange& r : parts) {
    if (!ranges_.empty() && r.low <= ranges_.back().high + 1) {
      ranges_.back().high = std::max(ranges_.back().high, r.high);
    } else {
      ranges_.push_back(r);
    }
  }
}

CodePointSet CodePointSet::complement() const {
  CodePointSet result;
  std::uint32_t next = 0;
  for (const CodePointRange& r : ranges_) {
    if (r.low > next) result.ranges_.push_back({next, r.low - 1});
    next = r.high + 1;
  }
  if (next <= last_code_point) result.ranges_.push_back({next, last_code_point});
  result.normalise();
  return result;
}

bool CodePointSet::contains(std::uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const CodePointRange& r) { return code_point >= r.low && code_point <= r.high; });
}

std::vector<ByteSequence> utf8_sequences(const CodePointSet& set) {
  std::vector<ByteSequence> out;
  for (const CodePointRange& r : set.ranges()) {
    std::uint32_t low = r.low;
    for (const std::uint32_t border : {0x7fu, 0x7ffu, 0xffffu, last_code_point}) {
      if (low > border || low > r.high) continue;
      split(low, std::min(r.high, border), out);
      low = border + 1;
    }
  }
  return out;
}

void append_utf8(std::string& text, std::uint32_t c) {
  const int n = utf8_length(c);
  if (n == 1) {
    text += static_cast<char>(c);
    return;
  }
  constexpr std::array<std::uint32_t, 5> lead = {0, 0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(lead[static_cast<std::size_t>(n)] | c >> (6 * (n - 1)));
  for (int i = n - 2; i >= 0; --i) text += static_cast<char>(0x80 | (c >> (6 * i) & 0x3f));
}

bool next_code_point(std::string_view text, std::size_t& at, std::uint32_t& code_point) {
  const auto lead = static_cast<std::uint8_t>(text[at]);
  const std::size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (n == 0 || text.size() - at < n) return false;
  std::uint32_t c = n == 1 ? lead : lead & (0x7fu >> n);
  for (std::size_t i = 1; i < n; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[at + i]);
    if ((byte & 0xc0) != 0x80) return false;
    c = c << 6 | (byte & 0x3f);
  }
  if (c > last_code_point || (c >= surrogates.low && c <= surrogates.high)) return false;
  if (static_cast<std::size_t>(utf8_length(c)) != n) return false;
  at += n;
  code_point = c;
  return true;
}

std::uint32_t Syntax::add(Expr expr) {
  nodes.push_back(std::move(expr));
  return static_cast<std::uint32_t>(nodes.size() - 1);
}

std::uint32_t Syntax::add_set(CodePointSet set) {
  sets.push_back(std::move(set));
  return add({.kind = Expr::Kind::set, .index = static_cast<std::uint32_t>(sets.size() - 1)});
}

std::uint32_t Syntax::add_text(std::string_view utf8) {
  Expr sequence;
  for (std::size_t at = 0; at < utf8.size();) {
    std::uint32_t c = 0;
    if (!next_code_point(utf8, at, c)) return add({.kind = Expr::Kind::choice});
    sequence.items.push_back(add_set({{c, c}}));
  }
  return add(std::move(sequence));
}

std::uint32_t Syntax::add_repeat(std::uint32_t node, std::uint32_t min, std::uint32_t max) {
  return add({.kind = Expr::Kind::repeat, .items = {node}, .min = min, .max = max});
}

}  // namespace llm::sampling
