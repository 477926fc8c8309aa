// The first layer where many numbers of x are zero, as the empty pixels of an image or the columns of a category: only
// the others are multiplied. Zeros add nothing to a sum, and the order of the sums is that of products.hpp and
// update.hpp, so every bit comes out as from the full products.
#pragma once
#include "update.hpp"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

// From so many outputs on, multiplying less pays for looking where the zeros are; AVX-512 looks quicker. Measured at
// four zeros in five.
#if defined(__AVX512F__)
template <class T>
constexpr long SPARSE_OUTPUTS = 24;
#else
template <class T>
constexpr long SPARSE_OUTPUTS = 8 * LANES<T>;
#endif

// Registers of sums side by side: enough that no multiply-add waits for the one before it.
constexpr long SPARSE_PANELS = 4;

// which[0..) <- the places of the numbers in x (n) that are not zero, ascending; the result is how many. `which` has room
// for n and one register more.
template <class T>
INLINE long nonzeros(const T* x, long n, int* which) {
  long count = 0, k = 0;
#if defined(__AVX512F__)
  for (; k + LANES<T> <= n; k += LANES<T>) {
    if constexpr (sizeof(T) == 4) {
      const __mmask16 there = _mm512_cmp_ps_mask((__m512)load(x + k), __m512{}, _CMP_NEQ_UQ);
      const __m512i places = _mm512_add_epi32((__m512i)lane_numbers<float>(), _mm512_set1_epi32(int(k)));
      _mm512_storeu_si512(which + count, _mm512_maskz_compress_epi32(there, places));
      count += __builtin_popcount(there);
    } else {
      const __mmask8 there = _mm512_cmp_pd_mask((__m512d)load(x + k), __m512d{}, _CMP_NEQ_UQ);
      const __m256i places = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(int(k)));
      _mm256_storeu_si256((__m256i*)(which + count), _mm256_maskz_compress_epi32(there, places));
      count += __builtin_popcount(there);
    }
  }
#endif
  for (; k < n; ++k) {
    which[count] = int(k);
    count += x[k] != T(0);
  }
  return count;
}

// out <- Σ x[k] · row k of PANELS panels (NV registers wide, panel_size numbers each) + bias, over the k in `which`
template <class T, int PANELS, int NV>
void sparse_row(const T* x, const int* which, long count, const T* w, long panel_size, const T* bias, T* out) {
  Vec<T> sum[PANELS][NV] = {};
  for (long i = 0; i < count; ++i) {
    const long k = which[i];
    const T number = x[k];
    UNROLL for (int p = 0; p < PANELS; ++p)
      UNROLL for (int j = 0; j < NV; ++j) sum[p][j] += number * load(w + p * panel_size + (k * NV + j) * LANES<T>);
  }
  UNROLL for (int p = 0; p < PANELS; ++p)
    UNROLL for (int j = 0; j < NV; ++j) {
      const long column = (p * NV + j) * LANES<T>;
      store(out + column, sum[p][j] + load(bias + column));
    }
}

template <class T, int... P>
INLINE auto sparse_row_of(long panels, Indices<P...>) {
  constexpr decltype(&sparse_row<T, 1, 2>) sizes[] = {sparse_row<T, P + 1, 2>...};
  return sizes[panels - 1];
}

// z of the first layer for the rows [first, last).
template <class T>
void sparse_outputs(const Plan<T>& plan, long thread, long first, long last) {
  const Layer<T>& layer = plan.layers[0];
  int* which = plan.places[thread];
  const long size = 2 * LANES<T> * layer.fan_in;
  const T *w = plan.parameters + layer.weights, *bias = plan.parameters + layer.biases;
  for (long r = first; r < last; ++r) {
    const T* x = plan.input_rows[r];
    T* out = layer.outputs + r * layer.stride;
    const long count = nonzeros(x, layer.fan_in, which);
    for (long panel = 0; panel < layer.doubles; panel += SPARSE_PANELS) {
      const long left = layer.doubles - panel, column = panel * 2 * LANES<T>;
      const auto run = sparse_row_of<T>(left < SPARSE_PANELS ? left : SPARSE_PANELS, Indices<0, 1, 2, 3>{});
      run(x, which, count, w + panel * size, size, bias + column, out + column);
    }
    const long column = layer.doubles * 2 * LANES<T>;
    if (layer.singles)
      sparse_row<T, 1, 1>(x, which, count, w + layer.doubles * size, size, bias + column, out + column);
  }
  if (layer.strips) strip_product(plan.input_rows, layer, plan.parameters, first, last);
}

// In which rows of the batch an input is not zero, as bits: one word for a register's lane of inputs and so many rows.
template <class T>
constexpr long WORD_ROWS = 8 * sizeof(T);
template <class T>
constexpr long WORDS = most_sparse_rows / WORD_ROWS<T>;

// Weights from the inputs [begin, end) to PANELS panels, NV registers wide and panel_size numbers each. next: rows of the
// next step, or null.
template <class T, Optimizer KIND, int PANELS, int NV>
void update_sparse(const PanelUpdate<T>& u, const T* const* next, long panel_size, long fan_in, long begin, long end) {
  using Integer = typename Simd<T>::Integer;
  const Rule<T> rule = u.rule;
  const long words = (u.batch + WORD_ROWS<T> - 1) / WORD_ROWS<T>;
  for (long k = begin; k < end; k += LANES<T>) {
    // Asks for the same inputs of the next step's rows: there is too little to do with a row to hide the way to memory.
    if (next)
      for (long b = 0; b < u.batch; ++b) __builtin_prefetch(next[b] + k, 0, 2);
    const bool whole = k + LANES<T> <= fan_in;
    Bits<T> there[WORDS<T>];
    for (long word = 0; word < words; ++word) {
      const long rows = u.batch - word * WORD_ROWS<T>;
      there[word] = Bits<T>{};
      for (long b = 0; b < rows && b < WORD_ROWS<T>; ++b) {
        const T* row = u.a[word * WORD_ROWS<T> + b] + k;
        const Vec<T> x = whole ? load(row) : load_first(row, fan_in - k);
        there[word] |= (Bits<T>)(x != T(0)) & (Bits<T>{} + Integer(1L << b));
      }
    }
    for (long i = 0; i < LANES<T> && k + i < end; ++i) {
      Vec<T> sum[PANELS * NV] = {};
      bool moves = KIND != Optimizer::sgd || rule.l2 != T(0);
      for (long word = 0; word < words; ++word)
        for (unsigned long rows = there[word][i] & (~0ul >> (64 - WORD_ROWS<T>)); rows; rows &= rows - 1) {
          const long b = word * WORD_ROWS<T> + __builtin_ctzl(rows);
          const T x = u.a[b][k + i];
          const T* delta = u.delta[b] + u.column;
          UNROLL for (int j = 0; j < PANELS * NV; ++j) sum[j] += x * load(delta + j * LANES<T>);
          moves = true;
        }
      if (!moves) continue;
      for (int p = 0; p < PANELS; ++p)
        apply_to_weights<T, KIND, NV>(sum + p * NV, u.at + (p * panel_size + (k + i) * NV * LANES<T>), rule);
    }
  }
}

template <class T, Optimizer KIND, int... P>
INLINE auto update_sparse_of(long panels, Indices<P...>) {
  constexpr decltype(&update_sparse<T, KIND, 1, 2>) sizes[] = {update_sparse<T, KIND, P + 1, 2>...};
  return sizes[panels - 1];
}

// This thread's share of the first layer's panels: some of the inputs.
template <class T, Optimizer KIND>
INLINE void update_sparse_panels(const Plan<T>& plan, Parameters<T> all, long thread, long threads) {
  const Layer<T>& layer = plan.layers[0];
  const long width = 2 * LANES<T>, size = width * layer.fan_in;
  const auto [begin, end] = part({0, layer.fan_in}, thread, threads);
  const auto panels_from = [&](long panel) INLINED {
    return PanelUpdate<T>{plan.input_rows, layer.delta_rows, panel * width, plan.batch,
                          all + (layer.weights + panel * size), nullptr, plan.rule};
  };
  const T* const* next = plan.next_rows;
  for (long panel = 0; panel < layer.doubles; panel += SPARSE_PANELS) {
    const long left = layer.doubles - panel, panels = left < SPARSE_PANELS ? left : SPARSE_PANELS;
    const auto run = update_sparse_of<T, KIND>(panels, Indices<0, 1, 2, 3>{});
    run(panels_from(panel), panel ? nullptr : next, size, layer.fan_in, begin, end);
  }
  if (layer.singles)
    update_sparse<T, KIND, 1, 1>(panels_from(layer.doubles), layer.doubles ? nullptr : next, size, layer.fan_in, begin,
                                 end);
}

}  // namespace
