#ifndef TESTS_SUPPORT_MUTATOR_H
#define TESTS_SUPPORT_MUTATOR_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace llm::test {

// A number of a file's structure: a count, length, type, extent, offset ...
struct Field {
  std::size_t at = 0;
  std::size_t n_bytes = 0;
};

// Damages files in the ways files get damaged: fields set to telling values, bits flipped, ends cut, stretches moved.
class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // One to four changes of `bytes`, whose structure `fields` names.
  std::string mutate(std::string bytes, const std::vector<Field>& fields) {
    const std::size_t n_changes = 1 + below(4);
    for (std::size_t i = 0; i < n_changes; ++i) change(bytes, fields);
    return bytes;
  }

  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random_() % n); }

 private:
  void change(std::string& bytes, const std::vector<Field>& fields) {
    if (bytes.empty()) return;
    switch (below(12)) {
      case 0:
        flip_bit(bytes);
        break;
      case 1:
        bytes[below(bytes.size())] = static_cast<char>(random_());
        break;
      case 2:
        bytes.resize(below(bytes.size()));
        break;
      case 3:
        bytes.append(1 + below(64), static_cast<char>(random_()));
        break;
      case 4: {  // a stretch doubled
        const std::size_t at = below(bytes.size());
        bytes.insert(below(bytes.size()), bytes.substr(at, 1 + below(48)));
        break;
      }
      case 5:
        bytes.erase(below(bytes.size()), 1 + below(48));
        break;
      case 6: {
        const std::size_t at = below(bytes.size());
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min(bytes.size() - at, 1 + below(16)),
                    below(2) == 0 ? '\0' : '\xff');
        break;
      }
      case 7:
        swap_fields(bytes, fields);
        break;
      default:
        set_field(bytes, fields);
        break;
    }
  }

  void flip_bit(std::string& bytes) {
    const std::size_t at = below(bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
  }

  void set_field(std::string& bytes, const std::vector<Field>& fields) {
    if (fields.empty()) return;
    const Field& field = fields[below(fields.size())];
    if (field.at + field.n_bytes > bytes.size()) return;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + field.at, field.n_bytes);
    static constexpr std::uint64_t telling[] = {0,
                                                1,
                                                2,
                                                3,
                                                4,
                                                5,
                                                7,
                                                8,
                                                9,
                                                12,
                                                13,
                                                31,
                                                32,
                                                33,
                                                64,
                                                255,
                                                256,
                                                65535,
                                                65536,
                                                (1u << 20) + 1,
                                                0x7fffffff,
                                                0x80000000,
                                                0xffffffff,
                                                0x100000000,
                                                std::uint64_t{1} << 40,
                                                std::uint64_t{1} << 60,
                                                std::uint64_t{1} << 61,
                                                std::uint64_t{1} << 62,
                                                (std::uint64_t{1} << 63) - 1,
                                                std::uint64_t{1} << 63,
                                                ~std::uint64_t{0} - 31,
                                                ~std::uint64_t{0} - 7,
                                                ~std::uint64_t{0}};
    switch (below(5)) {
      case 0:
        value = random_();
        break;
      case 1:
        value += 1 + below(40);
        break;
      case 2:
        value -= 1 + below(40);
        break;
      default:
        value = telling[below(std::size(telling))];
        break;
    }
    std::memcpy(bytes.data() + field.at, &value, field.n_bytes);
  }

  void swap_fields(std::string& bytes, const std::vector<Field>& fields) {
    if (fields.empty()) return;
    const Field& a = fields[below(fields.size())];
    const Field& b = fields[below(fields.size())];
    const std::size_t n = std::min(a.n_bytes, b.n_bytes);
    if (std::max(a.at, b.at) + n > bytes.size()) return;
    std::string kept = bytes.substr(a.at, n);
    std::memmove(bytes.data() + a.at, bytes.data() + b.at, n);
    std::memcpy(bytes.data() + b.at, kept.data(), n);
  }

  std::mt19937_64 random_;
};

}  // namespace llm::test

#endif
