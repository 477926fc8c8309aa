// What the engine and the kernels agree on: the numbers of a step, where every array lies, and how weights are packed.
// Plain structs only: this header is compiled once per instruction set and must not bring any code along.
//
// Packing of one layer's weights, W (fan_in, fan_out): the columns are cut into double panels (two registers wide, the
// last one padded with zeros where needed), at most one single panel (one register), and at most a few strip columns.
// A panel is stored row by row, [fan_in][width]; a strip column is stored along fan_in, so that a few left-over outputs
// do not cost a whole register each. Biases follow, in their own order. The optimizer's slots are packed the same way.
#pragma once

namespace backlit {

enum class Activation { sigmoid, tanh, relu, leaky_relu, gelu, softplus, linear, softmax, exp };
enum class Loss {
  quadratic,
  squared_error,
  mean_squared_error,
  absolute_error,
  huber,
  binary_cross_entropy,
  cross_entropy,
  poisson
};
enum class Optimizer { none, sgd, momentum, adam };  // none: the gradient is summed up and nothing moves

// How one parameter moves, for one step; see Optimizer rules in kernels/update.hpp.
template <class T>
struct Rule {
  Optimizer optimizer;
  bool nesterov;
  T rate, momentum;        // sgd knows no rate: its gradients arrive multiplied by it, Plan::row_scales
  T take1, keep2, take2;   // 1 - beta1, beta2, 1 - beta2
  T scale, epsilon;        // of the moments as they are: the corrections for t are in these two
  T l2, decay;             // both of weights only: what is added to the gradient, and taken from W, is so many times W
  T* squares;              // one register: the squares of the reduced gradient, without L2, are added to it; or null
};

template <class T>
struct Layer {
  long fan_in, fan_out;
  Activation activation;
  long doubles, singles, strips;       // double panels, single panels (0 or 1), strip columns
  long weights, strip_start, biases;   // offsets into the parameters and into each slot
  long strip_stride;                   // numbers from one strip column to the next: fan_in, padded
  long stride;                         // numbers from one row to the next in the three arrays below; fan_out, padded
  T* outputs;                          // (batch, stride): z, then a; the padding holds anything
  T* slopes;                           // (batch, stride): da/dz where a alone does not give it, else null
  T* deltas;                           // (batch, stride): ∂loss/∂z times the row's scale; likewise
  const T** output_rows;               // (batch): where each row of outputs begins
  const T** delta_rows;                // (batch)
};

// A place where the threads of one step wait for each other; with one thread nobody is called.
struct Meeting {
  void (*wait)(void* place);
  void* place;
};

template <class T>
struct Plan {
  long layer_count;
  Layer<T>* layers;
  Loss loss;
  bool narrow;             // every layer is one single panel
  bool sparse;             // the first layer leaves zeros of x out: the same bits, sooner where there are many
  long batch;              // rows of this step, or of this piece of it
  T* parameters;           // packed, all layers
  T* slots[2];             // same packing; where the optimizer has none, = parameters, untouched
  T* gradient;             // same packing: its sum over the pieces of a batch; unused where the batch is one piece
  const T* begun;          // = gradient from the second piece on, null in the first one
  const T** input_rows;    // (batch): rows of x, fan_in of the first layer each
  const T** next_rows;     // (batch): those of the next step or piece, to be fetched from memory meanwhile
  const T** target_rows;   // (batch): rows of y, padded to whole registers
  T* row_scales;           // (batch): of its delta: sample weight and reduction, and for sgd the rate
  T* row_losses;           // (batch): loss of each row, before sample weight and reduction
  Rule<T> rule;
  T** scratch;             // one array per thread, for a block of outputs or a panel turned
  int** places;            // one array per thread: room for fan_in of the first layer and a register more
  T** squares;             // one register per thread for Rule::squares; null where nobody asked
  T* row_squares;          // (batch): ‖g‖² of each row, of the scaled deltas
  Meeting meeting;
};

// The kernels of one instruction set.
template <class T>
struct Kernels {
  long lanes;                                                  // numbers per register
  long sparse_outputs;                                         // of a first layer for which Plan::sparse pays
  void (*step)(const Plan<T>&, long thread, long threads);     // forward, losses, backward, update
  void (*measured_step)(const Plan<T>&, long thread, long threads);  // the same, and row_squares and squares
  void (*forward)(const Plan<T>&, T* out);                     // out (batch, fan_out of the last layer)
  void (*backward)(const Plan<T>&);                            // forward, losses, deltas, row_squares; no update
  double (*squared_weights)(const Plan<T>&);                   // ‖W‖² of all layers as they stand
  double (*burn)(long rounds);  // multiply-adds only, to measure the peak; the number of operations done
};

struct KernelSet {
  const char* name;
  Kernels<float> single;
  Kernels<double> twice;
};

constexpr long round_up(long n, long unit) { return (n + unit - 1) / unit * unit; }

// More left-over columns than this are cheaper in a padded register of their own.
constexpr long most_strips(long lanes) { return lanes / 4; }

// Batches of more rows are never treated as sparse.
constexpr long most_sparse_rows = 256;

}  // namespace backlit
