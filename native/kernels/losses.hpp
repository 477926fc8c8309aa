// The output layer: its activation, the loss of each row, and delta = ∂loss/∂z. One register holds the same output of
// several rows, so that sums over the outputs are plain additions and a row never meets its neighbours.
#pragma once
#include "functions.hpp"

namespace {

// A block of up to LANES rows, turned: z, a, g and y hold [fan_out] registers each.
template <class T>
struct Block {
  long outputs;
  T *z, *a, *g, *y;
  INLINE Vec<T> at(const T* array, long n) const { return load(array + n * LANES<T>); }
  INLINE void put(T* array, long n, Vec<T> v) const { store(array + n * LANES<T>, v); }
};

// So few numbers are quicker moved one by one than by turning squares of registers.
template <class T>
constexpr long FEW_OUTPUTS = LANES<T> / 4;

// turned[n] <- output n of each of `rows` rows, anything in the lanes behind. Rows are padded to whole registers.
template <class T>
INLINE void turn(const T* const* from, long rows, long outputs, T* turned) {
  if (outputs <= FEW_OUTPUTS<T>) {
    for (long n = 0; n < outputs; ++n) {
      Vec<T> column = splat(from[0][n]);
      for (long r = 1; r < rows; ++r) column = with_lane<T>(column, r, from[r][n]);
      store(turned + n * LANES<T>, column);
    }
    return;
  }
  for (long n = 0; n < outputs; n += LANES<T>) {
    Vec<T> square[LANES<T>];
    for (long r = 0; r < LANES<T>; ++r) square[r] = r < rows ? load(from[r] + n) : Vec<T>{};
    transpose<T>(square);
    for (long i = 0; i < LANES<T> && n + i < outputs; ++i) store(turned + (n + i) * LANES<T>, square[i]);
  }
}

// The way back; padding columns of the rows become zero, so that padded weights stay what they are.
template <class T>
INLINE void turn_back(const T* turned, long rows, long outputs, T* to, long stride) {
  if (outputs <= FEW_OUTPUTS<T>) {
    for (long r = 0; r < rows; ++r) {
      Vec<T> row = {};
      for (long n = 0; n < outputs; ++n) row = with_lane<T>(row, n, turned[n * LANES<T> + r]);
      store(to + r * stride, row);
    }
    return;
  }
  for (long n = 0; n < outputs; n += LANES<T>) {
    Vec<T> square[LANES<T>];
    for (long i = 0; i < LANES<T>; ++i)
      square[i] = n + i < outputs ? load(turned + (n + i) * LANES<T>) : Vec<T>{};
    transpose<T>(square);
    for (long r = 0; r < rows; ++r) store(to + r * stride + n, square[r]);
  }
}

// a from z. For softmax z becomes z − max z, and the result is log Σ exp of that: cross_entropy needs both, and their
// difference keeps its digits however large the logits are.
template <class T>
INLINE Vec<T> softmax(const Block<T>& o) {
  Vec<T> largest = o.at(o.z, 0);
  for (long n = 1; n < o.outputs; ++n) {
    const Vec<T> z = o.at(o.z, n);
    largest = z > largest ? z : largest;
  }
  Vec<T> sum = {};
  for (long n = 0; n < o.outputs; ++n) {
    const Vec<T> z = o.at(o.z, n) - largest, e = exponential<T>(z);
    o.put(o.z, n, z);
    o.put(o.a, n, e);
    sum += e;
  }
  for (long n = 0; n < o.outputs; ++n) o.put(o.a, n, o.at(o.a, n) / sum);
  return logarithm<T>(sum);
}

template <class T, class F>
INLINE void each_output(const Block<T>& o, const T* from, T* to, F f) {
  for (long n = 0; n < o.outputs; ++n) o.put(to, n, f(o.at(from, n)));
}

template <class T>
INLINE Vec<T> output_activation(Activation name, const Block<T>& o) {
  switch (name) {
    case Activation::sigmoid: each_output(o, o.z, o.a, [](Vec<T> z) { return logistic<T>(z); }); break;
    case Activation::tanh: each_output(o, o.z, o.a, [](Vec<T> z) { return hyperbolic_tangent<T>(z); }); break;
    case Activation::exp: each_output(o, o.z, o.a, [](Vec<T> z) { return exponential<T>(z); }); break;
    case Activation::softmax: return softmax(o);
    default: each_output(o, o.z, o.a, [](Vec<T> z) { return z; });
  }
  return Vec<T>{};
}

// Sums term(a, y, g) over the outputs; the term sets g = ∂loss/∂a.
template <class T, class F>
INLINE Vec<T> sum_terms(const Block<T>& o, F term) {
  Vec<T> sum = {};
  for (long n = 0; n < o.outputs; ++n) {
    Vec<T> g;
    sum += term(o.at(o.a, n), o.at(o.y, n), g);
    o.put(o.g, n, g);
  }
  return sum;
}

// factor · ‖a - y‖²
template <class T>
INLINE Vec<T> squares(const Block<T>& o, T factor) {
  return sum_terms(o, [=](Vec<T> a, Vec<T> y, Vec<T>& g) {
    const Vec<T> e = a - y;
    g = T(2) * factor * e;
    return factor * e * e;
  });
}

template <class T>
INLINE Vec<T> absolute_errors(const Block<T>& o) {
  return sum_terms(o, [](Vec<T> a, Vec<T> y, Vec<T>& g) {
    const Vec<T> e = a - y;
    g = e > T(0) ? splat(T(1)) : e < T(0) ? splat(T(-1)) : e;  // 0 stays 0, NaN stays NaN
    return absolute<T>(e);
  });
}

template <class T>
INLINE Vec<T> huber(const Block<T>& o) {
  return sum_terms(o, [](Vec<T> a, Vec<T> y, Vec<T>& g) {
    const Vec<T> e = a - y;
    g = e > T(1) ? splat(T(1)) : e < T(-1) ? splat(T(-1)) : e;
    const Vec<T> size = absolute<T>(e);
    return size > T(1) ? size - T(0.5) : T(0.5) * e * e;
  });
}

// ∂loss/∂a -> ∂loss/∂z, in g
template <class T>
INLINE void through_activation(Activation name, const Block<T>& o) {
  if (name == Activation::softmax) {
    Vec<T> mean = {};
    for (long n = 0; n < o.outputs; ++n) mean += o.at(o.a, n) * o.at(o.g, n);
    for (long n = 0; n < o.outputs; ++n) o.put(o.g, n, o.at(o.a, n) * (o.at(o.g, n) - mean));
    return;
  }
  if (name == Activation::linear) return;
  for (long n = 0; n < o.outputs; ++n) {
    const Vec<T> a = o.at(o.a, n);
    const Vec<T> slope = name == Activation::sigmoid ? a * (T(1) - a) : name == Activation::tanh ? T(1) - a * a : a;
    o.put(o.g, n, o.at(o.g, n) * slope);
  }
}

// The three losses that belong to one activation. From z, they stay finite where a is rounded to 0 or 1, and their
// delta is a - y (for targets that sum to one, where it is a softmax).
template <class T>
INLINE Vec<T> binary_cross_entropy(const Block<T>& o) {
  Vec<T> sum = {};
  for (long n = 0; n < o.outputs; ++n) {
    const Vec<T> z = o.at(o.z, n), y = o.at(o.y, n);
    sum += soft_plus<T>(z) - y * z;
    o.put(o.g, n, o.at(o.a, n) - y);
  }
  return sum;
}

template <class T>
INLINE Vec<T> cross_entropy(const Block<T>& o, Vec<T> log_sum) {
  Vec<T> sum = {}, targets = {};
  for (long n = 0; n < o.outputs; ++n) {
    const Vec<T> y = o.at(o.y, n);
    sum += y * (log_sum - o.at(o.z, n));
    targets += y;
  }
  for (long n = 0; n < o.outputs; ++n) o.put(o.g, n, o.at(o.a, n) * targets - o.at(o.y, n));
  return sum;
}

template <class T>
INLINE Vec<T> poisson(const Block<T>& o) {
  Vec<T> sum = {};
  for (long n = 0; n < o.outputs; ++n) {
    const Vec<T> a = o.at(o.a, n), y = o.at(o.y, n);
    sum += a - y + y * (y > T(0) ? logarithm<T>(y) - o.at(o.z, n) : Vec<T>{});  // log a = z, and 0 · log 0 = 0
    o.put(o.g, n, a - y);
  }
  return sum;
}

template <class T>
INLINE Vec<T> loss_and_delta(Loss loss, Activation output, const Block<T>& o, Vec<T> log_sum) {
  switch (loss) {
    case Loss::binary_cross_entropy: return binary_cross_entropy(o);
    case Loss::cross_entropy: return cross_entropy(o, log_sum);
    case Loss::poisson: return poisson(o);
    default: break;
  }
  const Vec<T> sum = loss == Loss::quadratic              ? squares<T>(o, T(0.5))
                     : loss == Loss::squared_error        ? squares<T>(o, T(1))
                     : loss == Loss::mean_squared_error   ? squares<T>(o, T(1) / T(o.outputs))
                     : loss == Loss::absolute_error       ? absolute_errors(o)
                                                          : huber(o);
  through_activation(output, o);
  return sum;
}

template <class T>
INLINE Block<T> block_in(T* scratch, long outputs) {
  const long size = outputs * LANES<T>;
  return {outputs, scratch, scratch + size, scratch + 2 * size, scratch + 3 * size};
}

// g <- delta · scale of a block whose z and y are there, of rows from `first` on; their losses go to plan.row_losses.
template <class T>
INLINE void turned_block(const Block<T>& o, const Plan<T>& plan, const Layer<T>& layer, long first) {
  const Vec<T> log_sum = output_activation(layer.activation, o);
  const Vec<T> loss = loss_and_delta(plan.loss, layer.activation, o, log_sum);
  const Vec<T> scale = load(plan.row_scales + first);
  for (long n = 0; n < o.outputs; ++n) o.put(o.g, n, o.at(o.g, n) * scale);
  store(plan.row_losses + first, loss);
}

// z of the rows [first, first + rows), rows <= LANES, becomes delta · scale; their losses go to plan.row_losses.
template <class T>
INLINE void output_block_in(const Block<T>& o, const Plan<T>& plan, const Layer<T>& layer, long first, long rows) {
  turn(layer.output_rows + first, rows, o.outputs, o.z);
  turn(plan.target_rows + first, rows, o.outputs, o.y);
  turned_block(o, plan, layer, first);
  turn_back(o.g, rows, o.outputs, layer.deltas + first * layer.stride, layer.stride);
}

template <class T>
void output_block(const Plan<T>& plan, const Layer<T>& layer, T* scratch, long first, long rows) {
  if (layer.fan_out == 1) {  // this Block the compiler keeps in registers
    Vec<T> z, a, g, y;
    output_block_in<T>({1, (T*)&z, (T*)&a, (T*)&g, (T*)&y}, plan, layer, first, rows);
    return;
  }
  output_block_in<T>(block_in(scratch, layer.fan_out), plan, layer, first, rows);
}

// The same for a batch of one row whose z is in a register, as delta · scale then is too.
template <class T>
INLINE Vec<T> output_row(const Plan<T>& plan, const Layer<T>& layer, T* scratch, Vec<T> z) {
  if (layer.fan_out > 1) {
    output_block(plan, layer, scratch, 0, 1);
    return load(layer.deltas);
  }
  Vec<T> a, g, y = load(plan.target_rows[0]);
  turned_block<T>({1, (T*)&z, (T*)&a, (T*)&g, (T*)&y}, plan, layer, 0);
  const Vec<T> delta = with_lane<T>(Vec<T>{}, 0, g);
  store(layer.deltas, delta);
  return delta;
}

}  // namespace
