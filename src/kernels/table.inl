// Joins the kernels of one instruction set into its table. Included last.

inline std::int64_t type_row_bytes(TensorType type, std::int64_t n_cols) {
  switch (type) {
#define LLM_ROW_BYTES(name, id, elements, bytes) \
  case TensorType::name:                         \
    return n_cols / (elements) * (bytes);
    LLM_TENSOR_TYPES(LLM_ROW_BYTES)
#undef LLM_ROW_BYTES
  }
  return 0;
}

#if !defined(__AMX_BF16__) && !defined(__AVX512BF16__)
// No products with activations in two bfloat16 parts.
inline bool takes_split_act(TensorType) {
  return false;
}
inline std::int64_t split_row_bytes(std::int64_t) {
  return 0;
}
inline std::int64_t split_scratch_bytes(std::int64_t) {
  return 0;
}
inline void pack_act_split(const float*, std::int64_t, std::byte*) {}
inline void matmul_split(const MatmulTask&) {}
#endif

// Weight types with a fast product with int8 activations.
#define LLM_INT8_TYPES(X) \
  X(Q4_0)                 \
  X(Q4_1)                 \
  X(Q5_0)                 \
  X(Q5_1)                 \
  X(Q8_0)                 \
  X(Q2_K)                 \
  X(Q3_K)                 \
  X(Q4_K)                 \
  X(Q5_K)                 \
  X(Q6_K)                 \
  X(IQ4_NL)               \
  X(IQ4_XS)               \
  X(MXFP4)                \
  X(TQ2_0)

ActFormat act_format(TensorType type, std::int64_t, Precision precision) {
  if (precision == Precision::exact) return ActFormat::f32;
  switch (type) {
#define LLM_CASE(name) case TensorType::name:
    LLM_INT8_TYPES(LLM_CASE)
#undef LLM_CASE
    return precision == Precision::fine ? ActFormat::i10_32 : ActFormat::i8_32;
    default:
      return takes_split_act(type) ? ActFormat::bf16x2 : ActFormat::f32;
  }
}

std::size_t act_row_bytes(ActFormat format, std::int64_t n_cols) {
  if (format == ActFormat::i8_32) return static_cast<std::size_t>(packed_row_bytes<1>(n_cols));
  if (format == ActFormat::i10_32) return static_cast<std::size_t>(packed_row_bytes<2>(n_cols));
  if (format == ActFormat::bf16x2) return static_cast<std::size_t>(split_row_bytes(n_cols));
  return static_cast<std::size_t>(padded_cols(n_cols)) * sizeof(float);
}

void pack_act(ActFormat format, const float* x, std::int64_t n_cols, std::byte* out) {
  if (format == ActFormat::i8_32) return pack_act_i8<1>(x, n_cols, out);
  if (format == ActFormat::i10_32) return pack_act_i8<2>(x, n_cols, out);
  if (format == ActFormat::bf16x2) return pack_act_split(x, n_cols, out);
  pack_act_f32(x, n_cols, reinterpret_cast<float*>(out));
}

std::size_t matmul_scratch_bytes(TensorType type, std::int64_t n_cols) {
  std::int64_t bytes = panel_bytes(n_cols);
  const auto also = [&](std::int64_t other) { bytes = bytes > other ? bytes : other; };
  if (act_format(type, n_cols, Precision::usual) == ActFormat::i8_32) {
    also(int8_scratch_bytes(n_cols, type_row_bytes(type, n_cols)));
  }
  if (takes_split_act(type)) also(split_scratch_bytes(n_cols));
  return static_cast<std::size_t>(bytes);
}

void matmul(const MatmulTask& task) {
  if (task.format == ActFormat::i8_32 || task.format == ActFormat::i10_32) {
    const bool fine = task.format == ActFormat::i10_32;
    switch (task.type) {
#define LLM_CASE(name)   \
  case TensorType::name: \
    return fine ? matmul_int8<name, 2>(task) : matmul_int8<name, 1>(task);
      LLM_INT8_TYPES(LLM_CASE)
#undef LLM_CASE
      default:
        return;
    }
  }
  if (task.format == ActFormat::bf16x2) return matmul_split(task);
  switch (task.type) {
    case TensorType::F32:
      return matmul_float<F32Weights>(task);
    case TensorType::F16:
      return matmul_float<F16Weights>(task);
    case TensorType::BF16:
      return matmul_float<BF16Weights>(task);
    default:
      break;
  }
  const std::int64_t row_bytes = type_row_bytes(task.type, task.n_cols);
  matmul_through_panel(task, [&](std::int64_t row, float* dst) {
    decode_row(task.type, task.weight + row * row_bytes, dst, task.n_cols);
  });
}
#undef LLM_INT8_TYPES

constexpr KernelTable make_table(const char* name) {
  return {
      .name = name,
      .act_format = act_format,
      .act_row_bytes = act_row_bytes,
      .pack_act = pack_act,
      .matmul_scratch_bytes = matmul_scratch_bytes,
      .matmul = matmul,
      .decode_row = decode_row,
      .encode_row = encode_row,
      .rows = row_kernels(),
      .attention = attention_kernels(),
      .scans = scan_kernels(),
  };
}
