// Kernels on single rows of floats. Sums: lane l of accumulator j takes elements (2 i + j) n_lanes + l in ascending
// order of i, the accumulators are added, then the lanes in the fixed tree of reduce_add.

// Calls f(offset, count) for each vector of a row; count < n_lanes for the last, partial one.
template <typename Full, typename Part>
inline void for_vectors(std::int64_t n, Full full, Part part) {
  std::int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) full(i);
  if (i < n) part(i, n - i);
}

// out[i] = f(x[i])
template <typename F>
inline void map_row(const float* x, std::int64_t n, float* out, F f) {
  for_vectors(
      n, [&](std::int64_t i) { store(out + i, f(load(x + i))); },
      [&](std::int64_t i, std::int64_t rest) { store_part(out + i, rest, f(load_part(x + i, rest))); });
}

// out[i] = f(x[i], y[i])
template <typename F>
inline void zip_rows(const float* x, const float* y, std::int64_t n, float* out, F f) {
  for_vectors(
      n, [&](std::int64_t i) { store(out + i, f(load(x + i), load(y + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_part(out + i, rest, f(load_part(x + i, rest), load_part(y + i, rest)));
      });
}

// Sum of f(x) over a row; f(0) must be 0 or lanes beyond the row masked by the caller's f through `valid`.
template <typename F>
inline float sum_row(const float* x, std::int64_t n, F f) {
  VecF even = zero();
  VecF odd = zero();
  std::int64_t i = 0;
  for (; i + 2 * n_lanes <= n; i += 2 * n_lanes) {
    even = even + f(load(x + i));
    odd = odd + f(load(x + i + n_lanes));
  }
  if (i + n_lanes <= n) {
    even = even + f(load(x + i));
    i += n_lanes;
    if (i < n) {
      VecF rest = f(load_part(x + i, n - i));
      float lanes[n_lanes] = {};
      store_part(lanes, n - i, rest);
      odd = odd + load(lanes);
    }
  } else if (i < n) {
    VecF rest = f(load_part(x + i, n - i));
    float lanes[n_lanes] = {};
    store_part(lanes, n - i, rest);
    even = even + load(lanes);
  }
  return reduce_add(even + odd);
}

float sum_squares(const float* x, std::int64_t n) {
  return sum_row(x, n, [](VecF a) { return a * a; });
}

void norm_row(NormKind kind, const float* x, std::int64_t n, const float* weight, const float* bias, float eps,
              float* out) {
  float mean = 0;
  float square = 0;
  if (kind == NormKind::layer) {
    mean = sum_row(x, n, [](VecF a) { return a; }) / static_cast<float>(n);
    const VecF m = splat(mean);
    square = sum_row(x, n, [m](VecF a) { return (a - m) * (a - m); });
  } else {
    square = sum_squares(x, n);
  }
  const float root = first_lane(sqrt(splat(square / static_cast<float>(n) + eps)));
  const VecF inverse = splat(1.0f / root);
  const VecF m = splat(mean);
  if (kind == NormKind::layer) {
    map_row(x, n, out, [=](VecF a) { return (a - m) * inverse; });
  } else {
    map_row(x, n, out, [=](VecF a) { return a * inverse; });
  }
  if (weight != nullptr) zip_rows(out, weight, n, out, [](VecF a, VecF w) { return a * w; });
  if (bias != nullptr) zip_rows(out, bias, n, out, [](VecF a, VecF b) { return a + b; });
}

// Calls use(f) with the function of an activation.
template <typename Use>
inline void with_activation(Activation activation, Use use) {
  switch (activation) {
    case Activation::none:
      return use([](VecF x) { return x; });
    case Activation::silu:
      return use([](VecF x) { return x * sigmoid(x); });
    case Activation::gelu_erf:
      return use([](VecF x) { return gelu_erf(x); });
    case Activation::gelu_tanh:
      return use([](VecF x) { return gelu_tanh(x); });
    case Activation::quick_gelu:
      return use([](VecF x) { return x * sigmoid(splat(1.702f) * x); });
    case Activation::relu:
      return use([](VecF x) { return max(zero(), x); });
    case Activation::relu2:
      return use([](VecF x) { return max(zero(), x) * max(zero(), x); });
    case Activation::sigmoid:
      return use([](VecF x) { return sigmoid(x); });
    case Activation::softplus:
      return use([](VecF x) { return softplus(x); });
    case Activation::tanh:
      return use([](VecF x) { return tanh(x); });
  }
}

void activate_row(Activation activation, const float* x, std::int64_t n, float* out) {
  with_activation(activation, [&](auto f) { map_row(x, n, out, f); });
}

void gated_row(const GatedTask& task, const float* gate, const float* up, std::int64_t n, float* out) {
  const bool plain = task.gate_scale == 1.0f && task.up_offset == 0.0f && task.gate_max == __builtin_inff() &&
                     task.up_limit == __builtin_inff();
  const VecF factor = splat(task.gate_scale);
  const VecF most = splat(task.gate_max);
  const VecF high = splat(task.up_limit);
  const VecF low = splat(-task.up_limit);
  const VecF offset = splat(task.up_offset);
  with_activation(task.activation, [&](auto f) {
    if (plain) return zip_rows(gate, up, n, out, [=](VecF g, VecF u) { return f(g) * u; });
    zip_rows(gate, up, n, out,
             [=](VecF g, VecF u) { return f(min(most, g * factor)) * (min(high, max(low, u)) + offset); });
  });
}

void scale_row(const float* x, float factor, std::int64_t n, float* out) {
  const VecF f = splat(factor);
  map_row(x, n, out, [=](VecF a) { return a * f; });
}

void multiply_rows(const float* x, const float* y, std::int64_t n, float* out) {
  zip_rows(x, y, n, out, [](VecF a, VecF b) { return a * b; });
}

void add_row(const float* y, float factor, std::int64_t n, float* x) {
  const VecF f = splat(factor);
  zip_rows(x, y, n, x, [=](VecF a, VecF b) { return a + b * f; });
}

void clamp_row(const float* x, float low, float high, std::int64_t n, float* out) {
  const VecF l = splat(low);
  const VecF h = splat(high);
  map_row(x, n, out, [=](VecF a) { return min(h, max(l, a)); });
}

void softcap_row(const float* x, float cap, std::int64_t n, float* out) {
  const VecF c = splat(cap);
  map_row(x, n, out, [=](VecF a) { return c * tanh(a / c); });
}

void mix_row(const float* x, const float* previous, const float* mix, std::int64_t n, float* out) {
  const auto blend = [](VecF a, VecF b, VecF m) { return m * a + (splat(1.0f) - m) * b; };
  for_vectors(
      n, [&](std::int64_t i) { store(out + i, blend(load(x + i), load(previous + i), load(mix + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_part(out + i, rest,
                   blend(load_part(x + i, rest), load_part(previous + i, rest), load_part(mix + i, rest)));
      });
}

void rotate_row(bool adjacent, const float* cosines, const float* sines, std::int64_t n_pairs, float* x) {
  if (adjacent) {
    for (std::int64_t i = 0; i < n_pairs; ++i) {
      const float a = x[2 * i];
      const float b = x[2 * i + 1];
      x[2 * i] = a * cosines[i] - b * sines[i];
      x[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
    return;
  }
  for (std::int64_t i = 0; i < n_pairs; ++i) {
    const float a = x[i];
    const float b = x[i + n_pairs];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + n_pairs] = b * cosines[i] + a * sines[i];
  }
}

constexpr RowKernels row_kernels() {
  return {
      .norm = norm_row,
      .sum_squares = sum_squares,
      .activate = activate_row,
      .gated = gated_row,
      .scale = scale_row,
      .multiply = multiply_rows,
      .add = add_row,
      .clamp = clamp_row,
      .softcap = softcap_row,
      .mix = mix_row,
      .rotate = rotate_row,
  };
}
