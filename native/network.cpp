// See network.hpp.
#include "network.hpp"

#include <algorithm>
#include <cstring>

namespace backlit {

template <class T>
Array<T>::Array(std::size_t count) {
  if (count > (std::size_t(1) << 46) / sizeof(T)) throw std::bad_alloc();  // also keeps the product below from overflowing
  const std::size_t bytes = std::max<std::size_t>(count, 1) * sizeof(T);
  numbers_.reset(static_cast<T*>(::operator new(bytes, std::align_val_t(64))));
  std::memset(static_cast<void*>(numbers_.get()), 0, bytes);
}

template <class T>
PackedNetwork<T>::PackedNetwork(const Specification& network, const Kernels<T>& kernels) : lanes_(kernels.lanes) {
  for (std::size_t l = 0; l < network.activations.size(); ++l) {
    Layer<T> layer{};
    layer.fan_in = network.sizes[l];
    layer.fan_out = network.sizes[l + 1];
    layer.activation = network.activations[l];
    lay_out(layer);
    layers_.push_back(layer);
  }
  plan_.narrow = std::all_of(layers_.begin(), layers_.end(), [](const Layer<T>& layer) {
    return layer.singles == 1 && layer.doubles == 0 && layer.strips == 0;
  });
  plan_.layer_count = static_cast<long>(layers_.size());
  plan_.layers = layers_.data();
  plan_.loss = network.loss;
}

template <class T>
void PackedNetwork<T>::lay_out(Layer<T>& layer) {
  const long width = 2 * lanes_, left = layer.fan_out % width;
  layer.doubles = layer.fan_out / width;
  const bool strips_pay = layer.fan_in >= width;
  const long strips = strips_pay && left % lanes_ <= most_strips(lanes_) ? left % lanes_ : 0;
  const long panel_columns = left - strips;
  layer.strips = strips;
  layer.singles = panel_columns > 0 && panel_columns <= lanes_;
  layer.doubles += panel_columns > lanes_;
  const long panels_width = layer.doubles * width + layer.singles * lanes_;

  layer.weights = packed_count_;
  layer.strip_start = layer.weights + layer.fan_in * panels_width;
  layer.strip_stride = round_up(layer.fan_in, lanes_);
  layer.biases = layer.strip_start + strips * layer.strip_stride;
  packed_count_ = round_up(layer.biases + round_up(layer.fan_out, lanes_), 64 / sizeof(T));
  parameter_count_ += (layer.fan_in + 1) * layer.fan_out;

  // Rows a multiple of 1 KiB apart would compete for a handful of cache sets.
  layer.stride = round_up(layer.fan_out, lanes_);
  if (layer.stride * sizeof(T) % 1024 == 0) layer.stride += 64 / sizeof(T);
}

// Calls visit(offset when packed, offset when flat, count) for all parameters, in runs that lie side by side in both.
template <class T>
template <class Visit>
void PackedNetwork<T>::each_run(Visit visit) const {
  const long width = 2 * lanes_;
  long flat = 0;
  for (const Layer<T>& layer : layers_) {
    const long panel_columns = layer.fan_out - layer.strips;
    for (long k = 0; k < layer.fan_in; ++k, flat += layer.fan_out) {
      for (long n = 0; n < panel_columns; n += width) {
        const long panel = n / width, panel_width = panel < layer.doubles ? width : lanes_;
        visit(layer.weights + panel * width * layer.fan_in + k * panel_width, flat + n,
              std::min(panel_width, panel_columns - n));
      }
      for (long c = 0; c < layer.strips; ++c)
        visit(layer.strip_start + c * layer.strip_stride + k, flat + panel_columns + c, 1);
    }
    visit(layer.biases, flat, layer.fan_out);
    flat += layer.fan_out;
  }
}

template <class T>
Array<T> PackedNetwork<T>::packed(const T* flat) const {
  Array<T> result(packed_count_);
  each_run([&](long at, long from, long count) { std::copy_n(flat + from, count, result.get() + at); });
  return result;
}

template <class T>
void PackedNetwork<T>::unpack(const T* packed, T* flat) const {
  each_run([&](long at, long to, long count) { std::copy_n(packed + at, count, flat + to); });
}

template <class T>
void PackedNetwork<T>::allocate(long batch) {
  rows_of_layers_.clear();
  row_tables_.clear();
  capacity_ = 0;  // until everything below is there
  const auto table = [&](const T* first, long stride) {
    Array<const T*> rows(batch);
    for (long b = 0; b < batch; ++b) rows[b] = first ? first + b * stride : nullptr;
    row_tables_.push_back(std::move(rows));
    return row_tables_.back().get();
  };
  const auto rows_of = [&](const Layer<T>& layer) {
    rows_of_layers_.emplace_back(std::size_t(batch) * layer.stride);
    return rows_of_layers_.back().get();
  };
  for (Layer<T>& layer : layers_) {
    const bool last = &layer == &layers_.back();
    layer.outputs = rows_of(layer);
    layer.deltas = last ? layer.outputs : rows_of(layer);  // z of the output layer is not needed once delta is known
    const bool keeps_slopes = layer.activation == Activation::gelu || layer.activation == Activation::softplus;
    layer.slopes = !last && keeps_slopes ? rows_of(layer) : nullptr;
    layer.output_rows = table(layer.outputs, layer.stride);
    layer.delta_rows = table(layer.deltas, layer.stride);
  }
  plan_.input_rows = table(nullptr, 0);
  plan_.next_rows = table(nullptr, 0);
  plan_.target_rows = table(nullptr, 0);
  row_scales_ = Array<T>(round_up(batch, lanes_));
  row_losses_ = Array<T>(round_up(batch, lanes_));
  plan_.row_scales = row_scales_.get();
  plan_.row_losses = row_losses_.get();
  row_squares_ = Array<T>(batch);
  plan_.row_squares = row_squares_.get();
  capacity_ = batch;
}

template <class T>
Plan<T>& PackedNetwork<T>::plan_for(long batch, long threads, bool measured) {
  if (batch > capacity_) allocate(batch);
  if (threads > static_cast<long>(scratch_.size())) {
    long widest = 0;
    for (const Layer<T>& layer : layers_) widest = std::max(widest, layer.fan_out);
    // A block of the output layer (four arrays, a register per output), or a transposed panel (two registers).
    scratch_of_thread_.reserve(threads);
    plan_.scratch = scratch_of_thread_.data();
    places_of_thread_.reserve(threads);
    plan_.places = places_of_thread_.data();
    while (static_cast<long>(scratch_.size()) < threads) {
      places_.emplace_back(std::size_t(layers_.front().fan_in + lanes_));
      scratch_.emplace_back(std::size_t(4) * widest * lanes_);
      places_of_thread_.push_back(places_.back().get());
      scratch_of_thread_.push_back(scratch_.back().get());
    }
  }
  plan_.squares = nullptr;
  if (measured) {
    while (threads > static_cast<long>(squares_.size())) {
      squares_.emplace_back(std::size_t(lanes_));
      squares_of_thread_.push_back(squares_.back().get());
    }
    plan_.squares = squares_of_thread_.data();
  }
  plan_.batch = batch;
  return plan_;
}

template class Array<float>;
template class Array<double>;
template class Array<int>;
template class Array<const float*>;
template class Array<const double*>;
template class PackedNetwork<float>;
template class PackedNetwork<double>;

}  // namespace backlit
