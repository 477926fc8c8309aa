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

// a from z; the derivative goes to `slopes` where a does not tell it.
template <class T, template <class> class F>
INLINE Vec<T> value_of(Vec<T> z, T* slopes) {
  if constexpr (F<T>::keeps_slope) {
    Vec<T> slope;
    z = F<T>::value(z, slope);
    store(slopes, slope);
    return z;
  } else {
    return F<T>::value(z);
  }
}

// The derivative, of what value_of left: a, or the slope itself.
template <class T, template <class> class F>
INLINE Vec<T> slope_of(const T* a, const T* slopes) {
  if constexpr (F<T>::keeps_slope)
    return load(slopes);
  else
    return F<T>::slope(load(a));
}

// z -> a in place, columns [begin, end) of rows [first, last). Columns from fan_out on are padding: they hold anything,
// and whoever reads rows beyond single numbers has to stop at fan_out (load_first).
template <class T, template <class> class F>
void activate_with(const Layer<T>& layer, long begin, long end, long first, long last) {
  for (long r = first; r < last; ++r) {
    T* row = layer.outputs + r * layer.stride;
    for (long c = begin; c < end; c += LANES<T>) {
      store(row + c, value_of<T, F>(load(row + c), layer.slopes + r * layer.stride + c));
    }
  }
}

// ∂loss/∂a -> ∂loss/∂z in place, the same columns and rows.
template <class T, template <class> class F>
void multiply_slopes_of(const Layer<T>& layer, long begin, long end, long first, long last) {
  for (long r = first; r < last; ++r) {
    T* delta = layer.deltas + r * layer.stride;
    for (long c = begin; c < end; c += LANES<T>) {
      const long at = r * layer.stride + c;
      store(delta + c, load(delta + c) * slope_of<T, F>(layer.outputs + at, layer.slopes + at));
    }
  }
}

template <class T>
using ActivationPass = void (*)(const Layer<T>&, long, long, long, long);

template <class T, template <class> class F>
struct Named {
  static constexpr ActivationPass<T> activate = activate_with<T, F>, multiply_slopes = multiply_slopes_of<T, F>;
  static INLINE Vec<T> value(Vec<T> z, T* slopes) { return value_of<T, F>(z, slopes); }
  static INLINE Vec<T> slope(const T* a, const T* slopes) { return slope_of<T, F>(a, slopes); }
};

// use(activation), a Named
template <class T, class Use>
INLINE auto with_activation(Activation name, Use use) {
  switch (name) {
    case Activation::sigmoid: return use(Named<T, Sigmoid>{});
    case Activation::tanh: return use(Named<T, Tanh>{});
    case Activation::relu: return use(Named<T, Relu>{});
    case Activation::leaky_relu: return use(Named<T, LeakyRelu>{});
    case Activation::gelu: return use(Named<T, Gelu>{});
    case Activation::softplus: return use(Named<T, Softplus>{});
    default: return use(Named<T, Linear>{});
  }
}

template <class T>
INLINE ActivationPass<T> activate_pass(Activation name) {
  return with_activation<T>(name, [](auto f) { return f.activate; });
}

template <class T>
INLINE ActivationPass<T> slopes_pass(Activation name) {
  return with_activation<T>(name, [](auto f) { return f.multiply_slopes; });
}

}  // namespace
