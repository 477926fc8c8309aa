// One training step from end to end, and the forward pass alone. Every thread runs `step` over its own share; a share is
// always a set of outputs, never a part of a sum, so the bits do not depend on the number of threads.
#pragma once
#include "activations.hpp"
#include "losses.hpp"
#include "sparse.hpp"

namespace {

template <class T>
INLINE void meet(const Plan<T>& plan, long threads) {
  if (threads > 1) plan.meeting.wait(plan.meeting.place);
}

// Panel `panel` of one layer (the strip columns count as the last one): z of the rows [first, last).
template <class T>
INLINE void panel_outputs(const Plan<T>& plan, const Layer<T>& layer, const T* const* a, long panel, long first,
                          long last) {
  const long column = panel * 2 * LANES<T>;
  if (panel == layer.doubles + layer.singles) return strip_product(a, layer, plan.parameters, first, last);
  product_panel(a, plan.parameters + layer.weights + column * layer.fan_in, panel < layer.doubles ? 2 : 1, layer.fan_in,
                plan.parameters + layer.biases + column, layer.outputs + column, layer.stride, first, last);
}

template <class T>
INLINE long panel_count(const Layer<T>& layer) {
  return layer.doubles + layer.singles + (layer.strips > 0);
}

template <class T>
void hidden_forward(const Plan<T>& plan, long l, long thread, long threads) {
  const Layer<T>& layer = plan.layers[l];
  const T* const* a = l ? plan.layers[l - 1].output_rows : plan.input_rows;
  const auto activate = activate_pass<T>(layer.activation);
  if (l == 0 && plan.sparse) {
    const auto [first, last] = part({0, plan.batch}, thread, threads);
    sparse_outputs(plan, thread, first, last);
    activate(layer, 0, round_up(layer.fan_out, LANES<T>), first, last);
    return;
  }
  const long doubles = layer.doubles, others = panel_count(layer) - doubles;
  each_panel(doubles, others, plan.batch, thread, threads, [&](long panel, long first, long last) INLINED {
    const long begin = panel < doubles + layer.singles ? panel * 2 * LANES<T> : layer.fan_out - layer.strips;
    const long end = panel < doubles ? begin + 2 * LANES<T> : begin + LANES<T>;
    panel_outputs(plan, layer, a, panel, first, last);
    activate(layer, begin, end, first, last);
  });
}

// This thread's rows, in whole registers of rows.
template <class T>
INLINE Range my_rows(long batch, long thread, long threads) {
  const Range blocks = part({0, (batch + LANES<T> - 1) / LANES<T>}, thread, threads);
  const long end = blocks.end * LANES<T>;
  return {blocks.begin * LANES<T>, end < batch ? end : batch};
}

// Calls each(first, rows) for a range of rows, at most LANES rows at a time.
template <class T, class Each>
INLINE void each_block(Range rows, Each each) {
  for (long first = rows.begin; first < rows.end; first += LANES<T>) {
    const long left = rows.end - first;
    each(first, left < LANES<T> ? left : LANES<T>);
  }
}

// z of the output layer for a range of rows.
template <class T>
INLINE void output_sums(const Plan<T>& plan, long thread, Range rows) {
  const long l = plan.layer_count - 1;
  if (l == 0 && plan.sparse) return sparse_outputs(plan, thread, rows.begin, rows.end);
  const Layer<T>& layer = plan.layers[l];
  const T* const* a = l ? plan.layers[l - 1].output_rows : plan.input_rows;
  for (long panel = 0; panel < panel_count(layer); ++panel)
    panel_outputs(plan, layer, a, panel, rows.begin, rows.end);
}

// wide[n][0..width) <- column n of W for the inputs [first, first + width): one panel of Wᵀ. Inputs from fan_in on: zero.
template <class T>
void transposed_panel(const Plan<T>& plan, const Layer<T>& layer, long first, long width, T* wide) {
  if (layer.fan_out <= FEW_OUTPUTS<T> && layer.singles && layer.fan_in <= width) {  // the same, number by number
    const T* w = plan.parameters + layer.weights;
    for (long n = 0; n < layer.fan_out; ++n)
      for (long k = 0; k < width; k += LANES<T>) {
        Vec<T> column = {};
        const long left = layer.fan_in - k, count = left < LANES<T> ? left : LANES<T>;
        for (long i = 0; i < count; ++i) column = with_lane<T>(column, i, w[(k + i) * LANES<T> + n]);
        store(wide + n * width + k, column);
      }
    return;
  }
  for (long n = 0; n < layer.fan_out - layer.strips; n += LANES<T>) {
    const long panel = n / (2 * LANES<T>), registers = panel < layer.doubles ? 2 : 1;
    const T* w = plan.parameters + layer.weights + panel * 2 * LANES<T> * layer.fan_in + n % (2 * LANES<T>);
    for (long k = 0; k < width; k += LANES<T>) {
      Vec<T> square[LANES<T>];
      for (long i = 0; i < LANES<T>; ++i) {
        const long row = first + k + i;
        square[i] = row < layer.fan_in ? load(w + row * registers * LANES<T>) : Vec<T>{};
      }
      transpose<T>(square);
      for (long i = 0; i < LANES<T> && n + i < layer.fan_out; ++i) store(wide + (n + i) * width + k, square[i]);
    }
  }
  for (long c = 0; c < layer.strips; ++c)
    for (long k = 0; k < width; k += LANES<T>)
      store(wide + (layer.fan_out - layer.strips + c) * width + k,
            load(plan.parameters + layer.strip_start + c * layer.strip_stride + first + k));
}

// deltas of the layer below: (delta · Wᵀ) ∘ slope, panel by panel of its units.
template <class T>
void delta_below(const Plan<T>& plan, long l, long thread, long threads) {
  const Layer<T>& layer = plan.layers[l];
  const Layer<T>& below = plan.layers[l - 1];
  const auto multiply_slopes = slopes_pass<T>(below.activation);
  T* wide = plan.scratch[thread];
  const long all_registers = (below.fan_out + LANES<T> - 1) / LANES<T>;
  const auto part_of_panel = [&](long panel, long first, long last) INLINED {
    const long begin = panel * 2 * LANES<T>;
    const long registers = below.fan_out - begin > LANES<T> ? 2 : 1, width = registers * LANES<T>;
    transposed_panel(plan, layer, begin, width, wide);
    product_panel<T>(layer.delta_rows, wide, registers, layer.fan_out, nullptr, below.deltas + begin, below.stride,
                     first, last);
    multiply_slopes(below, begin, begin + width, first, last);
  };
  each_panel(all_registers / 2, all_registers % 2, plan.batch, thread, threads, part_of_panel);
}

// Σ a(k) · row k of w (depth, one register): product_tile for one row, summed in the same order.
template <class T, class A>
INLINE Vec<T> narrow_product(A a, const T* w, long depth) {
  Vec<T> sum = {};
  for (long k = 0; k < depth; ++k) sum += a(k) * load(w + k * LANES<T>);
  return sum;
}

// A whole step of one row where every layer fits one register: so little arithmetic that calls and loops over tiles would
// take most of the time. What one layer hands to the next stays in a register: through memory it would come a dozen
// cycles later, every time. It is stored for those who read it afterwards.
template <class T, Optimizer KIND>
void narrow_step(const Plan<T>& plan) {
  const long last = plan.layer_count - 1;
  const Parameters<T> all = {plan.parameters, plan.slots[0], plan.slots[1]};
  const T* x = plan.input_rows[0];
  Vec<T> a = {};
  for (long l = 0; l <= last; ++l) {
    const Layer<T>& layer = plan.layers[l];
    const T* w = plan.parameters + layer.weights;
    a = l ? narrow_product<T>([=](long k) INLINED { return splat_lane<T>(a, k); }, w, layer.fan_in)
          : narrow_product<T>([=](long k) INLINED { return splat(x[k]); }, w, layer.fan_in);
    a += load(plan.parameters + layer.biases);
    if (l < last) a = with_activation<T>(layer.activation, [&](auto f) INLINED { return f.value(a, layer.slopes); });
    store(layer.outputs, a);
  }
  Vec<T> delta = output_row(plan, plan.layers[last], plan.scratch[0], a);
  for (long l = last; l >= 0; --l) {
    const Layer<T>& layer = plan.layers[l];
    const T* inputs = l ? plan.layers[l - 1].outputs : x;
    Vec<T> next = {};
    if (l) {
      const Layer<T>& below = plan.layers[l - 1];
      transposed_panel(plan, layer, 0, LANES<T>, plan.scratch[0]);
      const Vec<T> slope = with_activation<T>(
          below.activation, [&](auto f) INLINED { return f.slope(below.outputs, below.slopes); });
      const auto product = narrow_product<T>([=](long n) INLINED { return splat_lane<T>(delta, n); }, plan.scratch[0],
                                             layer.fan_out);
      store(below.deltas, next = product * slope);
    }
    for (long k = 0; k < layer.fan_in; ++k) {
      Vec<T> gradient = inputs[k] * delta;
      apply_to_weights<T, KIND, 1>(&gradient, all + (layer.weights + k * LANES<T>), plan.rule);
    }
    apply<T, KIND>(delta, all + layer.biases, plan.rule, T(0));
    delta = next;
  }
}

// This thread's share of one layer's update.
template <class T, Optimizer KIND>
void update_layer(const Plan<T>& plan, long l, long thread, long threads) {
  const Layer<T>& layer = plan.layers[l];
  const T* const* a = l ? plan.layers[l - 1].output_rows : plan.input_rows;
  T* const values = KIND == Optimizer::none ? plan.gradient : plan.parameters;
  const Parameters<T> all = {values, plan.slots[0], plan.slots[1]};
  if (l == 0 && plan.sparse)
    update_sparse_panels<T, KIND>(plan, all, thread, threads);
  else
    update_panels<T, KIND>(plan, layer, a, all, thread, threads);
  if (layer.strips && thread == 0) {
    using Sizes = Indices<__integer_pack(STRIP_SIZES<T>)...>;
    const PanelUpdate<T> u = {a, layer.delta_rows, layer.fan_out - layer.strips, plan.batch,
                              all + layer.strip_start, begun_at(plan, layer.strip_start), plan.rule};
    update_strips_of<T, KIND>(layer.strips, Sizes{})(u, layer.fan_in, layer.strip_stride);
  }
  if (thread == threads - 1)
    update_biases<T, KIND>(layer.delta_rows, layer.fan_out, plan.batch, all + layer.biases,
                           begun_at(plan, layer.biases), plan.rule);
}

template <class T>
INLINE void update(const Plan<T>& plan, long l, long thread, long threads) {
  const auto run = plan.rule.optimizer == Optimizer::none       ? update_layer<T, Optimizer::none>
                   : plan.rule.optimizer == Optimizer::sgd      ? update_layer<T, Optimizer::sgd>
                   : plan.rule.optimizer == Optimizer::momentum ? update_layer<T, Optimizer::momentum>
                                                                : update_layer<T, Optimizer::adam>;
  run(plan, l, thread, threads);
}

// W of a layer moves only after the deltas below have been taken from the old W.
template <class T>
void step(const Plan<T>& plan, long thread, long threads) {
  if (plan.narrow && plan.batch == 1) {
    const auto run = plan.rule.optimizer == Optimizer::sgd        ? narrow_step<T, Optimizer::sgd>
                     : plan.rule.optimizer == Optimizer::momentum ? narrow_step<T, Optimizer::momentum>
                                                                  : narrow_step<T, Optimizer::adam>;
    if (thread == 0) run(plan);
    return;
  }
  const long last = plan.layer_count - 1;
  for (long l = 0; l < last; ++l) {
    hidden_forward(plan, l, thread, threads);
    meet(plan, threads);
  }
  const Range rows = my_rows<T>(plan.batch, thread, threads);
  output_sums(plan, thread, rows);
  each_block<T>(rows, [&](long first, long rows) {
    output_block(plan, plan.layers[last], plan.scratch[thread], first, rows);
  });
  meet(plan, threads);
  for (long l = last; l >= 0; --l) {
    if (l) {
      delta_below(plan, l, thread, threads);
      meet(plan, threads);
    }
    update(plan, l, thread, threads);
  }
}

// out (batch, fan_out of the last layer) <- activations of the output layer. One thread.
template <class T>
void forward(const Plan<T>& plan, T* out) {
  const Layer<T>& layer = plan.layers[plan.layer_count - 1];
  for (long l = 0; l + 1 < plan.layer_count; ++l) hidden_forward(plan, l, 0, 1);
  output_sums(plan, 0, {0, plan.batch});
  each_block<T>({0, plan.batch}, [&](long first, long rows) {
    const Block<T> o = block_in(plan.scratch[0], layer.fan_out);
    turn(layer.output_rows + first, rows, o.outputs, o.z);
    output_activation(layer.activation, o);
    for (long n = 0; n < o.outputs; ++n)
      for (long r = 0; r < rows; ++r) out[(first + r) * o.outputs + n] = o.a[n * LANES<T> + r];
  });
}

}  // namespace
