// Elementary functions of vectors, 1 to 3 units in the last place. A lane's result depends on its argument only.
// Coefficients: Cephes mathematical library, single precision (expf, tanhf, erff, erfcf).

// e^x; exactly 0 from -104 down.
inline VecF exp(VecF x) {
  const VecF clamped = min(splat(89.0f), max(splat(-104.0f), x));
  const VecF n = round_nearest(clamped * splat(1.44269504088896341f));
  VecF r = nmadd(n, splat(0.693359375f), clamped);
  r = nmadd(n, splat(-2.12194440e-4f), r);
  VecF p = splat(1.9875691500e-4f);
  p = madd(p, r, splat(1.3981999507e-3f));
  p = madd(p, r, splat(8.3334519073e-3f));
  p = madd(p, r, splat(4.1665795894e-2f));
  p = madd(p, r, splat(1.6666665459e-1f));
  p = madd(p, r, splat(5.0000001201e-1f));
  p = madd(p, r * r, r) + splat(1.0f);
  return times_pow2(p, n);
}

inline VecF negate(VecF x) {
  return zero() - x;
}

inline VecF sigmoid(VecF x) {
  return splat(1.0f) / (splat(1.0f) + exp(negate(x)));
}

// ln(1 + t) for 0 <= t <= 1: 2 artanh(t / (2 + t)).
inline VecF log1p_unit(VecF t) {
  const VecF s = t / (splat(2.0f) + t);
  const VecF z = s * s;
  VecF p = splat(1.0f / 17.0f);
  p = madd(p, z, splat(1.0f / 15.0f));
  p = madd(p, z, splat(1.0f / 13.0f));
  p = madd(p, z, splat(1.0f / 11.0f));
  p = madd(p, z, splat(1.0f / 9.0f));
  p = madd(p, z, splat(1.0f / 7.0f));
  p = madd(p, z, splat(1.0f / 5.0f));
  p = madd(p, z, splat(1.0f / 3.0f));
  const VecF twice = s + s;
  return madd(twice * z, p, twice);
}

inline VecF softplus(VecF x) {
  return max(zero(), x) + log1p_unit(exp(negate(abs(x))));
}

inline VecF tanh(VecF x) {
  const VecF a = abs(x);
  const VecF z = x * x;
  VecF p = splat(-5.70498872745e-3f);
  p = madd(p, z, splat(2.06390887954e-2f));
  p = madd(p, z, splat(-5.37397155531e-2f));
  p = madd(p, z, splat(1.33314422036e-1f));
  p = madd(p, z, splat(-3.33332819422e-1f));
  const VecF small = madd(p * z, x, x);
  const VecF large = splat(1.0f) - splat(2.0f) / (exp(a + a) + splat(1.0f));
  const VecF signed_large = select_less(x, zero(), negate(large), large);
  return select_less(a, splat(0.625f), small, signed_large);
}

// x Phi(x), Phi the normal distribution function: for |x| >= sqrt(2) from the complementary error function, so that
// the tail keeps its relative precision.
inline VecF gelu_erf(VecF x) {
  const VecF t = x * splat(0.70710678118654752f);
  const VecF a = abs(t);
  const VecF z = t * t;
  VecF p = splat(7.853861353153693e-5f);
  p = madd(p, z, splat(-8.010193625184903e-4f));
  p = madd(p, z, splat(5.188327685732524e-3f));
  p = madd(p, z, splat(-2.685381193529856e-2f));
  p = madd(p, z, splat(1.128358514861418e-1f));
  p = madd(p, z, splat(-3.761262582423300e-1f));
  p = madd(p, z, splat(1.128379165726710e+0f));
  const VecF inside = splat(0.5f) + splat(0.5f) * t * p;

  const VecF bounded = min(splat(10.0f), max(a, splat(1.0f)));
  const VecF q = splat(1.0f) / bounded;
  const VecF y = q * q;
  VecF near = splat(2.326819970068386e-2f);
  near = madd(near, y, splat(-1.387039388740657e-1f));
  near = madd(near, y, splat(3.687424674597105e-1f));
  near = madd(near, y, splat(-5.824733027278666e-1f));
  near = madd(near, y, splat(6.210004621745983e-1f));
  near = madd(near, y, splat(-4.944515323274145e-1f));
  near = madd(near, y, splat(3.404879937665872e-1f));
  near = madd(near, y, splat(-2.741127028184656e-1f));
  near = madd(near, y, splat(5.638259427386472e-1f));
  VecF far = splat(-1.047766399936249e+1f);
  far = madd(far, y, splat(1.297719955372516e+1f));
  far = madd(far, y, splat(-7.495518717768503e+0f));
  far = madd(far, y, splat(2.921019019210786e+0f));
  far = madd(far, y, splat(-1.015265279202700e+0f));
  far = madd(far, y, splat(4.218463358204948e-1f));
  far = madd(far, y, splat(-2.820767439740514e-1f));
  far = madd(far, y, splat(5.641895067754075e-1f));
  const VecF tail = splat(0.5f) * exp(negate(bounded * bounded)) * q * select_less(bounded, splat(2.0f), near, far);
  const VecF outside = select_less(t, zero(), tail, splat(1.0f) - tail);
  return x * select_less(a, splat(1.0f), inside, outside);
}

inline VecF gelu_tanh(VecF x) {
  // 0.5 (1 + tanh(y)) = sigmoid(2 y)
  const VecF cube = x * x * x;
  const VecF y = splat(1.5957691216057308f) * madd(splat(0.044715f), cube, x);
  return x * sigmoid(y);
}

inline float first_lane(VecF a) {
  float lanes[n_lanes];
  store(lanes, a);
  return lanes[0];
}
