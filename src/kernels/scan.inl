// One token of a recurrence. The lanes own channels, or entries of the state that are summed in a fixed tree.

void scan_conv(const float* const* rows, std::int64_t width, const float* weight, const float* bias,
               Activation activation, std::int64_t n, float* out) {
  for (std::int64_t ch = 0; ch < n; ++ch) {
    float sum = bias != nullptr ? bias[ch] : 0;
    for (std::int64_t i = 0; i < width; ++i) sum += weight[ch * width + i] * rows[i][ch];
    out[ch] = sum;
  }
  if (activation != Activation::none) activate_row(activation, out, n, out);
}

float scan_softplus(float x) {
  return first_lane(softplus(splat(x)));
}
float scan_exp(float x) {
  return first_lane(exp(splat(x)));
}
float scan_sigmoid(float x) {
  return first_lane(sigmoid(splat(x)));
}

// h = decay * h + x * b for one row of the state; sum of h * c. decay(i) gives n_lanes factors, or the first few.
template <typename Decay>
inline float state_row(std::int64_t n_state, float x, const float* b, const float* c, float* h, Decay decay) {
  const VecF in = splat(x);
  VecF sum = zero();
  for_vectors(
      n_state,
      [&](std::int64_t i) {
        const VecF next = madd(in, load(b + i), load(h + i) * decay(i, n_lanes));
        store(h + i, next);
        sum = madd(next, load(c + i), sum);
      },
      [&](std::int64_t i, std::int64_t rest) {
        const VecF next = madd(in, load_part(b + i, rest), load_part(h + i, rest) * decay(i, rest));
        store_part(h + i, rest, next);
        sum = madd(next, load_part(c + i, rest), sum);
      });
  return reduce_add(sum);
}

void scan_selective(std::int64_t n, std::int64_t n_state, const float* u, const float* dt, const float* dt_bias,
                    const float* a, const float* b, const float* c, const float* d, const float* z, float* h,
                    float* out) {
  for (std::int64_t begin = 0; begin < n; begin += 64) {
    const std::int64_t count = n - begin < 64 ? n - begin : 64;
    alignas(64) float step[64];
    for (std::int64_t i = 0; i < count; ++i) step[i] = dt[begin + i] + (dt_bias != nullptr ? dt_bias[begin + i] : 0);
    activate_row(Activation::softplus, step, count, step);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t ch = begin + i;
      const float* row = a + ch * n_state;
      const VecF s = splat(step[i]);
      const float x = u[ch];
      const float y = state_row(n_state, step[i] * x, b, c, h + ch * n_state, [&](std::int64_t at, std::int64_t rest) {
        return exp(s * (rest == n_lanes ? load(row + at) : load_part(row + at, rest)));
      });
      out[ch] = d != nullptr ? y + d[ch] * x : y;
    }
  }
  if (z != nullptr) zip_rows(out, z, n, out, [](VecF y, VecF g) { return y * (g * sigmoid(g)); });
}

void scan_head(std::int64_t head_dim, std::int64_t n_state, float decay, float dt, float d, const float* x,
               const float* b, const float* c, float* h, float* out) {
  const VecF factor = splat(decay);
  for (std::int64_t i = 0; i < head_dim; ++i) {
    const float value = x[i];
    const float y =
        state_row(n_state, dt * value, b, c, h + i * n_state, [&](std::int64_t, std::int64_t) { return factor; });
    out[i] = y + d * value;
  }
}

void scan_delta(std::int64_t key_dim, std::int64_t value_dim, float decay, float beta, const float* q, const float* k,
                const float* v, float* s, float* scratch, float* out) {
  // scratch = beta (v - k S), with S decayed on the way
  for (std::int64_t j = 0; j < value_dim; ++j) scratch[j] = 0;
  for (std::int64_t i = 0; i < key_dim; ++i) {
    float* row = s + i * value_dim;
    scale_row(row, decay, value_dim, row);
    const VecF key = splat(k[i]);
    zip_rows(scratch, row, value_dim, scratch, [=](VecF sum, VecF e) { return madd(key, e, sum); });
  }
  const VecF rate = splat(beta);
  zip_rows(v, scratch, value_dim, scratch, [=](VecF value, VecF known) { return rate * (value - known); });
  for (std::int64_t j = 0; j < value_dim; ++j) out[j] = 0;
  for (std::int64_t i = 0; i < key_dim; ++i) {
    float* row = s + i * value_dim;
    const VecF key = splat(k[i]);
    const VecF query = splat(q[i]);
    zip_rows(row, scratch, value_dim, row, [=](VecF e, VecF change) { return madd(key, change, e); });
    zip_rows(out, row, value_dim, out, [=](VecF sum, VecF e) { return madd(query, e, sum); });
  }
}

void scan_wkv(std::int64_t n, const float* r, const float* k, const float* v, const float* first, const float* decay,
              float* num, float* den, float* max_exponent, float* out) {
  struct Lanes {
    VecF num, den, max, out;
  };
  const auto token = [](VecF gate, VecF key, VecF value, VecF u, VecF w, VecF a, VecF b, VecF m) {
    // Where nothing came before (b = 0), m has no meaning.
    const VecF lowest = splat(-1e30f);
    const VecF before = select_less(zero(), b, m, lowest);
    const VecF now = u + key;
    const VecF top = max(before, now);
    const VecF e1 = exp(before - top);
    const VecF e2 = exp(now - top);
    const VecF mixed = (e1 * a + e2 * value) / (e1 * b + e2);
    const VecF kept = before + w;
    const VecF next = max(kept, key);
    const VecF e3 = exp(kept - next);
    const VecF e4 = exp(key - next);
    return Lanes{e3 * a + e4 * value, e3 * b + e4, next, sigmoid(gate) * mixed};
  };
  for_vectors(
      n,
      [&](std::int64_t i) {
        const Lanes l = token(load(r + i), load(k + i), load(v + i), load(first + i), load(decay + i), load(num + i),
                              load(den + i), load(max_exponent + i));
        store(num + i, l.num);
        store(den + i, l.den);
        store(max_exponent + i, l.max);
        store(out + i, l.out);
      },
      [&](std::int64_t i, std::int64_t rest) {
        const auto part = [&](const float* p) { return load_part(p + i, rest); };
        const Lanes l =
            token(part(r), part(k), part(v), part(first), part(decay), part(num), part(den), part(max_exponent));
        store_part(num + i, rest, l.num);
        store_part(den + i, rest, l.den);
        store_part(max_exponent + i, rest, l.max);
        store_part(out + i, rest, l.out);
      });
}

void scan_lru(std::int64_t n, bool at_start, const float* x, const float* input_gate, const float* recurrent_gate,
              const float* lambda, float* h, float* out) {
  const auto token = [at_start](VecF value, VecF in, VecF recurrent, VecF l, VecF state) {
    const VecF log_a = splat(-8.0f) * sigmoid(recurrent) * softplus(l);
    const VecF a = exp(log_a);
    // 1 - a^2 = -expm1(2 log a): for small 2 log a the series, otherwise directly
    const VecF t = log_a + log_a;
    VecF p = splat(1.0f / 120.0f);
    p = madd(p, t, splat(1.0f / 24.0f));
    p = madd(p, t, splat(1.0f / 6.0f));
    p = madd(p, t, splat(0.5f));
    p = madd(p, t, splat(1.0f));
    const VecF small = negate(t * p);
    const VecF rest = select_less(splat(-0.05f), t, small, splat(1.0f) - a * a);
    const VecF multiplier = at_start ? splat(1.0f) : sqrt(rest);
    return madd(a, state, multiplier * sigmoid(in) * value);
  };
  for_vectors(
      n,
      [&](std::int64_t i) {
        const VecF next =
            token(load(x + i), load(input_gate + i), load(recurrent_gate + i), load(lambda + i), load(h + i));
        store(h + i, next);
        store(out + i, next);
      },
      [&](std::int64_t i, std::int64_t rest) {
        const auto part = [&](const float* p) { return load_part(p + i, rest); };
        const VecF next = token(part(x), part(input_gate), part(recurrent_gate), part(lambda), part(h));
        store_part(h + i, rest, next);
        store_part(out + i, rest, next);
      });
}

constexpr ScanKernels scan_kernels() {
  return {
      .conv = scan_conv,
      .selective = scan_selective,
      .softplus = scan_softplus,
      .exp = scan_exp,
      .sigmoid = scan_sigmoid,
      .head = scan_head,
      .delta = scan_delta,
      .wkv = scan_wkv,
      .lru = scan_lru,
  };
}
