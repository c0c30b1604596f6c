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

ActFormat act_format(TensorType, std::int64_t, bool) {
  return ActFormat::f32;
}

std::size_t act_row_bytes(ActFormat, std::int64_t n_cols) {
  return static_cast<std::size_t>(padded_cols(n_cols)) * sizeof(float);
}

void pack_act(ActFormat, const float* x, std::int64_t n_cols, std::byte* out) {
  pack_act_f32(x, n_cols, reinterpret_cast<float*>(out));
}

std::size_t matmul_scratch_bytes(TensorType, std::int64_t n_cols) {
  return static_cast<std::size_t>(panel_bytes(n_cols));
}

void matmul(const MatmulTask& task) {
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

constexpr KernelTable make_table(const char* name) {
  return {
      .name = name,
      .act_format = act_format,
      .act_row_bytes = act_row_bytes,
      .pack_act = pack_act,
      .matmul_scratch_bytes = matmul_scratch_bytes,
      .matmul = matmul,
      .decode_row = decode_row,
  };
}
