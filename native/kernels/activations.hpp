// The activations of hidden layers and their derivatives, side by side. Output activations belong to losses.hpp.
#pragma once
#include "functions.hpp"

namespace {

// Each activation: value(z) and slope(a), the derivative told by the value; or, where a does not tell it,
// value(z, slope) giving both.
template <class T>
struct Sigmoid {
  static constexpr bool keeps_slope = false;
  static INLINE Vec<T> value(Vec<T> z) { return logistic<T>(z); }
  static INLINE Vec<T> slope(Vec<T> a) { return a * (T(1) - a); }
};
template <class T>
struct Tanh {
  static constexpr bool keeps_slope = false;
  static INLINE Vec<T> value(Vec<T> z) { return hyperbolic_tangent<T>(z); }
  static INLINE Vec<T> slope(Vec<T> a) { return T(1) - a * a; }
};
template <class T>
struct Relu {
  static constexpr bool keeps_slope = false;
  static INLINE Vec<T> value(Vec<T> z) { return z < T(0) ? Vec<T>{} : z; }
  static INLINE Vec<T> slope(Vec<T> a) { return a > T(0) ? splat(T(1)) : Vec<T>{}; }
};
template <class T>
struct LeakyRelu {
  static constexpr bool keeps_slope = false;
  static INLINE Vec<T> value(Vec<T> z) { return z < T(0) ? T(0.01) * z : z; }
  static INLINE Vec<T> slope(Vec<T> a) { return a > T(0) ? splat(T(1)) : splat(T(0.01)); }
};
template <class T>
struct Linear {
  static constexpr bool keeps_slope = false;
  static INLINE Vec<T> value(Vec<T> z) { return z; }
  static INLINE Vec<T> slope(Vec<T>) { return splat(T(1)); }
};
template <class T>
struct Gelu {
  static constexpr bool keeps_slope = true;
  static INLINE Vec<T> value(Vec<T> z, Vec<T>& slope) {
    const Normal<T> n = normal<T>(z);
    slope = n.below + z * n.density;
    return z * n.below;
  }
};
template <class T>
struct Softplus {
  static constexpr bool keeps_slope = true;
  static INLINE Vec<T> value(Vec<T> z, Vec<T>& slope) {
    slope = logistic<T>(z);
    return soft_plus<T>(z);
  }
};

// z -> a in place, columns [begin, end) of rows [first, last). Columns from fan_out on are padding: they hold anything,
// and whoever reads rows beyond single numbers has to stop at fan_out (load_first).
template <class T, template <class> class F>
void activate_with(const Layer<T>& layer, long begin, long end, long first, long last) {
  for (long r = first; r < last; ++r) {
    T* row = layer.outputs + r * layer.stride;
    for (long c = begin; c < end; c += LANES<T>) {
      Vec<T> a = load(row + c);
      if constexpr (F<T>::keeps_slope) {
        Vec<T> slope;
        a = F<T>::value(a, slope);
        store(layer.slopes + r * layer.stride + c, slope);
      } else {
        a = F<T>::value(a);
      }
      store(row + c, a);
    }
  }
}

// ∂loss/∂a -> ∂loss/∂z in place, the same columns and rows.
template <class T, template <class> class F>
void multiply_slopes_of(const Layer<T>& layer, long begin, long end, long first, long last) {
  for (long r = first; r < last; ++r) {
    T* delta = layer.deltas + r * layer.stride;
    for (long c = begin; c < end; c += LANES<T>) {
      Vec<T> slope;
      if constexpr (F<T>::keeps_slope)
        slope = load(layer.slopes + r * layer.stride + c);
      else
        slope = F<T>::slope(load(layer.outputs + r * layer.stride + c));
      store(delta + c, load(delta + c) * slope);
    }
  }
}

template <class T>
using ActivationPass = void (*)(const Layer<T>&, long, long, long, long);

template <class T>
struct ActivationPair {
  ActivationPass<T> activate, multiply_slopes;
};

template <class T, template <class> class F>
constexpr ActivationPair<T> pair_of = {activate_with<T, F>, multiply_slopes_of<T, F>};

template <class T>
INLINE const ActivationPair<T>& activation(Activation name) {
  switch (name) {
    case Activation::sigmoid: return pair_of<T, Sigmoid>;
    case Activation::tanh: return pair_of<T, Tanh>;
    case Activation::relu: return pair_of<T, Relu>;
    case Activation::leaky_relu: return pair_of<T, LeakyRelu>;
    case Activation::gelu: return pair_of<T, Gelu>;
    case Activation::softplus: return pair_of<T, Softplus>;
    default: return pair_of<T, Linear>;
  }
}

}  // namespace
