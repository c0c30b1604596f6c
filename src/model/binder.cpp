#include "model/binder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <llm/error.hpp>
#include <memory>

#include "model/naming.h"

namespace llm::model {
namespace {

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

namespace {

// What GGUF files call models of the family.
std::vector<std::string_view> architectures_of(const Family& family) {
  std::vector<std::string_view> names = family.gguf;
  if (!family.writing.architecture.empty()) names.push_back(family.writing.architecture);
  return names;
}

}  // namespace

Binder::Binder(const Hyper& hyper, const Family& family, bool header_only, std::span<const Adapter> adapters,
               bool recording)
    : hyper_(hyper),
      file_(hyper.file()),
      family_(family),
      header_only_(header_only),
      recording_(recording),
      adapters_(adapters, hyper.gguf(), architectures_of(family)) {
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
  encoder_ = stack.prefix == "enc." && family_.encoder_layer != nullptr;  // else it is the family's only stack
  gguf_scope_ = stack.prefix;
  if (layer >= 0) gguf_scope_ += fmt::format("blk.{}.", layer);
  if (!hyper_.gguf()) {
    hf_layer_ = hf_base_[encoder_ ? 1 : 0];
    if (layer >= 0) hf_layer_ += fill_number(naming().layer, layer);
  }
}

std::string Binder::gguf_name(std::string_view name) const {
  return model::gguf_name(family_, gguf_scope_, name);
}

std::string Binder::folder_name(std::string_view name, int number, const std::string& scope) const {
  if (std::string own = renamed(naming().names, scope, name, number); !own.empty()) return own;
  if (std::string shared = renamed(common_names(), scope, name, number); !shared.empty()) return shared;
  return scope + std::string(name);
}

std::string Binder::actual_name(std::string_view name, int number) const {
  const auto in_file = [&](std::span<const TensorName> names, const std::string& scope) -> std::string {
    std::vector<std::string> candidates = all_renamed(names, scope, name, number);
    for (std::string& candidate : candidates) {
      if (file_.find_tensor(candidate) != nullptr) return std::move(candidate);
    }
    return candidates.empty() ? std::string() : std::move(candidates.front());
  };
  if (hyper_.gguf()) {
    std::string own = in_file(family_.gguf_names, gguf_scope_);
    return own.empty() ? gguf_name(name) : own;
  }
  if (std::string own = in_file(naming().names, hf_layer_); !own.empty()) return own;
  if (std::string shared = in_file(common_names(), hf_layer_); !shared.empty()) return shared;
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
  const std::string actual = actual_name(name, number);
  const formats::TensorView* tensor = file_.find_tensor(actual);
  if (tensor != nullptr || hyper_.gguf()) return tensor;
  // Old checkpoints call weight and bias of layer norms so.
  static constexpr std::pair<std::string_view, std::string_view> old_names[] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                                                                {"LayerNorm.bias", "LayerNorm.beta"}};
  for (const auto& [name_now, name_then] : old_names) {
    if (!actual.ends_with(name_now)) continue;
    return file_.find_tensor(actual.substr(0, actual.size() - name_now.size()) + std::string(name_then));
  }
  return nullptr;
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

void Binder::record(std::string_view name, std::vector<std::int64_t> shape, TensorType type,
                    std::function<void(std::int64_t, std::byte*)> row) {
  if (!recording_) return;
  bound_.push_back({gguf_scope_, std::string(name), std::move(shape), type, std::move(row)});
}

void Binder::record_rows(std::string_view name, std::vector<std::int64_t> shape, const formats::TensorView& tensor) {
  if (!recording_) return;
  const std::uint64_t bytes =
      tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(shape.size() == 1 ? 1 : shape.back()));
  record(name, std::move(shape), tensor.type, [&tensor, bytes](std::int64_t row, std::byte* out) {
    std::memcpy(out, tensor.data + static_cast<std::uint64_t>(row) * bytes, bytes);
  });
}

void Binder::record_parts(std::string_view name, std::vector<std::int64_t> shape,
                          std::vector<const formats::TensorView*> parts) {
  if (!recording_) return;
  const std::int64_t n_rows = shape.size() == 2 ? 1 : shape[1];
  const TensorType type = parts.front()->type;
  const std::uint64_t bytes = tensor_row_bytes(type, static_cast<std::uint64_t>(shape.back()));
  record(name, std::move(shape), type, [parts = std::move(parts), n_rows, bytes](std::int64_t row, std::byte* out) {
    const formats::TensorView& part = *parts[static_cast<std::size_t>(row / n_rows)];
    std::memcpy(out, part.data + static_cast<std::uint64_t>(row % n_rows) * bytes, bytes);
  });
}

void Binder::in_gguf(std::initializer_list<GgufPart> parts) {
  if (!recording_ || hyper_.gguf()) return;
  const auto whole = std::make_shared<const BoundTensor>(std::move(bound_.back()));
  bound_.pop_back();
  const std::uint64_t bytes = tensor_row_bytes(whole->type, static_cast<std::uint64_t>(whole->row_elements()));
  std::int64_t begin = 0;
  for (const GgufPart& part : parts) {
    BoundTensor tensor{whole->scope, std::string(part.name), part.shape, whole->type, {}};
    // A row of the part may be several single numbers of a vector.
    const std::int64_t n = tensor.row_elements() / whole->row_elements();
    tensor.row = [whole, begin, n, bytes](std::int64_t row, std::byte* out) {
      for (std::int64_t i = begin + row * n; i < begin + (row + 1) * n; ++i, out += bytes) {
        whole->row(whole->order.empty() ? i : whole->order[static_cast<std::size_t>(i)], out);
      }
    };
    begin += tensor.n_rows() * n;
    bound_.push_back(std::move(tensor));
  }
}

void Binder::rotated(std::string_view name, int n_head, int head_dim, const Rope& rope) {
  for (BoundTensor& tensor : bound_) {
    if (tensor.scope == gguf_scope_ && tensor.name.substr(0, tensor.name.rfind('.')) == name) {
      tensor.rotated = {n_head, head_dim, rope.dims, rope.pairing};
    }
  }
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

ops::WeightMatrix Binder::stored_matrix(std::string_view name, std::int64_t n_out, std::int64_t n_in,
                                        Presence presence) {
  const std::string full = std::string(name) + ".weight";
  const TensorRule* rule = rule_for(full);
  if (rule == nullptr || rule->adapt != Adapt::transpose) {
    const formats::TensorView* tensor = view(full, {n_out, n_in}, presence);
    if (tensor == nullptr) return {};
    if (n_in == 1 && tensor->extent[0] != 1) {
      fail(full, fmt::format("rows of {}", tensor->extent[0]), "rows of 1");
    }
    record_rows(full, {n_out, n_in}, *tensor);
    return {tensor->data, tensor->type, n_out, n_in};
  }
  const formats::TensorView* tensor = view(full, {n_in, n_out}, presence);
  if (tensor == nullptr) return {};
  const TensorTypeInfo& info = tensor_type_info(tensor->type);
  if (info.block_elements != 1) fail(full, fmt::format("type {}", info.name), "F32, F16 or BF16");
  const std::size_t size = info.block_bytes;
  const std::size_t rows = static_cast<std::size_t>(n_out), columns = static_cast<std::size_t>(n_in);
  record(full, {n_out, n_in}, tensor->type, [tensor, rows, columns, size](std::int64_t r, std::byte* out) {
    for (std::size_t c = 0; c < columns; ++c) {
      std::memcpy(out + c * size, tensor->data + (c * rows + static_cast<std::size_t>(r)) * size, size);
    }
  });
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

AdaptedMatrix Binder::describe(std::string_view name, std::int64_t n_out, std::int64_t n_in, int number) const {
  constexpr std::string_view ending = ".weight";
  const std::string full = std::string(name) + std::string(ending);
  AdaptedMatrix matrix;
  matrix.gguf_name = gguf_name(full);
  matrix.where = gguf_scope_;
  matrix.n_out = n_out;
  matrix.n_in = n_in;
  const std::string layer = layer_ >= 0 ? fill_number(naming().layer, layer_) : std::string();
  for (const std::string_view prefix : naming().prefixes) {
    matrix.folder_names.push_back(folder_name(full, number, std::string(prefix) + layer));
  }
  const auto without_ending = [&](std::string& text) {
    if (text.ends_with(ending)) text.resize(text.size() - ending.size());
  };
  without_ending(matrix.gguf_name);
  for (std::string& path : matrix.folder_names) without_ending(path);
  // Those whose rows converters leave as they are in every family.
  static constexpr std::string_view same[] = {"attn_v",   "attn_output",  "ffn_gate", "ffn_up",
                                              "ffn_down", "ffn_gate_inp", "output",   "token_embd"};
  matrix.same_rows = number >= 0 || std::find(std::begin(same), std::end(same), name) != std::end(same);
  return matrix;
}

const ops::LowRank* Binder::low_rank(const AdaptedMatrix& matrix) {
  return adapters_.bind(matrix, [&](std::size_t count) { return allocate_floats(count); });
}

ops::WeightMatrix Binder::matrix(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence presence,
                                 HeadRows heads) {
  ops::WeightMatrix result = stored_matrix(name, n_out, n_in, presence);
  if (result.n_out == 0) return result;
  AdaptedMatrix described = describe(name, n_out, n_in);
  described.heads = heads;
  described.same_rows = described.same_rows || heads.n_head != 0;
  result.low_rank = low_rank(described);
  return result;
}

ops::WeightMatrix Binder::table(std::string_view name, std::int64_t n_out, std::int64_t n_in) {
  refuse_adapter(name);
  return stored_matrix(name, n_out, n_in, Presence::yes);
}

ops::WeightMatrix Binder::token_table(std::string_view name, std::int64_t n_out, std::int64_t n_in) {
  ops::WeightMatrix result = stored_matrix(name, n_out, n_in, Presence::yes);
  result.low_rank =
      adapters_.bind_table(describe(name, n_in, n_out), [&](std::size_t n) { return allocate_floats(n); });
  return result;
}

const ops::LowRank* Binder::expert_adapters(std::string_view name, int count, std::int64_t n_used, std::int64_t n_out,
                                            std::int64_t n_in) {
  AdaptedExperts experts{.each = {}, .n_used = n_used};
  for (int i = 0; i < count; ++i) {
    experts.each.push_back(describe(name, n_out, n_in, i));
    experts.each.back().n_experts = count;
  }
  return adapters_.bind(experts, [&](std::size_t n) { return allocate_floats(n); });
}

void Binder::refuse_adapter(std::string_view name) {
  if (!adapters_.has(describe(name, 0, 0))) return;
  throw Error(ErrorCode::model, fmt::format("adapter for {}: not supported, the matrix is no plain product",
                                            file_name(std::string(name) + ".weight")));
}

void Binder::adapt(std::string_view name, ops::WeightMatrix& weight) {
  weight.low_rank = low_rank(describe(name, weight.n_out, weight.n_in));
}

ops::WeightMatrix Binder::stacked(std::string_view name, std::int64_t n, std::int64_t n_out, std::int64_t n_in) {
  const std::string full = std::string(name) + ".weight";
  const formats::TensorView* tensor = view(full, {n, n_out, n_in}, Presence::yes);
  record_rows(full, {n, n_out, n_in}, *tensor);
  return {tensor->data, tensor->type, n * n_out, n_in};
}

ops::WeightMatrix Binder::reordered(std::string_view name, std::int64_t n_out, std::int64_t n_in,
                                    const std::vector<std::int64_t>& order) {
  const ops::WeightMatrix source = stored_matrix(name, n_out, n_in, Presence::yes);
  if (recording_) bound_.back().order = order;
  const std::size_t row_bytes = static_cast<std::size_t>(source.row_bytes());
  std::byte* copy = allocate(order.size() * row_bytes);
  for (std::size_t i = 0; copy != nullptr && i < order.size(); ++i) {
    std::memcpy(copy + i * row_bytes, source.row(order[i]), row_bytes);
  }
  AdaptedMatrix described = describe(name, n_out, n_in);
  described.same_rows = false;
  described.order = order;
  return {copy, source.type, static_cast<std::int64_t>(order.size()), n_in, low_rank(described)};
}

Linear Binder::linear(std::string_view name, std::int64_t n_out, std::int64_t n_in, Presence bias, float bias_factor,
                      HeadRows heads) {
  Linear result;
  const std::string bias_name = std::string(name) + ".bias";
  result.weight = matrix(name, n_out, n_in, Presence::yes, heads);
  result.bias = floats(bias_name, {n_out}, bias);
  if (bias_factor == 1 || bias == Presence::no || !has(bias_name)) return result;
  float* copy = allocate_floats(static_cast<std::size_t>(n_out));
  for (std::int64_t i = 0; copy != nullptr && i < n_out; ++i) copy[i] = bias_factor * result.bias[i];
  result.bias = copy;
  return result;
}

namespace {

float adapted(const TensorRule* rule, float value) {
  if (rule == nullptr) return value;
  if (rule->adapt == Adapt::plus_one) return value + 1;
  if (rule->adapt == Adapt::negative_exp) return static_cast<float>(-std::exp(static_cast<double>(value)));
  return value;
}

}  // namespace

void Binder::record_floats(std::string_view name, std::vector<std::int64_t> shape, const formats::TensorView& tensor,
                           const TensorRule* rule) {
  if (rule == nullptr) return record_rows(name, std::move(shape), tensor);
  const std::int64_t n = shape.size() == 1 ? 1 : shape.back();
  const std::uint64_t bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n));
  record(name, std::move(shape), TensorType::F32, [&tensor, rule, n, bytes](std::int64_t row, std::byte* out) {
    std::vector<float> values(static_cast<std::size_t>(n));
    kernels::kernels().decode_row(tensor.type, tensor.data + static_cast<std::uint64_t>(row) * bytes, values.data(), n);
    for (float& value : values) value = adapted(rule, value);
    std::memcpy(out, values.data(), values.size() * sizeof(float));
  });
}

const float* Binder::floats(std::string_view name, std::initializer_list<std::int64_t> shape, Presence presence) {
  const formats::TensorView* tensor = view(name, shape, presence);
  if (tensor == nullptr) return nullptr;
  const TensorRule* rule = rule_for(name);
  record_floats(name, shape, *tensor, rule);
  if (tensor->type == TensorType::F32 && rule == nullptr && !header_only_ &&
      reinterpret_cast<std::uintptr_t>(tensor->data) % alignof(float) == 0) {
    return reinterpret_cast<const float*>(tensor->data);
  }
  if (tensor->type == TensorType::F32 && rule == nullptr && header_only_) return nullptr;
  float* copy = allocate_floats(static_cast<std::size_t>(tensor->n_elements()));
  if (copy == nullptr) return nullptr;
  const std::vector<float> values = decode(*tensor);
  for (std::size_t i = 0; i < values.size(); ++i) copy[i] = adapted(rule, values[i]);
  return copy;
}

const float* Binder::reordered_floats(std::string_view name, std::int64_t n, const std::vector<std::int64_t>& order,
                                      Presence presence, std::initializer_list<std::int64_t> shape) {
  const formats::TensorView* tensor = shape.size() != 0 ? view(name, shape, presence) : view(name, {n}, presence);
  if (tensor == nullptr) return nullptr;
  if (recording_) {
    record_rows(name, {n}, *tensor);
    bound_.back().order = order;
  }
  float* copy = allocate_floats(order.size());
  if (copy == nullptr) return nullptr;
  const std::vector<float> source = decode(*tensor);
  for (std::size_t i = 0; i < order.size(); ++i) copy[i] = source[static_cast<std::size_t>(order[i])];
  return copy;
}

const float* Binder::floats_each(std::string_view name, int n, std::int64_t width) {
  float* copy = allocate_floats(static_cast<std::size_t>(n) * static_cast<std::size_t>(width));
  std::vector<const formats::TensorView*> parts;
  for (int i = 0; i < n; ++i) {
    const formats::TensorView* tensor = find(name, i);
    if (tensor == nullptr) {
      throw Error(ErrorCode::model, fmt::format("{}: tensor {}: missing, expected shape [{}]", file_.path(),
                                                actual_name(name, i), width));
    }
    check_shape(*this, name, *tensor, {width});
    mark(*tensor);
    parts.push_back(tensor);
    if (copy == nullptr) continue;
    const std::vector<float> values = decode(*tensor);
    std::copy(values.begin(), values.end(), copy + i * width);
  }
  record_parts(name, {n, width}, std::move(parts));
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
  std::vector<const formats::TensorView*> parts;
  for (int i = 0; i < count; ++i) {
    const formats::TensorView* tensor = find(full, i);
    if (tensor == nullptr) {
      throw Error(ErrorCode::model, fmt::format("{}: tensor {}: missing, expected shape [{}, {}]", file_.path(),
                                                actual_name(full, i), n_out, n_in));
    }
    check_shape(*this, full, *tensor, {n_out, n_in});
    mark(*tensor);
    parts.push_back(tensor);
    if (i == 0) result.first = {tensor->data, tensor->type, n_out, n_in};
    if (tensor->type != result.first.type) {
      fail(full, fmt::format("type {} of expert {}", tensor_type_info(tensor->type).name, i),
           fmt::format("{} as expert 0", tensor_type_info(result.first.type).name));
    }
    if (table != nullptr) table[i] = tensor->data;
  }
  result.each = table;
  record_parts(full, {count, n_out, n_in}, std::move(parts));
  return result;
}

ops::ExpertMatrices Binder::expert_rows(std::string_view name, int count, std::int64_t n_total, std::int64_t begin,
                                        std::int64_t n_out, std::int64_t n_in) {
  const std::string full = std::string(name) + ".weight";
  const formats::TensorView* tensor = view(full, {count, n_total, n_in}, Presence::yes);
  if (recording_) {
    record_rows(full, {count, n_total, n_in}, *tensor);
    std::vector<std::int64_t>& order = bound_.back().order;
    for (std::int64_t i = 0; n_out != n_total && i < count * n_out; ++i) {
      order.push_back(i / n_out * n_total + begin + i % n_out);
    }
  }
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
    record(full, {count, n_out, n_in}, tensor->type, [=](std::int64_t row, std::byte* out) {
      const std::byte* source = tensor->data + row / n_out * n_in * n_total * size;
      for (std::int64_t k = 0; k < n_in; ++k) {
        std::memcpy(out + k * size, source + (k * n_total + begin + row % n_out * step) * size,
                    static_cast<std::size_t>(size));
      }
    });
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
  record(full, {count, n_out, n_in}, TensorType::MXFP4, [=](std::int64_t row, std::byte* out) {
    const std::int64_t source = (row / n_out * n_total + begin + row % n_out * step) * n_blocks;
    for (std::int64_t b = 0; b < n_blocks; ++b) {
      repack_mxfp4(blocks->data + (source + b) * 16, scales->data[source + b], out + b * block_bytes);
    }
  });
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
