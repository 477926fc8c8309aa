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

// Lane `number` of v, in every lane.
template <class T>
INLINE Vec<T> splat_lane(Vec<T> v, long number) {
  return __builtin_shuffle(v, Bits<T>{} + typename Simd<T>::Integer(number));
}

// v with x, or that lane of x, in lane `lane`. A register that was put together in memory, number by number, would have
// to wait for all of these stores to reach the cache.
template <class T>
INLINE Vec<T> with_lane(Vec<T> v, long lane, Vec<T> x) {
  return lane_numbers<T>() == (Bits<T>{} + typename Simd<T>::Integer(lane)) ? x : v;
}
template <class T>
INLINE Vec<T> with_lane(Vec<T> v, long lane, T x) {
  return with_lane<T>(v, lane, splat(x));
}

// The lanes before `count` of v, zero in the others.
template <class T>
INLINE Vec<T> first_lanes(Vec<T> v, long count) {
  using Integer = typename Simd<T>::Integer;
  return count >= LANES<T> ? v : lane_numbers<T>() < Bits<T>{} + Integer(count) ? v : Vec<T>{};
}

// The `count` numbers at `from`, fewer than a register has; zero in the other lanes. Put together in memory, number by
// number, it would have to wait for the cache: half the time of a narrow layer.
#if defined(__AVX512F__)
INLINE Vec<float> load_masked(const float* from, long count) {
  return __builtin_ia32_loadups512_mask(from, Vec<float>{}, static_cast<unsigned short>((1u << count) - 1));
}
INLINE Vec<double> load_masked(const double* from, long count) {
  return __builtin_ia32_loadupd512_mask(from, Vec<double>{}, static_cast<unsigned char>((1u << count) - 1));
}
#elif defined(__AVX__)
INLINE Vec<float> load_masked(const float* from, long count) {
  return __builtin_ia32_maskloadps256(reinterpret_cast<const Vec<float>*>(from), lane_numbers<float>() < int(count));
}
INLINE Vec<double> load_masked(const double* from, long count) {
  typedef long long Mask __attribute__((vector_size(VECTOR_BYTES)));
  return __builtin_ia32_maskloadpd256(reinterpret_cast<const Vec<double>*>(from), Mask(lane_numbers<double>() < count));
}
#else
template <class T>
INLINE Vec<T> load_masked(const T* from, long count) {
  Vec<T> v = {};
  for (long i = 0; i < count; ++i) v[i] = from[i];
  return v;
}
#endif

// The same for any count; touches nothing behind them.
template <class T>
INLINE Vec<T> load_first(const T* from, long count) {
  return count >= LANES<T> ? load(from) : count > 0 ? load_masked(from, count) : Vec<T>{};
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
template <class T>
using AllLanes = Indices<__integer_pack(LANES<T>)...>;

// v with its halves exchanged in each group of 2 · DISTANCE lanes
template <class T, int DISTANCE, int... I>
INLINE Vec<T> exchanged(Vec<T> v, Indices<I...>) {
  return __builtin_shufflevector(v, v, (I ^ DISTANCE)...);
}

// Half is added to half until one number is left: one lane after the other would wait for every addition.
template <class T, int DISTANCE = LANES<T> / 2>
INLINE T sum_lanes(Vec<T> v) {
  if constexpr (DISTANCE == 0)
    return v[0];
  else
    return sum_lanes<T, DISTANCE / 2>(v + exchanged<T, DISTANCE>(v, AllLanes<T>{}));
}

// Numbers in 16 bytes, within which processors interleave, and between which they exchange, in one instruction.
template <class T>
constexpr int UNIT = 16 / sizeof(T);

// In every unit, the numbers of one half of a's and those of b's, in turn.
template <class T, int HALF, int... I>
INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, Indices<I...>) {
  constexpr int u = UNIT<T>, n = LANES<T>;
  return __builtin_shufflevector(a, b, (I / u * u + HALF * (u / 2) + I % u / 2 + I % 2 * n)...);
}

// Every other unit of a, from unit ODD on, then of b.
template <class T, int ODD, int... I>
INLINE Vec<T> alternate(Vec<T> a, Vec<T> b, Indices<I...>) {
  constexpr int u = UNIT<T>, n = LANES<T>;
  return __builtin_shufflevector(a, b, ((2 * (I % (n / 2) / u) + ODD) * u + I % u + I / (n / 2) * n)...);
}

// rows[i][j] <-> rows[j][i]. Every round exchanges one bit of i with one of j, in pairs of rows that differ in that bit:
// first the bits within a unit, the highest first, then those that number the units, the lowest first.
template <class T>
INLINE void transpose(Vec<T>* rows) {
  constexpr int pairs = LANES<T> / 2;
  UNROLL for (int bit = UNIT<T> / 2; bit; bit /= 2)
    UNROLL for (int pair = 0; pair < pairs; ++pair) {
      Vec<T>&a = rows[pair / bit * 2 * bit + pair % bit], &b = (&a)[bit];
      const Vec<T> high = interleave<T, 1>(a, b, AllLanes<T>{});
      a = interleave<T, 0>(a, b, AllLanes<T>{});
      b = high;
    }
  if constexpr (LANES<T> > UNIT<T>)
    UNROLL for (int bit = UNIT<T>; bit < LANES<T>; bit *= 2)
      UNROLL for (int pair = 0; pair < pairs; ++pair) {
        Vec<T>&a = rows[pair / bit * 2 * bit + pair % bit], &b = (&a)[bit];
        const Vec<T> odd = alternate<T, 1>(a, b, AllLanes<T>{});
        a = alternate<T, 0>(a, b, AllLanes<T>{});
        b = odd;
      }
}

}  // namespace
