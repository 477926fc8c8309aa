// ‖W‖² of all layers, which an L2 penalty adds to a loss. The padding of a panel may hold anything and is left out.
#pragma once
#include "products.hpp"

namespace {

// Σ w² over the first `columns` of a panel w (fan_in, NV registers).
template <class T, int NV>
double squared_panel(const T* w, long fan_in, long columns) {
  constexpr int ROWS = 4;  // sums side by side: one alone would wait for every addition
  Vec<T> sum[ROWS][NV] = {};
  const auto add = [&](long k, int row) INLINED {
    UNROLL for (int j = 0; j < NV; ++j) {
      const Vec<T> v = load(w + (k * NV + j) * LANES<T>);
      sum[row][j] += v * v;
    }
  };
  long k = 0;
  for (; k + ROWS <= fan_in; k += ROWS) UNROLL for (int row = 0; row < ROWS; ++row) add(k + row, row);
  for (; k < fan_in; ++k) add(k, 0);
  double total = 0;
  for (int j = 0; j < NV; ++j) {
    Vec<T> all = sum[0][j];
    for (int row = 1; row < ROWS; ++row) all += sum[row][j];
    total += double(sum_lanes<T>(first_lanes<T>(all, columns - j * LANES<T>)));
  }
  return total;
}

template <class T>
double squared_weights(const Plan<T>& plan) {
  double total = 0;
  for (long l = 0; l < plan.layer_count; ++l) {
    const Layer<T>& layer = plan.layers[l];
    const T* w = plan.parameters + layer.weights;
    for (long panel = 0; panel < layer.doubles + layer.singles; ++panel) {
      const long column = panel * 2 * LANES<T>, columns = layer.fan_out - layer.strips - column;
      const T* from = w + column * layer.fan_in;
      total += panel < layer.doubles ? squared_panel<T, 2>(from, layer.fan_in, columns)
                                     : squared_panel<T, 1>(from, layer.fan_in, columns);
    }
    for (long c = 0; c < layer.strips; ++c) {
      Vec<T> sum = {};
      for (long k = 0; k < layer.fan_in; k += LANES<T>) {
        const Vec<T> v = load_first(plan.parameters + layer.strip_start + c * layer.strip_stride + k, layer.fan_in - k);
        sum += v * v;
      }
      total += double(sum_lanes<T>(sum));
    }
  }
  return total;
}

}  // namespace
