#include "ops/matmul.h"

#include <algorithm>

#include "ops/low_rank.h"
#include "ops/work.h"

namespace llm::ops {
namespace {

using kernels::KernelTable;
using kernels::MatmulTask;

// Cuts the weight rows of some products into pieces of work, multiples of the kernels' tiles; the same for all workers.
// With many tokens they are equal, enough for the workers to even out, and of 32 rows or a multiple where there are
// enough: kernels take two tiles of weights at a time. With few tokens each takes a part of what is left: most rows are
// read in long streams, and short pieces even out the end.
class Pieces {
 public:
  Pieces(std::int64_t total_rows, std::int64_t n_tokens, int n_workers)
      : left_(total_rows), n_workers_(n_workers), n_tokens_(n_tokens) {
    const std::int64_t even = total_rows / (std::int64_t{6} * n_workers) / 32 * 32;
    even_ = std::clamp<std::int64_t>(even, 16, max_product_rows);
  }

  // Rows of the next piece of a matrix of which n_rows are left.
  std::int64_t next(std::int64_t n_rows, std::int64_t row_bytes) {
    std::int64_t rows = even_;
    if (n_tokens_ <= few_tokens) {
      constexpr std::int64_t least_bytes = 96 * 1024;
      const std::int64_t least = std::clamp<std::int64_t>(least_bytes / row_bytes / 16 * 16, 16, max_product_rows);
      const std::int64_t most = few_tokens_product / n_tokens_ / 16 * 16;
      rows = std::clamp(left_ / (2 * n_workers_) / 16 * 16, least, most);
      if (n_rows - rows < least && n_rows <= most) rows = n_rows;
    }
    rows = std::min(rows, n_rows);
    left_ -= rows;
    return rows;
  }

 private:
  std::int64_t left_, n_workers_, n_tokens_;
  std::int64_t even_;
};

// Calls f(begin, n) for this worker's pieces of a matrix.
template <typename F>
void each_piece(WorkItems& items, Pieces& pieces, const WeightMatrix& weight, F f) {
  for (std::int64_t begin = 0; begin < weight.n_out;) {
    const std::int64_t n = pieces.next(weight.n_out - begin, weight.row_bytes());
    items.next_group(1);
    if (std::int64_t item = 0; items.take(item)) f(begin, n);
    begin += n;
  }
}

std::size_t product_floats_bytes(std::int64_t n_rows) {
  return static_cast<std::size_t>(product_floats(n_rows)) * sizeof(float);
}

const std::byte* packed_for(const Context& c, const PackedRows& in, const WeightMatrix& weight, ActFormat& format) {
  format = c.k.act_format(weight.type, weight.n_in, c.precision(weight));
  return in.by_format[static_cast<std::size_t>(format)];
}

bool overlaps(const float* source, const Rows& out) {
  return source != nullptr && source >= out.data && source < out.data + out.n_rows * out.stride;
}

}  // namespace

InputFormats::InputFormats(const Context& c, std::initializer_list<const WeightMatrix*> readers) {
  for (const WeightMatrix* reader : readers) add(c, *reader);
}

void InputFormats::add(const Context& c, const WeightMatrix& reader) {
  if (reader) mask_ |= 1u << static_cast<int>(c.k.act_format(reader.type, reader.n_in, c.precision(reader)));
  if (reader.low_rank != nullptr) mask_ |= 1u << static_cast<int>(ActFormat::f32);
}

std::size_t pack_buffer_bytes(const KernelTable& k, std::int64_t n_rows, std::int64_t n_cols, int n_workers) {
  std::size_t row_bytes = 0;
  for (std::size_t f = 0; f < n_act_formats; ++f) row_bytes += k.act_row_bytes(static_cast<ActFormat>(f), n_cols) + 64;
  const std::int64_t n_private = max_private_rows * n_workers;
  return row_bytes * static_cast<std::size_t>(std::max(n_rows, n_private));
}

std::size_t row_scratch_bytes(std::int64_t n_cols) {
  return static_cast<std::size_t>(n_cols) * sizeof(float);
}

namespace {

// make_row(i, scratch) gives row i as floats.
template <typename MakeRow>
PackedRows pack_rows(const Context& c, std::int64_t n_rows, std::int64_t n_cols, InputFormats formats,
                     PackBuffer buffer, const float* source, MakeRow make_row) {
  c.enter(Operation::packing);
  PackedRows packed;
  packed.n_rows = n_rows;
  packed.n_cols = n_cols;
  const bool shared = n_rows > max_private_rows;
  std::byte* at = buffer.data;
  if (!shared) {
    std::size_t bytes = 0;
    for (std::size_t f = 0; f < n_act_formats; ++f) {
      if (formats.needs(static_cast<ActFormat>(f))) {
        bytes += align_bytes(c.k.act_row_bytes(static_cast<ActFormat>(f), n_cols) * max_private_rows);
      }
    }
    at += bytes * static_cast<std::size_t>(c.worker.id);
    packed.source = source;
  }
  std::array<std::byte*, n_act_formats> to = {};
  std::array<std::size_t, n_act_formats> stride = {};
  for (std::size_t f = 0; f < n_act_formats; ++f) {
    const ActFormat format = static_cast<ActFormat>(f);
    if (!formats.needs(format)) continue;
    stride[f] = c.k.act_row_bytes(format, n_cols);
    to[f] = at;
    packed.by_format[f] = at;
    at += align_bytes(stride[f] * static_cast<std::size_t>(shared ? n_rows : max_private_rows));
  }
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  const Worker::Part part = shared ? c.worker.part(n_rows) : Worker::Part{0, n_rows};
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    const float* row = make_row(i, scratch);
    for (std::size_t f = 0; f < n_act_formats; ++f) {
      if (to[f] != nullptr) {
        c.k.pack_act(static_cast<ActFormat>(f), row, n_cols, to[f] + static_cast<std::size_t>(i) * stride[f]);
      }
    }
  }
  if (shared) c.worker.sync();
  return packed;
}

}  // namespace

PackedRows pack(const Context& c, Rows x, InputFormats formats, PackBuffer buffer) {
  return pack_rows(c, x.n_rows, x.n_cols, formats, buffer, x.data, [&](std::int64_t i, float*) { return x.row(i); });
}

PackedRows norm_pack(const Context& c, Rows x, const Norm& norm, InputFormats formats, PackBuffer buffer) {
  return pack_rows(c, x.n_rows, x.n_cols, formats, buffer, x.data, [&](std::int64_t i, float* scratch) {
    c.k.rows.norm(norm.kind, x.row(i), x.n_cols, norm.weight, norm.bias, norm.eps, scratch);
    return static_cast<const float*>(scratch);
  });
}

PackedRows gated_pack(const Context& c, Rows gate, Rows up, const Gated& gated, InputFormats formats,
                      PackBuffer buffer) {
  return pack_rows(c, gate.n_rows, gate.n_cols, formats, buffer, gate.data, [&](std::int64_t i, float* scratch) {
    c.k.rows.gated(gated, gate.row(i), up.row(i), gate.n_cols, scratch);
    return static_cast<const float*>(scratch);
  });
}

std::size_t matmul_scratch_bytes(const KernelTable& k, const WeightMatrix& weight, std::int64_t n_rows) {
  return align_bytes(k.matmul_scratch_bytes(weight.type, weight.n_in)) + 2 * product_floats_bytes(n_rows);
}

namespace {

std::int64_t weight_bytes(std::span<const Product> products) {
  std::int64_t bytes = 0;
  for (const Product& p : products) bytes += p.weight->bytes();
  return bytes;
}

}  // namespace

void matmul(const Context& c, const PackedRows& in, std::span<const Product> products) {
  std::int64_t total_rows = 0;
  bool hazard = false;
  LowRankRows low_rank;
  for (const Product& p : products) {
    total_rows += p.weight->n_out;
    low_rank.add(*p.weight);
    hazard = hazard || overlaps(in.source, p.out);
  }
  c.enter(Operation::product, c.profile != nullptr ? weight_bytes(products) : 0);
  if (hazard) c.worker.sync();
  low_rank.compute(c, in);
  Pieces pieces(total_rows, in.n_rows, c.worker.n);
  WorkItems items(c.worker);
  for (const Product& p : products) {
    const WeightMatrix& weight = *p.weight;
    MatmulTask task;
    task.type = weight.type;
    task.n_cols = weight.n_in;
    const std::byte* act = packed_for(c, in, weight, task.format);
    const std::size_t act_bytes = c.k.act_row_bytes(task.format, weight.n_in);
    task.scratch = c.worker.scratch.data();
    float* temporary = reinterpret_cast<float*>(c.worker.scratch.data() +
                                                align_bytes(c.k.matmul_scratch_bytes(weight.type, weight.n_in)));
    const bool plain =
        !p.add && p.bias == nullptr && p.scale == 1 && p.activation == Activation::none && weight.low_rank == nullptr;
    each_piece(items, pieces, weight, [&](std::int64_t begin, std::int64_t n) {
      task.weight = weight.row(begin);
      task.row_end = n;
      const std::int64_t n_at_once = plain ? in.n_rows : max_scratch_tokens;
      for (std::int64_t t = 0; t < in.n_rows; t += n_at_once) {
        task.act = act + static_cast<std::size_t>(t) * act_bytes;
        task.n_tokens = std::min(n_at_once, in.n_rows - t);
        if (p.add) {
          task.out = temporary;
          task.out_stride = n;
        } else {
          task.out = p.out.row(t) + begin;
          task.out_stride = p.out.stride;
        }
        c.k.matmul(task);
        if (plain) continue;
        low_rank.add_to(c, weight, t, task.n_tokens, begin, n, task.out, task.out_stride);
        for (std::int64_t i = 0; i < task.n_tokens; ++i) {
          float* row = task.out + i * task.out_stride;
          if (p.bias != nullptr) c.k.rows.add(p.bias + begin, 1, n, row);
          if (p.activation != Activation::none) c.k.rows.activate(p.activation, row, n, row);
          if (p.add) {
            c.k.rows.add(row, p.scale, n, p.out.row(t + i) + begin);
          } else if (p.scale != 1) {
            c.k.rows.scale(row, p.scale, n, row);
          }
        }
      }
    });
  }
  c.worker.sync();
}

void matmul_gated(const Context& c, const PackedRows& in, const GatedProduct& product) {
  const WeightMatrix& gate = *product.gate;
  const WeightMatrix& up = *product.up;
  c.enter(Operation::product, gate.bytes() + up.bytes());
  if (overlaps(in.source, product.out)) c.worker.sync();
  LowRankRows low_rank;
  low_rank.add(gate);
  low_rank.add(up);
  low_rank.compute(c, in);
  const std::size_t kernel_bytes = std::max(align_bytes(c.k.matmul_scratch_bytes(gate.type, gate.n_in)),
                                            align_bytes(c.k.matmul_scratch_bytes(up.type, up.n_in)));
  float* gate_part = reinterpret_cast<float*>(c.worker.scratch.data() + kernel_bytes);
  float* up_part = gate_part + product_floats(in.n_rows);
  const auto half = [&](const WeightMatrix& weight, const float* bias, std::int64_t begin, std::int64_t end,
                        std::int64_t t, std::int64_t n_tokens, float* part) {
    MatmulTask task;
    task.weight = weight.row(begin);
    task.type = weight.type;
    task.n_cols = weight.n_in;
    task.row_end = end - begin;
    task.act = packed_for(c, in, weight, task.format);
    task.act += static_cast<std::size_t>(t) * c.k.act_row_bytes(task.format, weight.n_in);
    task.n_tokens = n_tokens;
    task.out = part;
    task.out_stride = end - begin;
    task.scratch = c.worker.scratch.data();
    c.k.matmul(task);
    low_rank.add_to(c, weight, t, n_tokens, begin, end - begin, part, end - begin);
    if (bias == nullptr) return;
    for (std::int64_t i = 0; i < n_tokens; ++i) c.k.rows.add(bias + begin, 1, end - begin, part + i * (end - begin));
  };
  // Two matrices side by side: pieces of half the length.
  Pieces pieces(gate.n_out, in.n_rows, c.worker.n);
  WorkItems items(c.worker);
  each_piece(items, pieces, gate, [&](std::int64_t begin, std::int64_t n) {
    const std::int64_t end = begin + n;
    for (std::int64_t t = 0; t < in.n_rows; t += max_scratch_tokens) {
      const std::int64_t n_tokens = std::min(max_scratch_tokens, in.n_rows - t);
      half(gate, product.gate_bias, begin, end, t, n_tokens, gate_part);
      half(up, product.up_bias, begin, end, t, n_tokens, up_part);
      for (std::int64_t i = 0; i < n_tokens; ++i) {
        const std::int64_t at = i * (end - begin);
        c.k.rows.gated(product.gated, gate_part + at, up_part + at, end - begin, product.out.row(t + i) + begin);
      }
    }
  });
  c.worker.sync();
}

std::size_t block_linear_scratch_bytes(const KernelTable& k, const WeightMatrix& weight) {
  return align_bytes(k.matmul_scratch_bytes(weight.type, weight.n_in)) + k.act_row_bytes(ActFormat::f32, weight.n_in);
}

void block_linear(const Context& c, Rows x, const WeightMatrix& weight, int n_blocks, const float* bias, Rows out) {
  c.enter(Operation::product, weight.bytes());
  const std::int64_t n_out = weight.n_out / n_blocks;
  std::byte* act = c.worker.scratch.data() + align_bytes(c.k.matmul_scratch_bytes(weight.type, weight.n_in));
  const Worker::Part part = c.worker.part(x.n_rows * n_blocks);
  for (std::int64_t item = part.begin; item < part.end; ++item) {
    const std::int64_t row = item / n_blocks;
    const std::int64_t block = item % n_blocks;
    c.k.pack_act(ActFormat::f32, x.row(row) + block * weight.n_in, weight.n_in, act);
    MatmulTask task;
    task.weight = weight.row(block * n_out);
    task.type = weight.type;
    task.n_cols = weight.n_in;
    task.row_end = n_out;
    task.act = act;
    task.n_tokens = 1;
    task.out = out.row(row) + block * n_out;
    task.out_stride = out.stride;
    task.scratch = c.worker.scratch.data();
    c.k.matmul(task);
    if (bias != nullptr) c.k.rows.add(bias + block * n_out, 1, n_out, task.out);
  }
  c.worker.sync();
}

}  // namespace llm::ops
