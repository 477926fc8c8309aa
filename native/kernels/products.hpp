// Rows times packed weights: out = a · W + b. The sum of every output runs over fan_in in one fixed order, whatever the
// batch, the tile or the thread, so a row's result never depends, to the bit, on the rows beside it.
// Gradients are in update.hpp.
#pragma once
#include "vector.hpp"

namespace {

// Accumulators of a tile must fit in the registers beside the weights and one input: 10 x 2 of 32, 6 x 2 of 16.
constexpr long TILE_ROWS = REGISTERS == 32 ? 10 : 6;

struct Range {
  long begin, end;
};

// Part `i` of `parts` nearly even ones. (A division takes as long as a whole small layer, so one part costs none.)
INLINE Range part(Range all, long i, long parts) {
  if (parts == 1) return all;
  const long count = all.end - all.begin;
  return {all.begin + count * i / parts, all.begin + count * (i + 1) / parts};
}

// Calls each(panel, first, last) for this thread's share of `rows` rows of every panel, the first `doubles` of which are
// two registers wide and the `others` one. The shares are even: a panel may be cut along its rows.
template <class Each>
INLINE void each_panel(long doubles, long others, long rows, long thread, long threads, Each each) {
  const Range mine = part({0, (2 * doubles + others) * rows}, thread, threads);
  long start = 0;
  for (long panel = 0; panel < doubles + others; ++panel) {
    const long twice = panel < doubles, end = start + (rows << twice);
    const long first = (mine.begin > start ? mine.begin - start : 0) >> twice;
    const long last = ((mine.end < end ? mine.end : end) - start) >> twice;
    if (first < last) each(panel, first, last);
    start = end;
  }
}

// Cuts a range into the fewest parts of at most `most` and calls each(begin, size).
template <class Each>
INLINE void cut_evenly(Range all, long most, Each each) {
  const long parts = (all.end - all.begin + most - 1) / most;
  for (long i = 0; i < parts; ++i) {
    const Range one = part(all, i, parts);
    each(one.begin, one.end - one.begin);
  }
}

// out (ROWS, stride) <- a (ROWS, depth) · w (depth, NV registers) + bias (NV registers, or null for none)
template <class T, int ROWS, int NV>
void product_tile(const T* const* a, const T* w, long depth, const T* bias, T* out, long stride) {
  const T* row[ROWS];
  Vec<T> sum[ROWS][NV] = {};
  UNROLL for (int r = 0; r < ROWS; ++r) row[r] = a[r];
  for (long k = 0; k < depth; ++k) {
    Vec<T> weight[NV];
    UNROLL for (int j = 0; j < NV; ++j) weight[j] = load(w + (k * NV + j) * LANES<T>);
    UNROLL for (int r = 0; r < ROWS; ++r) {
      const T x = row[r][k];
      UNROLL for (int j = 0; j < NV; ++j) sum[r][j] += x * weight[j];
    }
  }
  UNROLL for (int j = 0; j < NV; ++j) {
    const Vec<T> b = bias ? load(bias + j * LANES<T>) : Vec<T>{};
    UNROLL for (int r = 0; r < ROWS; ++r) store(out + r * stride + j * LANES<T>, sum[r][j] + b);
  }
}

template <class T>
using ProductTile = void (*)(const T* const*, const T*, long, const T*, T*, long);

template <class T, int NV, int... R>
constexpr ProductTile<T> product_tile_of(long rows, Indices<R...>) {
  constexpr ProductTile<T> tiles[] = {product_tile<T, R + 1, NV>...};
  return tiles[rows - 1];
}

// One panel of `registers` (1 or 2) for the rows [begin, end).
template <class T>
INLINE void product_panel(const T* const* a, const T* w, long registers, long depth, const T* bias, T* out, long stride,
                          long begin, long end) {
  using Sizes = Indices<__integer_pack(TILE_ROWS)...>;
  cut_evenly({begin, end}, TILE_ROWS, [=](long start, long rows) INLINED {
    const auto tile = registers == 2 ? product_tile_of<T, 2>(rows, Sizes{}) : product_tile_of<T, 1>(rows, Sizes{});
    tile(a + start, w, depth, bias, out + start * stride, stride);
  });
}

// Left-over columns: out[r][c] = a[r] · w[c] + bias[c], SIMD along the depth. w (columns, w_stride).
template <class T, int COLUMNS>
void strip_columns(const T* const* a, const T* w, long w_stride, long depth, const T* bias, T* out, long stride,
                   long begin, long end) {
  const long whole = depth / LANES<T> * LANES<T>;
  for (long r = begin; r < end; ++r) {
    Vec<T> sum[COLUMNS] = {};
    for (long k = 0; k < whole; k += LANES<T>) {
      const Vec<T> x = load(a[r] + k);
      UNROLL for (int c = 0; c < COLUMNS; ++c) sum[c] += x * load(w + c * w_stride + k);
    }
    if (whole < depth) {
      const Vec<T> x = load_first(a[r] + whole, depth - whole);
      UNROLL for (int c = 0; c < COLUMNS; ++c) sum[c] += x * load_first(w + c * w_stride + whole, depth - whole);
    }
    Vec<T> z = {};
    UNROLL for (int c = 0; c < COLUMNS; ++c) z[c] = sum_lanes<T>(sum[c]) + bias[c];
    store(out + r * stride, z);
  }
}

template <class T>
constexpr long STRIP_SIZES = most_strips(LANES<T>) > 1 ? most_strips(LANES<T>) : 1;

template <class T>
using StripColumns = void (*)(const T* const*, const T*, long, long, const T*, T*, long, long, long);

template <class T, int... C>
constexpr StripColumns<T> strip_columns_of(long columns, Indices<C...>) {
  constexpr StripColumns<T> sizes[] = {strip_columns<T, C + 1>...};
  return sizes[columns - 1];
}

template <class T>
INLINE void strip_product(const T* const* a, const Layer<T>& layer, const T* parameters, long begin, long end) {
  const long first = layer.fan_out - layer.strips;
  using Sizes = Indices<__integer_pack(STRIP_SIZES<T>)...>;
  strip_columns_of<T>(layer.strips, Sizes{})(a, parameters + layer.strip_start, layer.strip_stride, layer.fan_in,
                                            parameters + layer.biases + first, layer.outputs + first, layer.stride,
                                            begin, end);
}

}  // namespace
