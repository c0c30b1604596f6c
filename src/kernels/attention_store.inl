// Writing keys and values into the cache. See attention_kernels.h for the layout.

// Quantised rows as in files: Q8_0 scale = most / 127; Q4_0 scale = (the value of greatest magnitude) / -8.
struct QuantBlock {
  std::uint16_t scale;
  signed char q[32];
};

inline QuantBlock quantize_q8(const float* x) {
  float most = 0;
  for (int i = 0; i < 32; ++i) {
    const float a = __builtin_fabsf(x[i]);
    most = a > most ? a : most;
  }
  const float scale = most / 127.0f;
  const float inverse = most != 0 ? 127.0f / most : 0;
  QuantBlock block;
  block.scale = half_from_float(scale);
  for (int i = 0; i < 32; ++i) block.q[i] = static_cast<signed char>(__builtin_nearbyintf(x[i] * inverse));
  return block;
}

inline QuantBlock quantize_q4(const float* x) {
  float most = 0;
  for (int i = 0; i < 32; ++i) most = __builtin_fabsf(x[i]) > __builtin_fabsf(most) ? x[i] : most;
  const float scale = most / -8.0f;
  const float inverse = most != 0 ? -8.0f / most : 0;
  QuantBlock block;
  block.scale = half_from_float(scale);
  for (int i = 0; i < 32; ++i) {
    const int q = static_cast<int>(x[i] * inverse + 8.5f);
    block.q[i] = static_cast<signed char>(q > 15 ? 15 : q < 0 ? 0 : q);
  }
  return block;
}

void attention_store_key(TensorType type, const float* x, std::int64_t n, std::byte* head, std::int64_t at) {
  const std::int64_t lane = at % 16;
  switch (type) {
    case TensorType::F16:
    case TensorType::BF16: {
      std::uint16_t* group = reinterpret_cast<std::uint16_t*>(head + at / 16 * KeysF16::group_bytes(n));
      if (type == TensorType::F16) {
        std::uint16_t part[n_lanes];
        for (std::int64_t d = 0; d < n; d += n_lanes) {
          const std::int64_t rest = n - d < n_lanes ? n - d : n_lanes;
          store_f16(part, rest == n_lanes ? load(x + d) : load_part(x + d, rest));
          for (std::int64_t i = 0; i < rest; ++i) group[(d + i) * 16 + lane] = part[i];
        }
      } else {
        for (std::int64_t d = 0; d < n; ++d) group[d * 16 + lane] = bfloat_from_float(x[d]);
      }
      return;
    }
    case TensorType::Q8_0:
      for (std::int64_t b = 0; b < n / 32; ++b) {
        const QuantBlock q = quantize_q8(x + b * 32);
        std::byte* block = head + at / 16 * KeysQ8::group_bytes(n) + b * 544;
        __builtin_memcpy(block + lane * 2, &q.scale, sizeof q.scale);
        for (int i = 0; i < 32; ++i) block[32 + i * 16 + lane] = static_cast<std::byte>(q.q[i]);
      }
      return;
    case TensorType::Q4_0:
      for (std::int64_t b = 0; b < n / 32; ++b) {
        const QuantBlock q = quantize_q4(x + b * 32);
        std::byte* block = head + at / 16 * KeysQ4::group_bytes(n) + b * 288;
        __builtin_memcpy(block + lane * 2, &q.scale, sizeof q.scale);
        for (int i = 0; i < 16; ++i)
          block[32 + i * 16 + lane] = static_cast<std::byte>(q.q[2 * i] | q.q[2 * i + 1] << 4);
      }
      return;
    default: {
      float* group = reinterpret_cast<float*>(head + at / 16 * KeysF32::group_bytes(n));
      for (std::int64_t d = 0; d < n; ++d) group[d * 16 + lane] = x[d];
      return;
    }
  }
}

void attention_store_row(TensorType type, const float* x, std::int64_t n, std::byte* row) {
  switch (type) {
    case TensorType::F16: {
      std::uint16_t* halves = reinterpret_cast<std::uint16_t*>(row);
      for_vectors(
          n, [&](std::int64_t i) { store_f16(halves + i, load(x + i)); },
          [&](std::int64_t i, std::int64_t rest) {
            std::uint16_t part[n_lanes];
            store_f16(part, load_part(x + i, rest));
            for (std::int64_t k = 0; k < rest; ++k) halves[i + k] = part[k];
          });
      return;
    }
    case TensorType::BF16: {
      std::uint16_t* halves = reinterpret_cast<std::uint16_t*>(row);
      for (std::int64_t i = 0; i < n; ++i) halves[i] = bfloat_from_float(x[i]);
      return;
    }
    case TensorType::Q8_0:
      for (std::int64_t b = 0; b < n / 32; ++b) {
        const QuantBlock q = quantize_q8(x + b * 32);
        __builtin_memcpy(row + b * 34, &q.scale, sizeof q.scale);
        __builtin_memcpy(row + b * 34 + 2, q.q, sizeof q.q);
      }
      return;
    case TensorType::Q4_0:
      for (std::int64_t b = 0; b < n / 32; ++b) {
        const QuantBlock q = quantize_q4(x + b * 32);
        __builtin_memcpy(row + b * 18, &q.scale, sizeof q.scale);
        for (int i = 0; i < 16; ++i) row[b * 18 + 2 + i] = static_cast<std::byte>(q.q[i] | q.q[i + 16] << 4);
      }
      return;
    default:
      __builtin_memcpy(row, x, static_cast<std::size_t>(n) * sizeof(float));
      return;
  }
}

constexpr AttentionKernels attention_kernels() {
  return {
      .scratch_floats = attention_scratch_floats,
      .span = attention_span_kernel,
      .join = attention_join,
      .finish = attention_finish,
      .store_key = attention_store_key,
      .store_row = attention_store_row,
  };
}
