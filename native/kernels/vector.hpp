// One SIMD register of this instruction set as a C++ value: load, store, select, transpose, sum. No formulas of networks.
// Everything in kernels/ sits in an unnamed namespace and avoids the standard library's functions: this source is
// compiled once per instruction set, and a symbol shared between those objects could run on a processor without it.
#pragma once
#include "../plan.hpp"

#define INLINE inline __attribute__((always_inline))
#define INLINED __attribute__((always_inline))  // of a lambda
// Loops over registers must be unrolled whole, or the registers become memory.
#define UNROLL _Pragma("GCC unroll 32")

namespace {

using namespace backlit;

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
constexpr int REGISTERS = 32;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32;
constexpr int REGISTERS = 16;
#else
constexpr int VECTOR_BYTES = 16;
#if defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif
#endif

template <class T>
struct Simd;

template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef float Unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
  typedef int Integer;
  typedef Integer Bits __attribute__((vector_size(VECTOR_BYTES)));
  static constexpr int mantissa = 23;
};

template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef double Unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
  typedef long Integer;
  typedef Integer Bits __attribute__((vector_size(VECTOR_BYTES)));
  static constexpr int mantissa = 52;
};

template <class T>
using Vec = typename Simd<T>::Vector;
template <class T>
using Bits = typename Simd<T>::Bits;
template <class T>
constexpr int LANES = VECTOR_BYTES / sizeof(T);

template <class T>
INLINE Vec<T> load(const T* from) {
  return *reinterpret_cast<const typename Simd<T>::Unaligned*>(from);
}

template <class T>
INLINE void store(T* to, Vec<T> v) {
  *reinterpret_cast<typename Simd<T>::Unaligned*>(to) = v;
}

// x - 0 is x for every x, the signed zeros included, which x + 0 is not.
template <class T>
INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}

// 0, 1, 2, …
template <class T>
INLINE Bits<T> lane_numbers() {
  Bits<T> numbers = {};
  UNROLL for (int i = 0; i < LANES<T>; ++i) numbers[i] = i;
  return numbers;
}

// v with x, or that lane of x, in lane `lane`. A register that was put together in memory, number by number, would have to wait for all of
// these stores to reach the cache.
template <class T>
INLINE Vec<T> with_lane(Vec<T> v, long lane, Vec<T> x) {
  return lane_numbers<T>() == (Bits<T>{} + typename Simd<T>::Integer(lane)) ? x : v;
}
template <class T>
INLINE Vec<T> with_lane(Vec<T> v, long lane, T x) {
  return with_lane<T>(v, lane, splat(x));
}

// The `count` numbers at `from`, zero in the other lanes; touches nothing behind them.
template <class T>
INLINE Vec<T> load_first(const T* from, long count) {
  if (count >= LANES<T>) return load(from);
  Vec<T> v = {};
  for (long i = 0; i < count; ++i) v[i] = from[i];
  return v;
}

template <class T>
INLINE T sum_lanes(Vec<T> v) {
  T sum = 0;
  for (int i = 0; i < LANES<T>; ++i) sum += v[i];
  return sum;
}

INLINE Vec<float> square_root(Vec<float> v) {
#if defined(__AVX512F__)
  return __builtin_ia32_sqrtps512_mask(v, v, -1, 4);
#elif defined(__AVX__)
  return __builtin_ia32_sqrtps256(v);
#elif defined(__SSE2__)
  return __builtin_ia32_sqrtps(v);
#else
  for (int i = 0; i < LANES<float>; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

INLINE Vec<double> square_root(Vec<double> v) {
#if defined(__AVX512F__)
  return __builtin_ia32_sqrtpd512_mask(v, v, -1, 4);
#elif defined(__AVX__)
  return __builtin_ia32_sqrtpd256(v);
#elif defined(__SSE2__)
  return __builtin_ia32_sqrtpd(v);
#else
  for (int i = 0; i < LANES<double>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
#endif
}

template <int... I>
struct Indices {};
template <class T, int HALF, int... I>
INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, Indices<I...>) {
  constexpr int n = LANES<T>;
  return __builtin_shufflevector(a, b, (HALF * (n / 2) + I / 2 + (I % 2) * n)...);
}

// rows[i][j] <-> rows[j][i]: log2(lanes) rounds, each interleaving row i with row i + lanes/2.
template <class T>
INLINE void transpose(Vec<T>* rows) {
  constexpr int n = LANES<T>;
  using All = Indices<__integer_pack(n)...>;
  UNROLL for (int round = 1; round < n; round *= 2) {
    Vec<T> next[n];
    UNROLL for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = interleave<T, 0>(rows[i], rows[i + n / 2], All{});
      next[2 * i + 1] = interleave<T, 1>(rows[i], rows[i + n / 2], All{});
    }
    UNROLL for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

}  // namespace
