#include "model/binder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <llm/error.hpp>

#include "model/naming.h"

namespace llm::model {
namespace {

std::string fill_number(std::string_view pattern, int number) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), number, pattern.substr(at + 2));
}

// Extents other than 1, slowest first.
std::vector<std::int64_t> shape_of(const formats::TensorView& tensor) {
  std::vector<std::int64_t> shape;
  for (int i = tensor.n_dims - 1; i >= 0; --i) shape.push_back(tensor.extent[static_cast<std::size_t>(i)]);
  return shape;
}

std::vector<std::int64_t> without_ones(std::vector<std::int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

bool is_weight_type(TensorType type) {
  switch (type) {
    case TensorType::I8:
    case TensorType::I16:
    case TensorType::I32:
    case TensorType::I64:
    case TensorType::F64:
      return false;
    default:
      return true;
  }
}

}  // namespace

Binder::Binder(const Hyper& hyper, const Family& family, bool header_only)
    : hyper_(hyper), file_(hyper.file()), family_(family), header_only_(header_only) {
  if (hyper_.gguf()) return;
  const auto base = [&](const Naming& naming) -> std::string {
    for (const std::string_view prefix : naming.prefixes) {
      const std::string start = std::string(prefix) + fill_number(naming.layer, 0);
      for (const formats::TensorView& tensor : file_.tensors()) {
        if (tensor.name.starts_with(start)) return std::string(prefix);
      }
    }
    return std::string(naming.prefixes.front());
  };
  hf_base_[0] = base(family_.naming);
  if (family_.encoder_layer != nullptr) hf_base_[1] = base(family_.encoder_naming);
}

void Binder::enter(const Stack& stack, int layer) {
  layer_ = layer;
  encoder_ = stack.prefix == "enc.";
  gguf_scope_ = stack.prefix;
  if (layer >= 0) gguf_scope_ += fmt::format("blk.{}.", layer);
  if (!hyper_.gguf()) {
    hf_layer_ = hf_base_[encoder_ ? 1 : 0];
    if (layer >= 0) hf_layer_ += fill_number(naming().layer, layer);
  }
}

std::string Binder::actual_name(std::string_view name, int number) const {
  const std::size_t dot = name.rfind('.');
  const std::string_view stem = name.substr(0, dot), ending = name.substr(dot);
  const auto replace = [&](std::span<const TensorName> names, const std::string& scope) -> std::optional<std::string> {
    std::optional<std::string> first;
    for (const bool is_whole : {true, false}) {
      for (const TensorName& known : names) {
        if (known.canonical != (is_whole ? name : stem)) continue;
        std::string result = fill_number(known.actual, number);
        if (!is_whole) result += ending;
        result = result.starts_with('^') ? result.substr(1) : scope + result;
        if (file_.find_tensor(result) != nullptr) return result;
        if (!first) first = std::move(result);
      }
      if (first) break;
    }
    return first;
  };
  if (hyper_.gguf()) {
    if (auto own = replace(family_.gguf_names, gguf_scope_)) return *own;
    return gguf_scope_ + std::string(name);
  }
  if (auto own = replace(naming().names, hf_layer_)) return *own;
  if (auto shared = replace(common_names(), hf_layer_)) return *shared;
  return hf_layer_ + std::string(name);
}

std::string Binder::file_name(std::string_view name) const {
  return actual_name(name, 0);
}

void Binder::fail(std::string_view name, const std::string& found, const std::string& expected) const {
  throw Error(ErrorCode::model,
              fmt::format("{}: tensor {}: {}, expected {}", file_.path(), file_name(name), found, expected));
}

const formats::TensorView* Binder::find(std::string_view name, int number) const {
  return file_.find_tensor(actual_name(name, number));
}

bool Binder::has(std::string_view name) const {
  return find(name, 0) != nullptr;
}

bool Binder::numbered(std::string_view name) const {
  return actual_name(name, 0) != actual_name(name, 1);
}

void Binder::mark(const formats::TensorView& tensor) {
  if (used_.insert(tensor.name).second) n_parameters_ += tensor.n_elements();
}

const TensorRule* Binder::rule_for(std::string_view name) const {
  if (hyper_.gguf()) return nullptr;
  for (const TensorRule& rule : family_.rules) {
    const bool matches =
        rule.canonical.starts_with('*') ? name.ends_with(rule.canonical.substr(1)) : name == rule.canonical;
    if (matches) return &rule;
  }
  return nullptr;
}

namespace {

void check_shape(const Binder& binder, std::string_view name, const formats::TensorView& tensor,
                 const std::vector<std::int64_t>& expected) {
  const std::vector<std::int64_t> found = shape_of(tensor);
  if (without_ones(found) != without_ones(expected)) {
    binder.fail(name, fmt::format("shape [{}]", fmt::join(found, ", ")),
                fmt::format("[{}]", fmt::join(expected, ", ")));
  }
  if (!is_weight_type(tensor.type)) {
    binder.fail(name, fmt::format("type {}", tensor_type_info(tensor.type).name), "a type of weights");
  }
}

}  // namespace

const formats::TensorView* Binder::view(std::string_view name, std::initializer_list<std::int64_t> shape,
                                        Presence presence) {
  if (presence == Presence::no) return nullptr;
  const formats::TensorView* tensor = find(name, 0);
  if (tensor == nullptr) {
    if (presence == Presence::if_found) return nullptr;
    fail(name, "missing", fmt::format("shape [{}]", fmt::join(shape, ", ")));
  }
  check_shape(*this, name, *tensor, shape);
  mark(*tensor);
  return tensor;
}

std::byte* Binder::allocate(std::size_t bytes) {
  converted_bytes_ += bytes;
  if (header_only_) return nullptr;
  memory_.emplace_back(bytes);
  return memory_.back().at(0);
}

std::vector<float> Binder::decode(const formats::TensorView& tensor) const {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  kernels::kernels().decode_row(tensor.type, tensor.data, values.data(), tensor.n_elements());
  return values;
}

ops::WeightMatrix Binder::matrix(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence presence) {
  const std::string full = std::string(name) + ".weight";
  const TensorRule* rule = rule_for(full);
  if (rule == nullptr || rule->adapt != Adapt::transpose) {
    const formats::TensorView* tensor = view(full, {n_out, n_in}, presence);
    if (tensor == nullptr) return {};
    if (n_in == 1 && tensor->extent[0] != 1) {
      fail(full, fmt::format("rows of {}", tensor->extent[0]), "rows of 1");
    }
    return {tensor->data, tensor->type, n_out, n_in};
  }
  const formats::TensorView* tensor = view(full, {n_in, n_out}, presence);
  if (tensor == nullptr) return {};
  const TensorTypeInfo& info = tensor_type_info(tensor->type);
  if (info.block_elements != 1) fail(full, fmt::format("type {}", info.name), "F32, F16 or BF16");
  const std::size_t size = info.block_bytes;
  const std::size_t rows = static_cast<std::size_t>(n_out), columns = static_cast<std::size_t>(n_in);
  std::byte* copy = allocate(rows * columns * size);
  if (copy != nullptr) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) {
        std::memcpy(copy + (r * columns + c) * size, tensor->data + (c * rows + r) * size, size);
      }
    }
  }
  return {copy, tensor->type, n_out, n_in};
}

ops::WeightMatrix Binder::stacked(std::string_view name, std::int64_t n, std::int64_t n_out, std::int64_t n_in) {
  const formats::TensorView* tensor = view(std::string(name) + ".weight", {n, n_out, n_in}, Presence::yes);
  return {tensor->data, tensor->type, n * n_out, n_in};
}

ops::WeightMatrix Binder::reordered(std::string_view name, std::int64_t n_out, std::int64_t n_in,
                                    const std::vector<std::int64_t>& order) {
  const ops::WeightMatrix source = matrix(name, n_out, n_in);
  const std::size_t row_bytes = static_cast<std::size_t>(source.row_bytes());
  std::byte* copy = allocate(order.size() * row_bytes);
  for (std::size_t i = 0; copy != nullptr && i < order.size(); ++i) {
    std::memcpy(copy + i * row_bytes, source.row(order[i]), row_bytes);
  }
  return {copy, source.type, static_cast<std::int64_t>(order.size()), n_in};
}

Linear Binder::linear(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence bias, float bias_factor) {
  Linear result;
  const std::string bias_name = std::string(name) + ".bias";
  result.weight = matrix(name, n_out, n_in);
  result.bias = floats(bias_name, {n_out}, bias);
  if (bias_factor == 1 || bias == Presence::no || !has(bias_name)) return result;
  float* copy = allocate_floats(static_cast<std::size_t>(n_out));
  for (std::int64_t i = 0; copy != nullptr && i < n_out; ++i) copy[i] = bias_factor * result.bias[i];
  result.bias = copy;
  return result;
}

const float* Binder::floats(std::string_view name, std::initializer_list<std::int64_t> shape, Presence presence) {
  const formats::TensorView* tensor = view(name, shape, presence);
  if (tensor == nullptr) return nullptr;
  const TensorRule* rule = rule_for(name);
  if (tensor->type == TensorType::F32 && rule == nullptr && !header_only_ &&
      reinterpret_cast<std::uintptr_t>(tensor->data) % alignof(float) == 0) {
    return reinterpret_cast<const float*>(tensor->data);
  }
  if (tensor->type == TensorType::F32 && rule == nullptr && header_only_) return nullptr;
  float* copy = allocate_floats(static_cast<std::size_t>(tensor->n_elements()));
  if (copy == nullptr) return nullptr;
  const std::vector<float> values = decode(*tensor);
  for (std::size_t i = 0; i < values.size(); ++i) {
    copy[i] = values[i];
    if (rule != nullptr && rule->adapt == Adapt::plus_one) copy[i] += 1;
    if (rule != nullptr && rule->adapt == Adapt::negative_exp) {
      copy[i] = static_cast<float>(-std::exp(static_cast<double>(values[i])));
    }
  }
  return copy;
}

const float* Binder::reordered_floats(std::string_view name, std::int64_t n, const std::vector<std::int64_t>& order,
                                      Presence presence, std::initializer_list<std::int64_t> shape) {
  const formats::TensorView* tensor = shape.size() != 0 ? view(name, shape, presence) : view(name, {n}, presence);
  if (tensor == nullptr) return nullptr;
  float* copy = allocate_floats(order.size());
  if (copy == nullptr) return nullptr;
  const std::vector<float> source = decode(*tensor);
  for (std::size_t i = 0; i < order.size(); ++i) copy[i] = source[static_cast<std::size_t>(order[i])];
  return copy;
}

const float* Binder::floats_each(std::string_view name, int n, std::int64_t width) {
  float* copy = allocate_floats(static_cast<std::size_t>(n) * static_cast<std::size_t>(width));
  for (int i = 0; i < n; ++i) {
    const formats::TensorView* tensor = find(name, i);
    if (tensor == nullptr) {
      throw Error(ErrorCode::model, fmt::format("{}: tensor {}: missing, expected shape [{}]", file_.path(),
                                                actual_name(name, i), width));
    }
    check_shape(*this, name, *tensor, {width});
    mark(*tensor);
    if (copy == nullptr) continue;
    const std::vector<float> values = decode(*tensor);
    std::copy(values.begin(), values.end(), copy + i * width);
  }
  return copy;
}

ops::Norm Binder::norm(const Norm& norm, std::string_view name, std::int64_t width) {
  ops::Norm result{norm.kind, nullptr, nullptr, norm.eps};
  if (norm.weight) result.weight = floats(std::string(name) + ".weight", {width});
  result.bias = floats(std::string(name) + ".bias", {width}, norm.bias);
  return result;
}

ops::ExpertMatrices Binder::experts(std::string_view name, int count, std::int64_t n_out, std::int64_t n_in) {
  const std::string full = std::string(name) + ".weight";
  if (!numbered(full)) return expert_rows(name, count, n_out, 0, n_out, n_in);
  ops::ExpertMatrices result;
  const std::byte** table =
      reinterpret_cast<const std::byte**>(allocate(static_cast<std::size_t>(count) * sizeof(const std::byte*)));
  for (int i = 0; i < count; ++i) {
    const formats::TensorView* tensor = find(full, i);
    if (tensor == nullptr) {
      throw Error(ErrorCode::model, fmt::format("{}: tensor {}: missing, expected shape [{}, {}]", file_.path(),
                                                actual_name(full, i), n_out, n_in));
    }
    check_shape(*this, full, *tensor, {n_out, n_in});
    mark(*tensor);
    if (i == 0) result.first = {tensor->data, tensor->type, n_out, n_in};
    if (tensor->type != result.first.type) {
      fail(full, fmt::format("type {} of expert {}", tensor_type_info(tensor->type).name, i),
           fmt::format("{} as expert 0", tensor_type_info(result.first.type).name));
    }
    if (table != nullptr) table[i] = tensor->data;
  }
  result.each = table;
  return result;
}

ops::ExpertMatrices Binder::expert_rows(std::string_view name, int count, std::int64_t n_total, std::int64_t begin,
                                        std::int64_t n_out, std::int64_t n_in) {
  const formats::TensorView* tensor = view(std::string(name) + ".weight", {count, n_total, n_in}, Presence::yes);
  const std::int64_t row_bytes =
      static_cast<std::int64_t>(tensor_row_bytes(tensor->type, static_cast<std::uint64_t>(n_in)));
  ops::ExpertMatrices result;
  result.first = {tensor->data != nullptr ? tensor->data + begin * row_bytes : nullptr, tensor->type, n_out, n_in};
  result.stride_bytes = n_total * row_bytes;
  return result;
}

namespace {

// Numbers of one MXFP4 block as folders store them (low nibble: even place, high nibble: odd place) to the order of
// GGUF (low nibbles: places 0-15, high nibbles: 16-31), the scale byte first.
void repack_mxfp4(const std::byte* nibbles, std::byte scale, std::byte* out) {
  const auto at = [&](int place) {
    const unsigned byte = std::to_integer<unsigned>(nibbles[place / 2]);
    return place % 2 == 0 ? byte & 15u : byte >> 4;
  };
  out[0] = scale;
  for (int i = 0; i < 16; ++i) out[1 + i] = static_cast<std::byte>(at(i) | at(i + 16) << 4);
}

}  // namespace

ops::ExpertMatrices Binder::expert_columns(std::string_view name, int count, std::int64_t n_total, std::int64_t begin,
                                           std::int64_t step, std::int64_t n_out, std::int64_t n_in) {
  ops::ExpertMatrices result;
  const std::string full = std::string(name) + ".weight";
  const std::string whole = actual_name(full);
  const formats::TensorView* blocks = file_.find_tensor(whole + "_blocks");
  if (blocks == nullptr) {
    const formats::TensorView* tensor = view(full, {count, n_in, n_total}, Presence::yes);
    const TensorTypeInfo& info = tensor_type_info(tensor->type);
    if (info.block_elements != 1) fail(full, fmt::format("type {}", info.name), "F32, F16 or BF16");
    const std::int64_t size = info.block_bytes;
    result.stride_bytes = n_out * n_in * size;
    std::byte* copy = allocate(static_cast<std::size_t>(count * result.stride_bytes));
    for (std::int64_t e = 0; copy != nullptr && e < count; ++e) {
      const std::byte* source = tensor->data + e * n_in * n_total * size;
      for (std::int64_t r = 0; r < n_out; ++r) {
        for (std::int64_t k = 0; k < n_in; ++k) {
          std::memcpy(copy + e * result.stride_bytes + (r * n_in + k) * size,
                      source + (k * n_total + begin + r * step) * size, static_cast<std::size_t>(size));
        }
      }
    }
    result.first = {copy, tensor->type, n_out, n_in};
    return result;
  }
  const formats::TensorView* scales = file_.find_tensor(whole + "_scales");
  if (n_in % 32 != 0) fail(full, fmt::format("rows of {}", n_in), "a multiple of 32 for MXFP4");
  const std::int64_t n_blocks = n_in / 32;
  const auto check = [&](const formats::TensorView* tensor, std::vector<std::int64_t> shape, const char* ending) {
    if (tensor == nullptr || tensor->n_bytes != static_cast<std::uint64_t>(tensor->n_elements()) ||
        without_ones(shape_of(*tensor)) != without_ones(shape)) {
      throw Error(
          ErrorCode::model,
          fmt::format("{}: tensor {}{}: {}, expected bytes of shape [{}]", file_.path(), whole, ending,
                      tensor == nullptr ? "missing" : fmt::format("shape [{}]", fmt::join(shape_of(*tensor), ", ")),
                      fmt::join(shape, ", ")));
    }
    mark(*tensor);
  };
  check(blocks, {count, n_total, n_blocks, 16}, "_blocks");
  check(scales, {count, n_total, n_blocks}, "_scales");
  constexpr std::int64_t block_bytes = 17;
  result.stride_bytes = n_out * n_blocks * block_bytes;
  std::byte* copy = allocate(static_cast<std::size_t>(count * result.stride_bytes));
  for (std::int64_t e = 0; copy != nullptr && e < count; ++e) {
    for (std::int64_t r = 0; r < n_out; ++r) {
      const std::int64_t source = (e * n_total + begin + r * step) * n_blocks;
      for (std::int64_t b = 0; b < n_blocks; ++b) {
        repack_mxfp4(blocks->data + (source + b) * 16, scales->data[source + b],
                     copy + e * result.stride_bytes + (r * n_blocks + b) * block_bytes);
      }
    }
  }
  result.first = {copy, TensorType::MXFP4, n_out, n_in};
  return result;
}

std::vector<std::string> Binder::unused_tensors() const {
  std::vector<std::string> unused;
  for (const formats::TensorView& tensor : file_.tensors()) {
    if (!used_.contains(tensor.name) && !is_inert_tensor(tensor.name)) unused.emplace_back(tensor.name);
  }
  return unused;
}

}  // namespace llm::model
