// The gradient of one layer and the update of its weights and biases, in one pass: a tile of aᵀ · delta is summed over the
// batch in registers and handed straight to the optimizer's rule. Sums start at zero, not at W: seeding them with W
// would round every product at the size of W and cost an order of magnitude in the change of W.
#pragma once
#include "products.hpp"

namespace {

constexpr long TILE_INPUTS = REGISTERS == 32 ? 8 : 6;

template <class T>
struct Parameters {
  T *value, *slot1, *slot2;
  INLINE Parameters operator+(long offset) const { return {value + offset, slot1 + offset, slot2 + offset}; }
};

// Moves one register of parameters. `l2` and `decay` are zero for biases.
template <class T, Optimizer KIND>
INLINE void apply(Vec<T> gradient, Parameters<T> at, const Rule<T>& rule, T l2, T decay) {
  Vec<T> w = load(at.value);
  gradient += l2 * w;
  if (KIND == Optimizer::sgd) w -= rule.rate * gradient;
  if (KIND == Optimizer::momentum) {
    const Vec<T> move = rule.rate * gradient;
    const Vec<T> velocity = rule.momentum * load(at.slot1) - move;
    store(at.slot1, velocity);
    w += rule.nesterov ? rule.momentum * velocity - move : velocity;
  }
  if (KIND == Optimizer::adam) {
    const Vec<T> first = rule.keep1 * load(at.slot1) + rule.take1 * gradient;
    const Vec<T> second = rule.keep2 * load(at.slot2) + rule.take2 * (gradient * gradient);
    store(at.slot1, first);
    store(at.slot2, second);
    w -= decay * w + rule.first_scale * first / (square_root(rule.second_scale * second) + rule.epsilon);
  }
  store(at.value, w);
}

// Weights from INPUTS units (columns first..first+INPUTS of a) to NV registers of outputs.
template <class T, Optimizer KIND, int NV, int INPUTS>
void update_tile(const T* const* a, const T* const* delta, long first, long column, long batch, Parameters<T> at,
                 const Rule<T>& rule) {
  Vec<T> sum[INPUTS][NV] = {};
  for (long b = 0; b < batch; ++b) {
    const T* x = a[b] + first;
    Vec<T> d[NV];
    UNROLL for (int j = 0; j < NV; ++j) d[j] = load(delta[b] + column + j * LANES<T>);
    UNROLL for (int q = 0; q < INPUTS; ++q)
      UNROLL for (int j = 0; j < NV; ++j) sum[q][j] += x[q] * d[j];
  }
  UNROLL for (int q = 0; q < INPUTS; ++q)
    UNROLL for (int j = 0; j < NV; ++j)
      apply<T, KIND>(sum[q][j], at + (q * NV + j) * LANES<T>, rule, rule.l2, rule.decay);
}

template <class T>
using UpdateTile = void (*)(const T* const*, const T* const*, long, long, long, Parameters<T>, const Rule<T>&);

template <class T, Optimizer KIND, int NV, int... Q>
constexpr UpdateTile<T> update_tile_of(long inputs, Indices<Q...>) {
  constexpr UpdateTile<T> tiles[] = {update_tile<T, KIND, NV, Q + 1>...};
  return tiles[inputs - 1];
}

// The rows [begin, end) of one panel; `at` is the panel's beginning.
template <class T, Optimizer KIND, int NV>
INLINE void update_panel(const T* const* a, const T* const* delta, long column, long batch, Parameters<T> at,
                         const Rule<T>& rule, long begin, long end) {
  cut_evenly(begin, end, TILE_INPUTS, [&](long first, long inputs) __attribute__((always_inline)) {
    const auto tile = update_tile_of<T, KIND, NV>(inputs, Indices<__integer_pack(TILE_INPUTS)...>{});
    tile(a, delta, first, column, batch, at + first * NV * LANES<T>, rule);
  });
}

// One strip column: its weights lie along the inputs. `a` is read to fan_in and not beyond.
template <class T, Optimizer KIND>
void update_strip(const T* const* a, const T* const* delta, long fan_in, long column, long batch, Parameters<T> at,
                  const Rule<T>& rule) {
  constexpr int WIDE = 8;
  long k = 0;
  for (; k + WIDE * LANES<T> <= fan_in; k += WIDE * LANES<T>) {
    Vec<T> sum[WIDE] = {};
    for (long b = 0; b < batch; ++b)
      UNROLL for (int j = 0; j < WIDE; ++j) sum[j] += delta[b][column] * load(a[b] + k + j * LANES<T>);
    UNROLL for (int j = 0; j < WIDE; ++j) apply<T, KIND>(sum[j], at + k + j * LANES<T>, rule, rule.l2, rule.decay);
  }
  for (; k < fan_in; k += LANES<T>) {
    Vec<T> sum = {};
    for (long b = 0; b < batch; ++b) sum += delta[b][column] * load_first(a[b] + k, fan_in - k);
    apply<T, KIND>(sum, at + k, rule, rule.l2, rule.decay);
  }
}

template <class T, Optimizer KIND>
void update_biases(const T* const* delta, long fan_out, long batch, Parameters<T> at, const Rule<T>& rule) {
  for (long n = 0; n < fan_out; n += LANES<T>) {
    Vec<T> sum = {};
    for (long b = 0; b < batch; ++b) sum += load(delta[b] + n);
    apply<T, KIND>(sum, at + n, rule, T(0), T(0));
  }
}

// This thread's share of one layer. Panels are cut along fan_in, in whole tiles, so that few panels feed many threads.
template <class T, Optimizer KIND>
void update_layer(const Plan<T>& plan, const Layer<T>& layer, const T* const* a, long thread, long threads) {
  const Parameters<T> all = {plan.parameters, plan.slots[0], plan.slots[1]};
  const long panels = layer.doubles + layer.singles, width = 2 * LANES<T>, rows = layer.fan_in;
  const long first_row = panels * rows * thread / threads, last_row = panels * rows * (thread + 1) / threads;
  for (long panel = first_row / (rows ? rows : 1); panel < panels && panel * rows < last_row; ++panel) {
    const long begin = first_row > panel * rows ? first_row - panel * rows : 0;
    const long end = last_row < (panel + 1) * rows ? last_row - panel * rows : rows;
    const Parameters<T> at = all + (layer.weights + panel * rows * width);
    if (panel < layer.doubles)
      update_panel<T, KIND, 2>(a, layer.delta_rows, panel * width, plan.batch, at, plan.rule, begin, end);
    else
      update_panel<T, KIND, 1>(a, layer.delta_rows, panel * width, plan.batch, at, plan.rule, begin, end);
  }
  for (long c = thread; c < layer.strips; c += threads)
    update_strip<T, KIND>(a, layer.delta_rows, rows, layer.fan_out - layer.strips + c, plan.batch,
                          all + (layer.strip_start + c * layer.strip_stride), plan.rule);
  if (thread == threads - 1)
    update_biases<T, KIND>(layer.delta_rows, layer.fan_out, plan.batch, all + layer.biases, plan.rule);
}

template <class T>
INLINE void update(const Plan<T>& plan, long l, long thread, long threads) {
  const T* const* a = l ? plan.layers[l - 1].output_rows : plan.input_rows;
  const auto run = plan.rule.optimizer == Optimizer::sgd        ? update_layer<T, Optimizer::sgd>
                   : plan.rule.optimizer == Optimizer::momentum ? update_layer<T, Optimizer::momentum>
                                                                : update_layer<T, Optimizer::adam>;
  run(plan, plan.layers[l], a, thread, threads);
}

}  // namespace
