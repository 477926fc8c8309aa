// exp, log, tanh and their like on a SIMD register: 1 to 2 units in the last place, NaN in gives NaN out, infinities as
// in the C library. Arithmetic only; which activation or loss uses them is not known here.
#pragma once
#include "coefficients.hpp"
#include "vector.hpp"

namespace {

// c[0] + c[1]·x + c[2]·x² + … in two halves side by side, the even powers and the odd: one after the other, the additions
// would be half of what a small network waits for.
template <class T, int N>
INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  const Vec<T> square = x * x;
  Vec<T> even = splat(c[(N - 1) / 2 * 2]), odd = splat(c[(N - 2) / 2 * 2 + 1]);
  UNROLL for (int i = (N - 1) / 2 * 2 - 2; i >= 0; i -= 2) even = even * square + c[i];
  UNROLL for (int i = (N - 2) / 2 * 2 - 1; i >= 0; i -= 2) odd = odd * square + c[i];
  return odd * x + even;
}

template <class T>
INLINE Vec<T> absolute(Vec<T> x) {
  return (Vec<T>)((Bits<T>)x & ~(Bits<T>)splat(T(-0.0)));
}

template <class T>
INLINE Vec<T> at_most(Vec<T> x, T limit) {  // NaN stays
  return x > limit ? splat(limit) : x;
}

template <class T>
struct Limits;
template <>
struct Limits<float> {
  static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723e-6f;
  static constexpr float rounder = 12582912.0f;  // 1.5 · 2^23
  static constexpr float exp_high = 88.7228394f, exp_low = -86.6f, logistic_zero = 88.3f, tanh_flat = 20.0f, normal_flat = 14.0f;
  static constexpr int bias = 127;
};
template <>
struct Limits<double> {
  static constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
  static constexpr double rounder = 6755399441055744.0;  // 1.5 · 2^52
  static constexpr double exp_high = 709.782712893384, exp_low = -707.0, logistic_zero = 709.0, tanh_flat = 40.0, normal_flat = 39.0;
  static constexpr int bias = 1023;
};

// exp(x) = (1 + tail) · 2^power with |x - power · ln 2| <= ln(2)/2. Adding the rounder leaves the integer in the low bits.
template <class T>
struct SplitExp {
  Vec<T> tail;
  Bits<T> power;
};

template <class T>
INLINE SplitExp<T> split_exp(Vec<T> x) {
  using L = Limits<T>;
  const Vec<T> shifted = x * T(1.44269504088896340736) + L::rounder;
  const Vec<T> n = shifted - L::rounder;
  const Vec<T> r = (x - n * L::ln2_high) - n * L::ln2_low;
  const Bits<T> power = (Bits<T>)shifted - (Bits<T>)splat(L::rounder);
  return {r + r * r * polynomial(r, Coefficients<T>::exp_tail), power};
}

template <class T>
INLINE Vec<T> power_of_two(Bits<T> n) {
  return (Vec<T>)((n + Limits<T>::bias) << Simd<T>::mantissa);
}

template <class T>
INLINE Vec<T> exponential(Vec<T> x) {
  using L = Limits<T>;
  const auto [tail, power] = split_exp<T>(x);
  // In two factors, because 2^power itself overflows just below the largest finite result.
  Vec<T> e = (T(1) + tail) * power_of_two<T>(power - 1) * T(2);
  e = x > L::exp_high ? splat(T(__builtin_inf())) : e;
  return x < L::exp_low ? Vec<T>{} : e;
}

template <class T>
INLINE Vec<T> hyperbolic_tangent(Vec<T> x) {
  const Vec<T> y = at_most<T>(T(2) * absolute<T>(x), Limits<T>::tanh_flat);
  const auto [tail, power] = split_exp<T>(y);
  const Vec<T> scale = power_of_two<T>(power);
  const Vec<T> e = scale * tail + (scale - T(1));  // exp(y) - 1, to full precision near zero
  const Vec<T> t = e / (e + T(2));
  return x < T(0) ? -t : t;
}

template <class T>
INLINE Vec<T> logistic(Vec<T> x) {
  using L = Limits<T>;
  const auto [tail, power] = split_exp<T>(-x);
  const Vec<T> scale = power_of_two<T>(power);
  const Vec<T> a = T(1) / (scale * tail + (scale + T(1)));  // the right sum does not wait for the tail
  const Vec<T> low = x < -L::logistic_zero ? Vec<T>{} : a;
  return x > L::tanh_flat ? splat(T(1)) : low;
}

// 2 artanh(s) for |s| <= 1/3
template <class T>
INLINE Vec<T> twice_area_tangent(Vec<T> s) {
  const Vec<T> t = s * s;
  return T(2) * s + T(2) * s * t * polynomial(t, Coefficients<T>::atanh_tail);
}

// log(1 + u) for 0 <= u <= 1
template <class T>
INLINE Vec<T> log_one_plus(Vec<T> u) {
  return twice_area_tangent<T>(u / (u + T(2)));
}

// log(1 + exp(x))
template <class T>
INLINE Vec<T> soft_plus(Vec<T> x) {
  const Vec<T> positive = x < T(0) ? Vec<T>{} : x;
  return positive + log_one_plus<T>(exponential<T>(-absolute<T>(x)));
}

// log(x) for normal positive x; NaN stays.
template <class T>
INLINE Vec<T> logarithm(Vec<T> x) {
  using L = Limits<T>;
  // Adding the distance from √½ to 1 moves the split of the powers of two there, so that |m - 1| stays small.
  const Bits<T> root_half = (Bits<T>)splat(T(0.70710678118654752440));
  const Bits<T> one = (Bits<T>)splat(T(1));
  const Bits<T> shifted = (Bits<T>)x + (one - root_half);
  const Bits<T> power = (shifted >> Simd<T>::mantissa) - L::bias;
  const Vec<T> m = (Vec<T>)((Bits<T>)x - (power << Simd<T>::mantissa));
  const Vec<T> n = (Vec<T>)(power + (Bits<T>)splat(L::rounder)) - L::rounder;
  const Vec<T> log_m = twice_area_tangent<T>((m - T(1)) / (m + T(1)));
  return x != x ? x : n * L::ln2_high + (n * L::ln2_low + log_m);
}

// The standard normal distribution function and its density.
template <class T>
struct Normal {
  Vec<T> below, density;
};

template <class T>
INLINE Normal<T> normal(Vec<T> z) {
  const Vec<T> u = at_most<T>(absolute<T>(z), Limits<T>::normal_flat);
  const Vec<T> e = exponential<T>(T(-0.5) * u * u);
  const Vec<T> tail = e * polynomial((u - T(3)) / (u + T(3)), Coefficients<T>::normal_tail);
  return {z < T(0) ? tail : T(1) - tail, e * T(0.39894228040143267794)};
}

}  // namespace
