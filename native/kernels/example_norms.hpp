// Squared lengths of the example gradients, without the gradients: the gradient of row i with respect to W is the outer
// product of a_i and δ_i, so its squared length is ‖a_i‖²·‖δ_i‖²; with the bias, (‖a_i‖² + 1)·‖δ_i‖², added over the
// layers (Goodfellow, 2015, arXiv 1510.01799). Here also the pass without an update that this needs.
#pragma once
#include "step.hpp"

namespace {

// Σ row[k]² for k < count. `padded`: whole registers may be loaded, whatever stands behind the count.
template <class T>
INLINE T squared_length(const T* row, long count, bool padded) {
  constexpr int WIDE = 4;  // sums side by side: one alone would wait for every addition
  Vec<T> sum[WIDE] = {};
  long k = 0;
  for (; k + WIDE * LANES<T> <= count; k += WIDE * LANES<T>)
    UNROLL for (int j = 0; j < WIDE; ++j) {
      const Vec<T> v = load(row + k + j * LANES<T>);
      sum[j] += v * v;
    }
  for (; k < count; k += LANES<T>) {
    const long left = count - k;
    const Vec<T> v = padded ? first_lanes<T>(load(row + k), left) : load_first(row + k, left);
    sum[0] += v * v;
  }
  return sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// plan.row_squares of this thread's rows, from the activations and deltas that a step has left.
template <class T>
void row_squares(const Plan<T>& plan, long thread, long threads) {
  const auto [first, last] = part({0, plan.batch}, thread, threads);
  for (long r = first; r < last; ++r) {
    T sum = 0;
    for (long l = 0; l < plan.layer_count; ++l) {
      const Layer<T>& layer = plan.layers[l];
      const T* a = l ? plan.layers[l - 1].output_rows[r] : plan.input_rows[r];
      const T inputs = squared_length(a, layer.fan_in, l > 0);
      sum += (inputs + T(1)) * squared_length(layer.delta_rows[r], layer.fan_out, true);
    }
    plan.row_squares[r] = sum;
  }
}

// A step that also adds up the squares of the batch's gradient, in a register of the thread's own, and of its rows'.
template <class T>
void measured_step(const Plan<T>& plan, long thread, long threads) {
  Plan<T> own = plan;
  own.rule.squares = plan.squares[thread];
  step(own, thread, threads);
  if (plan.narrow && plan.batch == 1) {  // a step that thread 0 has made alone, without meeting the others
    if (thread == 0) row_squares(own, 0, 1);
    return;
  }
  row_squares(own, thread, threads);
}

// Forward, the losses of the rows, the deltas of every layer, and plan.row_squares: no update. One thread.
template <class T>
void backward(const Plan<T>& plan) {
  const long last = plan.layer_count - 1;
  for (long l = 0; l < last; ++l) hidden_forward(plan, l, 0, 1);
  output_sums(plan, 0, {0, plan.batch});
  each_block<T>({0, plan.batch}, [&](long first, long rows) {
    output_block(plan, plan.layers[last], plan.scratch[0], first, rows);
  });
  for (long l = last; l > 0; --l) delta_below(plan, l, 0, 1);
  row_squares(plan, 0, 1);
}

}  // namespace
