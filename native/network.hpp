// A network as the core sees it: its specification, where its parameters lie when packed, and the buffers of a batch.
// Steps are engine.hpp; the packed layout itself is described in plan.hpp.
#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan.hpp"

namespace backlit {

// Becomes backlit.errors.BadInput in Python. Nothing was changed when it is thrown.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Specification {
  std::vector<long> sizes;  // units of the input and of every layer
  std::vector<Activation> activations;  // one per layer with weights
  Loss loss;
  bool mean;  // reduction over the batch: mean or sum
  long widest() const { return *std::max_element(sizes.begin(), sizes.end()); }
};

// `count` numbers, zero, at the start of a cache line.
template <class T>
class Array {
 public:
  Array() = default;
  explicit Array(std::size_t count);
  T* get() const { return numbers_.get(); }
  T& operator[](std::size_t i) const { return numbers_[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<T[], Free> numbers_;
};

template <class T>
class PackedNetwork {
 public:
  PackedNetwork(const Specification& network, const Kernels<T>& kernels);

  // The plan for steps or pieces of `batch` rows; allocates only where an earlier batch was smaller. measured: with room
  // for the squares of gradients (Plan::squares).
  Plan<T>& plan_for(long batch, long threads, bool measured = false);

  // flat: per layer W (fan_in, fan_out) in C order, then b (fan_out)
  Array<T> packed(const T* flat) const;
  void unpack(const T* packed, T* flat) const;
  Array<T> zeros() const { return Array<T>(packed_count_); }  // packed

  long parameter_count() const { return parameter_count_; }
  long first_outputs() const { return layers_.front().fan_out; }
  long padded_outputs() const { return round_up(layers_.back().fan_out, lanes_); }

 private:
  void lay_out(Layer<T>& layer);
  void allocate(long batch);
  template <class Visit>
  void each_run(Visit visit) const;

  const long lanes_;
  std::vector<Layer<T>> layers_;
  long parameter_count_ = 0, packed_count_ = 0;
  long capacity_ = 0;
  std::vector<Array<T>> rows_of_layers_, scratch_;
  std::vector<Array<const T*>> row_tables_;
  Array<T> row_scales_, row_losses_, row_squares_;
  std::vector<Array<T>> squares_;
  std::vector<Array<int>> places_;
  std::vector<T*> scratch_of_thread_, squares_of_thread_;
  std::vector<int*> places_of_thread_;
  Plan<T> plan_{};
};

}  // namespace backlit
