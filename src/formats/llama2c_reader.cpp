#include "formats/llama2c_reader.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "formats/byte_reader.h"

namespace llm::formats {
namespace {

constexpr std::uint32_t magic = 0x616b3432;  // "ak42" read as a number
constexpr std::uint64_t versioned_header_bytes = 256;
constexpr std::int32_t max_width = 1 << 20;  // of any one extent
constexpr std::int32_t max_layers = 512;
constexpr std::int64_t q8_block = 32;  // elements of a Q8_0 block

struct Header {
  std::int32_t version = 0;
  std::int32_t dim = 0;
  std::int32_t hidden_dim = 0;
  std::int32_t n_layers = 0;
  std::int32_t n_heads = 0;
  std::int32_t n_kv_heads = 0;
  std::int32_t vocab_size = 0;
  std::int32_t max_seq_len = 0;
  bool tied = true;
  std::int32_t group_size = 0;  // version 2

  std::int64_t head_dim() const { return dim / n_heads; }
  std::int64_t kv_dim() const { return head_dim() * n_kv_heads; }
};

bool is_plausible(const Header& h) {
  const auto within = [](std::int32_t n, std::int32_t most) { return n >= 1 && n <= most; };
  return within(h.dim, max_width) && within(h.hidden_dim, max_width) && within(h.n_layers, max_layers) &&
         within(h.n_heads, h.dim) && within(h.n_kv_heads, h.n_heads) && within(h.vocab_size, max_width * 4) &&
         within(h.max_seq_len, 1 << 28) && h.dim % h.n_heads == 0 && h.n_heads % h.n_kv_heads == 0 &&
         h.head_dim() % 2 == 0;
}

bool read_numbers(ByteReader& reader, Header& h) {
  for (std::int32_t* number :
       {&h.dim, &h.hidden_dim, &h.n_layers, &h.n_heads, &h.n_kv_heads, &h.vocab_size, &h.max_seq_len}) {
    const std::optional<std::int32_t> value = reader.take<std::int32_t>();
    if (!value) return false;
    *number = *value;
  }
  return true;
}

std::optional<Header> read_v0_header(ByteReader& reader) {
  Header h;
  if (!read_numbers(reader, h)) return std::nullopt;
  // A negative vocabulary says that the output matrix is not the embedding.
  h.tied = h.vocab_size > 0;
  if (h.vocab_size < 0 && h.vocab_size >= -max_width * 4) h.vocab_size = -h.vocab_size;
  if (!is_plausible(h)) return std::nullopt;
  return h;
}

std::string config_of(const Header& h) {
  const nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_act", "silu"},
      {"hidden_size", h.dim},
      {"intermediate_size", h.hidden_dim},
      {"num_hidden_layers", h.n_layers},
      {"num_attention_heads", h.n_heads},
      {"num_key_value_heads", h.n_kv_heads},
      {"vocab_size", h.vocab_size},
      {"max_position_embeddings", h.max_seq_len},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"rope_interleave", true},
      {"tie_word_embeddings", h.tied},
  };
  return config.dump();
}

// One matrix or vector of the checkpoint in the order of the file.
struct Item {
  std::string name;
  std::int64_t n_rows = 1;  // 1 for vectors
  std::int64_t n_columns = 0;
  bool quantised = false;
  bool skipped = false;  // tables that are computed today
};

std::vector<Item> list_items(const Header& h) {
  std::vector<Item> items;
  const auto matrix = [&](std::string name, std::int64_t n_rows, std::int64_t n_columns) {
    items.push_back({std::move(name), n_rows, n_columns, h.version == 2, false});
  };
  const auto vector = [&](std::string name) { items.push_back({std::move(name), 1, h.dim, false, false}); };
  const auto each_layer = [&](std::string_view name, std::int64_t n_rows, std::int64_t n_columns) {
    for (std::int32_t i = 0; i < h.n_layers; ++i) {
      std::string full = fmt::format("model.layers.{}.{}.weight", i, name);
      if (n_rows == 0) {
        vector(std::move(full));
      } else {
        matrix(std::move(full), n_rows, n_columns);
      }
    }
  };
  const auto attention_norms = [&] { each_layer("input_layernorm", 0, h.dim); };
  const auto ffn_norms = [&] { each_layer("post_attention_layernorm", 0, h.dim); };
  const auto attention = [&] {
    each_layer("self_attn.q_proj", h.dim, h.dim);
    each_layer("self_attn.k_proj", h.kv_dim(), h.dim);
    each_layer("self_attn.v_proj", h.kv_dim(), h.dim);
    each_layer("self_attn.o_proj", h.dim, h.dim);
  };
  const auto ffn = [&] {
    each_layer("mlp.gate_proj", h.hidden_dim, h.dim);
    each_layer("mlp.down_proj", h.dim, h.hidden_dim);
    each_layer("mlp.up_proj", h.hidden_dim, h.dim);
  };
  if (h.version == 0) {
    matrix("model.embed_tokens.weight", h.vocab_size, h.dim);
    attention_norms();
    attention();
    ffn_norms();
    ffn();
    vector("model.norm.weight");
    for (int i = 0; i < 2; ++i) items.push_back({"", h.max_seq_len, h.head_dim() / 2, false, true});  // cos, sin
  } else {
    attention_norms();
    ffn_norms();
    vector("model.norm.weight");
    matrix("model.embed_tokens.weight", h.vocab_size, h.dim);
    attention();
    ffn();
  }
  if (!h.tied) matrix("lm_head.weight", h.vocab_size, h.dim);
  return items;
}

// IEEE binary16 bits, rounded to nearest even.
std::uint16_t half_bits(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65536 and more
  const std::uint32_t exponent = magnitude >> 23;
  if (exponent < 102) return static_cast<std::uint16_t>(sign);  // below half of the least subnormal, 2^-24
  // Below 2^-14 the significand moves right; from there on the exponent's bias changes from 127 to 15.
  const std::uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
  const std::uint32_t shift = exponent < 113 ? 126 - exponent : 13;
  const std::uint32_t kept = significand >> shift;
  const std::uint32_t rest = significand & ((1u << shift) - 1);
  const std::uint32_t tie = 1u << (shift - 1);
  const std::uint32_t rounded = kept + (rest > tie || (rest == tie && (kept & 1u) != 0) ? 1u : 0u);
  return static_cast<std::uint16_t>(sign | (exponent < 113 ? rounded : ((exponent - 113) << 10) + rounded));
}

class Llama2cReader {
 public:
  Llama2cReader(MappedFile file, std::uint64_t max_f32_bytes)
      : file_(std::move(file)), reader_(file_.bytes()), max_f32_bytes_(max_f32_bytes) {}

  WeightsContents read() {
    read_header();
    const std::vector<Item> items = list_items(header_);
    check_size(items);
    for (const Item& item : items) add(item);
    contents_.kind = SourceKind::llama2c;
    contents_.path = file_.path();
    contents_.config_json = config_of(header_);
    contents_.parts.push_back(std::move(file_));
    return std::move(contents_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorCode::model,
                fmt::format("{}: {}", file_.path(), fmt::format(format, std::forward<Args>(args)...)));
  }

  void read_header() {
    if (!has_llama2c_magic(file_.bytes())) {
      const std::optional<Header> header = read_v0_header(reader_);
      if (!header) fail("is no llama2.c checkpoint");
      header_ = *header;
      return;
    }
    static_cast<void>(reader_.take<std::uint32_t>());
    const std::optional<std::int32_t> version = reader_.take<std::int32_t>();
    if (!version) fail("ends inside the llama2.c header");
    if (*version != 1 && *version != 2) fail("llama2.c checkpoint version {}, expected 1 or 2", *version);
    header_.version = *version;
    const bool complete = read_numbers(reader_, header_);
    const std::optional<std::uint8_t> tied = reader_.take<std::uint8_t>();
    if (!complete || !tied || file_.size() < versioned_header_bytes) fail("ends inside the llama2.c header");
    header_.tied = *tied != 0;
    if (!is_plausible(header_)) {
      fail(
          "llama2.c header with dim {}, hidden_dim {}, n_layers {}, n_heads {}, n_kv_heads {}, vocab_size {}, "
          "max_seq_len "
          "{}: expected sizes of a model",
          header_.dim, header_.hidden_dim, header_.n_layers, header_.n_heads, header_.n_kv_heads, header_.vocab_size,
          header_.max_seq_len);
    }
    if (header_.version == 2) {
      const std::optional<std::int32_t> group_size = reader_.take<std::int32_t>();
      if (!group_size) fail("ends inside the llama2.c header");
      // Groups may run on from one row of w2 into the next.
      if (*group_size < 1 || header_.dim % *group_size != 0) {
        fail("llama2.c group size {}, expected a divisor of dim {}", *group_size, header_.dim);
      }
      header_.group_size = *group_size;
    }
    static_cast<void>(reader_.take_bytes(versioned_header_bytes - reader_.position()));
  }

  // Extents are at most 2^22 * 2^20 and there are at most some 5000 items, so no product or sum here wraps.
  std::uint64_t bytes_of(const Item& item) const {
    const std::uint64_t n = static_cast<std::uint64_t>(item.n_rows) * static_cast<std::uint64_t>(item.n_columns);
    return item.quantised ? n + n / static_cast<std::uint64_t>(header_.group_size) * sizeof(float) : n * sizeof(float);
  }

  void check_size(const std::vector<Item>& items) {
    std::uint64_t n_expected = 0;
    std::uint64_t n_quantised = 0;
    for (const Item& item : items) {
      n_expected += bytes_of(item);
      if (item.quantised) n_quantised += static_cast<std::uint64_t>(item.n_rows * item.n_columns);
    }
    if (n_expected != reader_.left()) {
      fail("{} bytes of weights, but a llama2.c checkpoint of its dim {}, n_layers {}, vocab_size {} has {}",
           reader_.left(), header_.dim, header_.n_layers, header_.vocab_size, n_expected);
    }
    const bool whole_blocks =
        header_.group_size % q8_block == 0 && header_.hidden_dim % q8_block == 0 && header_.dim % q8_block == 0;
    exact_ = n_quantised <= max_f32_bytes_ / sizeof(float) || !whole_blocks;
  }

  void add(const Item& item) {
    const std::span<const std::byte> bytes = *reader_.take_bytes(bytes_of(item));
    if (item.skipped) return;
    TensorView tensor;
    tensor.name = contents_.names.emplace_back(item.name);
    tensor.n_dims = item.n_rows == 1 && !item.quantised ? 1 : 2;
    tensor.extent = {item.n_columns, item.n_rows, 1, 1};
    tensor.data = bytes.data();
    tensor.n_bytes = bytes.size();
    if (item.quantised) {
      convert(tensor);
      file_.release(bytes);
    }
    contents_.tensors.push_back(tensor);
  }

  // Groups of int8 with one float scale each, all numbers of the matrix before all scales.
  void convert(TensorView& tensor) {
    const std::int64_t n = tensor.n_elements();
    const std::int64_t group = header_.group_size;
    const std::byte* const numbers = tensor.data;
    const auto scale = [&](std::int64_t i) {
      float value = 0;
      std::memcpy(&value, numbers + n + i / group * static_cast<std::int64_t>(sizeof(float)), sizeof value);
      return value;
    };
    tensor.type = exact_ ? TensorType::F32 : TensorType::Q8_0;
    tensor.n_bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n));
    std::byte* out =
        contents_.converted.emplace_back(std::make_unique_for_overwrite<std::byte[]>(tensor.n_bytes)).get();
    tensor.data = out;
    if (exact_) {
      for (std::int64_t i = 0; i < n; ++i, out += sizeof(float)) {
        const float value = static_cast<float>(static_cast<std::int8_t>(numbers[i])) * scale(i);
        std::memcpy(out, &value, sizeof value);
      }
      return;
    }
    for (std::int64_t i = 0; i < n; i += q8_block) {
      const std::uint16_t bits = half_bits(scale(i));
      std::memcpy(out, &bits, sizeof bits);
      std::memcpy(out + sizeof bits, numbers + i, static_cast<std::size_t>(q8_block));
      out += sizeof bits + q8_block;
    }
  }

  MappedFile file_;
  ByteReader reader_;
  std::uint64_t max_f32_bytes_;
  Header header_;
  WeightsContents contents_;
  bool exact_ = true;  // version 2: convert to F32
};

}  // namespace

bool has_llama2c_magic(std::span<const std::byte> bytes) {
  return ByteReader(bytes).take<std::uint32_t>() == magic;
}

bool looks_like_llama2c_v0(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  return read_v0_header(reader).has_value();
}

WeightsContents read_llama2c(MappedFile file, std::uint64_t max_f32_bytes) {
  return Llama2cReader(std::move(file), max_f32_bytes).read();
}

}  // namespace llm::formats
