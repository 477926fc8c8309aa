// The gradient of one layer and the update of its weights and biases, in one pass: a tile of aᵀ · delta is summed over the
// batch in registers and handed straight to the optimizer's rule. Sums start at zero, not at W: seeding them with W
// would round every product at the size of W and cost an order of magnitude in the change of W.
#pragma once
#include "products.hpp"

namespace {

// Inputs of a tile: as many as the registers hold, but fewer where so few rows are summed that a tile is mostly its
// beginning and its end; these then overlap with their neighbours'.
constexpr long TILE_INPUTS = REGISTERS == 32 ? 8 : 6;
constexpr long SHORT_TILE_INPUTS = 4, SHORT_TILE_ROWS = 31;
// From so many rows on, W is asked for when its tile begins: a layer may be larger than the cache.
constexpr long PREFETCH_ROWS = 32;

template <class T>
struct Parameters {
  T *value, *slot1, *slot2;
  INLINE Parameters operator+(long offset) const { return {value + offset, slot1 + offset, slot2 + offset}; }
};

// squares += v², register by register
template <class T, int COUNT>
INLINE void add_squares(const Vec<T>* v, T* squares) {
  Vec<T> sum = load(squares);
  UNROLL for (int i = 0; i < COUNT; ++i) sum += v[i] * v[i];
  store(squares, sum);
}

// Moves one register of parameters; without an optimizer, keeps the gradient there. L2 has been added to the gradient
// before; `decay` is zero for biases.
template <class T, Optimizer KIND>
INLINE void apply(Vec<T> gradient, Parameters<T> at, const Rule<T>& rule, T decay) {
  if (KIND == Optimizer::none) return store(at.value, gradient);
  Vec<T> w = load(at.value);
  if (KIND == Optimizer::sgd) w -= gradient;
  if (KIND == Optimizer::momentum) {
    const Vec<T> move = rule.rate * gradient;
    const Vec<T> velocity = rule.momentum * load(at.slot1) - move;
    store(at.slot1, velocity);
    w += rule.nesterov ? rule.momentum * velocity - move : velocity;
  }
  if (KIND == Optimizer::adam) {
    Vec<T> first = load(at.slot1);
    first += rule.take1 * (gradient - first);
    // Not by a difference like the first moment's: where beta2 is small, it would be all that is left of a large one.
    const Vec<T> second = rule.keep2 * load(at.slot2) + rule.take2 * (gradient * gradient);
    store(at.slot1, first);
    store(at.slot2, second);
    if (decay != T(0)) w -= decay * w;
    w -= rule.scale * (first / (square_root(second) + rule.epsilon));
  }
  store(at.value, w);
}

// The same for COUNT registers side by side, of weights.
template <class T, Optimizer KIND, int COUNT>
INLINE void apply_to_weights(Vec<T>* gradient, Parameters<T> at, const Rule<T>& rule) {
  constexpr bool moves = KIND != Optimizer::none;
  if (moves && rule.squares) add_squares<T, COUNT>(gradient, rule.squares);
  if (moves && rule.l2 != T(0)) {
    UNROLL for (int i = 0; i < COUNT; ++i) gradient[i] += rule.l2 * load(at.value + i * LANES<T>);
    asm("" ::: "memory");  // or GCC would load all of W ahead of both loops, and spill it
  }
  UNROLL for (int i = 0; i < COUNT; ++i) apply<T, KIND>(gradient[i], at + i * LANES<T>, rule, rule.decay);
}

// What an update reads, and which rows [begin, end) of a panel it moves; `at` is the panel's beginning.
template <class T>
struct PanelUpdate {
  const T* const* a;      // (batch): what the layer takes in
  const T* const* delta;  // (batch)
  long column, batch;     // the panel's first output; rows of the batch
  Parameters<T> at;
  const T* begun;         // the sums over the pieces of the batch before this one, from the panel's beginning; or null
  Rule<T> rule;
};

// What the sums of COUNT registers begin with.
template <class T, int COUNT>
INLINE void begin_sums(Vec<T>* sum, const T* begun, long offset) {
  UNROLL for (int i = 0; i < COUNT; ++i)
    sum[i] = begun ? load(begun + offset + i * LANES<T>) : Vec<T>{};
}

// sum (INPUTS, NV registers) += aᵀ · delta over rows [begin, end) of the batch.
template <class T, int NV, int INPUTS>
INLINE void add_products(Vec<T>* sum, const PanelUpdate<T>& u, long first, long begin, long end) {
  for (long b = begin; b < end; ++b) {
    const T* x = u.a[b] + first;
    const T* delta = u.delta[b] + u.column;
    asm("" : "+r"(x));  // keeps GCC from computing, and spilling, the address of every x[q] ahead of the loop
    Vec<T> d[NV];
    UNROLL for (int j = 0; j < NV; ++j) d[j] = load(delta + j * LANES<T>);
    UNROLL for (int q = 0; q < INPUTS; ++q)
      UNROLL for (int j = 0; j < NV; ++j) sum[q * NV + j] += x[q] * d[j];
  }
}

// Weights of a panel from INPUTS units at a time, `tiles` times, to NV registers of outputs.
template <class T, Optimizer KIND, int NV, int INPUTS>
void update_tiles(const PanelUpdate<T>& u, long first, long tiles) {
  constexpr int COUNT = INPUTS * NV;
  const Rule<T> rule = u.rule;  // a copy, which the stores below cannot be suspected of changing
  const long end = first + tiles * INPUTS;
  if constexpr (KIND != Optimizer::adam) {
    for (; first < end; first += INPUTS) {
      if (u.batch >= PREFETCH_ROWS)
        UNROLL for (int i = 0; i < COUNT; ++i) __builtin_prefetch(u.at.value + (first * NV + i) * LANES<T>, 1);
      Vec<T> sum[COUNT];
      begin_sums<T, COUNT>(sum, u.begun, first * NV * LANES<T>);
      add_products<T, NV, INPUTS>(sum, u, first, 0, u.batch);
      apply_to_weights<T, KIND, COUNT>(sum, u.at + first * NV * LANES<T>, rule);
    }
  } else {
    // Adam's root and quotient keep the divider busy for as long as a few rows keep the multipliers: a tile is moved
    // while the next one is summed, one register at a time between the rows.
    Vec<T> waiting[COUNT];
    begin_sums<T, COUNT>(waiting, u.begun, first * NV * LANES<T>);
    add_products<T, NV, INPUTS>(waiting, u, first, 0, u.batch);
    for (first += INPUTS; first < end; first += INPUTS) {
      Vec<T> sum[COUNT];
      begin_sums<T, COUNT>(sum, u.begun, first * NV * LANES<T>);
      const Parameters<T> before = u.at + (first - INPUTS) * NV * LANES<T>;
      for (long i = 0, row = 0; i < COUNT; ++i) {
        const long stop = (i + 1) * u.batch / COUNT;
        apply_to_weights<T, KIND, 1>(waiting + i, before + i * LANES<T>, rule);
        add_products<T, NV, INPUTS>(sum, u, first, row, stop);
        row = stop;
      }
      UNROLL for (int i = 0; i < COUNT; ++i) waiting[i] = sum[i];
    }
    for (int i = 0; i < COUNT; ++i)
      apply_to_weights<T, KIND, 1>(waiting + i, u.at + ((end - INPUTS) * NV + i) * LANES<T>, rule);
  }
}

template <class T>
using UpdateTiles = void (*)(const PanelUpdate<T>&, long, long);

template <class T, Optimizer KIND, int NV, int... Q>
constexpr UpdateTiles<T> update_tiles_of(long inputs, Indices<Q...>) {
  constexpr UpdateTiles<T> sizes[] = {update_tiles<T, KIND, NV, Q + 1>...};
  return sizes[inputs - 1];
}

// Two sizes of tiles, one input apart, so that no thin tile is left over.
template <class T, Optimizer KIND, int NV>
INLINE void update_panel(const PanelUpdate<T>& u, long begin, long end) {
  const bool is_short = NV == 2 && KIND != Optimizer::adam && u.batch <= SHORT_TILE_ROWS;
  const long most = is_short ? SHORT_TILE_INPUTS : TILE_INPUTS;
  const long count = end - begin, tiles = (count + most - 1) / most;
  const long size = tiles == 1 ? count : count / tiles, larger = count - size * tiles;
  using Sizes = Indices<__integer_pack(TILE_INPUTS)...>;
  if (larger) update_tiles_of<T, KIND, NV>(size + 1, Sizes{})(u, begin, larger);
  update_tiles_of<T, KIND, NV>(size, Sizes{})(u, begin + larger * (size + 1), tiles - larger);
}

// Strip columns, from `column` on: their weights lie along the inputs. `a` is read to fan_in and not beyond.
template <class T, Optimizer KIND, int COLUMNS>
void update_strips(const PanelUpdate<T>& u, long fan_in, long strip_stride) {
  constexpr int WIDE = 4;
  const Rule<T> rule = u.rule;
  for (long k = 0; k < fan_in; k += WIDE * LANES<T>) {
    const bool whole = k + WIDE * LANES<T> <= fan_in;
    Vec<T> sum[COLUMNS][WIDE] = {};
    if (u.begun)
      UNROLL for (int c = 0; c < COLUMNS; ++c)
        UNROLL for (int j = 0; j < WIDE; ++j)
          if (k + j * LANES<T> < fan_in) sum[c][j] = load(u.begun + c * strip_stride + k + j * LANES<T>);
    for (long b = 0; b < u.batch; ++b) {
      Vec<T> x[WIDE];
      if (whole)
        UNROLL for (int j = 0; j < WIDE; ++j) x[j] = load(u.a[b] + k + j * LANES<T>);
      else
        for (int j = 0; j < WIDE; ++j) x[j] = load_first(u.a[b] + k + j * LANES<T>, fan_in - k - j * LANES<T>);
      UNROLL for (int c = 0; c < COLUMNS; ++c)
        UNROLL for (int j = 0; j < WIDE; ++j) sum[c][j] += u.delta[b][u.column + c] * x[j];
    }
    UNROLL for (int c = 0; c < COLUMNS; ++c)
      for (int j = 0; j < WIDE && k + j * LANES<T> < fan_in; ++j)
        apply_to_weights<T, KIND, 1>(&sum[c][j], u.at + c * strip_stride + k + j * LANES<T>, rule);
  }
}

template <class T>
using UpdateStrips = void (*)(const PanelUpdate<T>&, long, long);

template <class T, Optimizer KIND, int... C>
constexpr UpdateStrips<T> update_strips_of(long columns, Indices<C...>) {
  constexpr UpdateStrips<T> sizes[] = {update_strips<T, KIND, C + 1>...};
  return sizes[columns - 1];
}

template <class T, Optimizer KIND>
void update_biases(const T* const* delta, long fan_out, long batch, Parameters<T> at, const T* begun,
                   const Rule<T>& rule) {
  constexpr int WIDE = 4;  // sums side by side: one alone would wait for every addition
  for (long n = 0; n < fan_out; n += WIDE * LANES<T>) {
    const long left = (fan_out - n + LANES<T> - 1) / LANES<T>, registers = left < WIDE ? left : WIDE;
    Vec<T> sum[WIDE] = {};
    for (long j = 0; begun && j < registers; ++j) sum[j] = load(begun + n + j * LANES<T>);
    if (registers == WIDE)
      for (long b = 0; b < batch; ++b) UNROLL for (int j = 0; j < WIDE; ++j) sum[j] += load(delta[b] + n + j * LANES<T>);
    else
      for (long j = 0; j < registers; ++j)
        for (long b = 0; b < batch; ++b) sum[j] += load(delta[b] + n + j * LANES<T>);
    for (long j = 0; j < registers; ++j) {
      const Vec<T> own = first_lanes<T>(sum[j], fan_out - n - j * LANES<T>);
      if (KIND != Optimizer::none && rule.squares) add_squares<T, 1>(&own, rule.squares);
      apply<T, KIND>(sum[j], at + n + j * LANES<T>, rule, T(0));
    }
  }
}

template <class T>
INLINE const T* begun_at(const Plan<T>& plan, long offset) {
  return plan.begun ? plan.begun + offset : nullptr;
}

// This thread's share of a layer's panels. They are cut along fan_in, so that few panels feed many threads.
template <class T, Optimizer KIND>
INLINE void update_panels(const Plan<T>& plan, const Layer<T>& layer, const T* const* a, Parameters<T> all, long thread,
                          long threads) {
  each_panel(layer.doubles, layer.singles, layer.fan_in, thread, threads, [&](long panel, long begin, long end) INLINED {
    const long column = panel * 2 * LANES<T>, offset = layer.weights + column * layer.fan_in;
    const PanelUpdate<T> u = {a, layer.delta_rows, column, plan.batch, all + offset, begun_at(plan, offset), plan.rule};
    if (panel < layer.doubles)
      update_panel<T, KIND, 2>(u, begin, end);
    else
      update_panel<T, KIND, 1>(u, begin, end);
  });
}

}  // namespace
