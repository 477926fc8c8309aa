// An engine: packed parameters and slots, the training data's addresses, and the loop over the steps of one call.
// The arithmetic of a step is in kernels/; Python is not known here.
#pragma once
#include <atomic>
#include <deque>
#include <optional>
#include <vector>

#include "network.hpp"
#include "pace.hpp"
#include "threads.hpp"

namespace backlit {

// How the optimizer is set, in the terms of backlit.optimizers; its slots are counted in slot_count.
struct OptimizerSettings {
  Optimizer kind;
  double momentum, beta1, beta2, epsilon, l2, weight_decay;
  bool nesterov, l2_over_batch, raw_epsilon;
  long slot_count() const { return kind == Optimizer::adam ? 2 : kind == Optimizer::momentum ? 1 : 0; }
};

// A call's batches. x (·, n_in): row x_rows[i] belongs to row data_rows[i] of the targets and sample weights; the two
// differ where the caller has gathered the rows of x itself. Both (steps, batch).
template <class T>
struct Batches {
  const T* x;
  const long *x_rows, *data_rows;
  const double* rates;  // (steps)
  long steps, batch;
};

struct Span {
  long first, count;
};

// What a call writes down. losses (steps): the reduced loss of each batch before its update. squares (steps, 2), or null:
// of each batch Σ ‖c_i·g_i‖² and ‖Σ c_i·g_i‖² over its rows i, with c_i the sample weight times the reduction, without L2.
// squared_weights (steps), or null: ‖W‖² before the update.
struct Told {
  double *losses, *squares, *squared_weights;
};

// How far a call has come. A large batch is gone through in pieces, so that what they hand on stays in the cache, and so
// that a call may end between two of them: nothing moves before the last one.
struct Place {
  long step = 0, piece = 0;      // the next to be done
  double weight_sum = 0;         // of the step's batch, once its first piece is begun
  double loss = 0, squares = 0;  // of the pieces done: the reduced loss, and the squares of the rows' gradients
};

template <class T>
class Engine {
 public:
  // parameters, slots[i]: flat, as PackedNetwork::packed wants them. targets (rows, n_out); weights (rows) or null.
  // update: number of updates since the slots were zero. threads: 0 for as many as pay.
  Engine(const Specification& network, const OptimizerSettings& optimizer, const T* parameters, const T* const* slots,
         long update, const T* targets, const T* weights, long rows, long threads);

  // Goes on from `place`, to the end of the batches or until `seconds` are over. One place at a time: where it is given up
  // in the middle of a step, that step has not been.
  void advance(const Batches<T>& batches, Place& place, const Told& told, double seconds);

  void parameters(T* flat) const { network_.unpack(parameters_.get(), flat); }
  void slot(long i, T* flat) const { network_.unpack(slots_[i].get(), flat); }
  long parameter_count() const { return network_.parameter_count(); }
  long slot_count() const { return optimizer_.slot_count(); }
  long updates() const { return update_; }
  long rows() const { return rows_; }
  long inputs() const { return inputs_; }

 private:
  void find_rows(const Batches<T>& batches, long step, Span some, const T** rows) const;
  Span piece_of(long batch, long piece) const;
  void prepare(Plan<T>& plan, const Batches<T>& batches, Place& place);
  void account(const Plan<T>& plan, long threads, Place& place, const Told& told);
  void set_rule(Rule<T>& rule, double rate, double weight_sum);
  void run(Plan<T>& plan, const Batches<T>& batches, Place& place, const Told& told, double seconds, long threads);
  double work_of(long rows) const;
  long threads_for(long batch, double worth, long cores) const;
  bool has_many_zeros(const Batches<T>& batches, long step) const;

  const Kernels<T>& kernels_;
  PackedNetwork<T> network_;
  const OptimizerSettings optimizer_;
  const bool mean_;
  const long inputs_, rows_, threads_;
  Array<T> parameters_, targets_;
  Array<T> gradient_;  // packed, for batches of several pieces; empty before the first of them
  std::vector<Array<T>> slots_;
  std::optional<Array<T>> weights_;
  long update_;
  long pieces_ = 1;  // of each batch, until a step begins in another call
  // Of the piece being run: what each row counts for in its loss, and what the deltas carry besides.
  std::vector<double> shares_;
  double delta_factor_ = 1;
  Pace pace_;
};

// out (rows, n_out) <- outputs of the network for x (rows, n_in). Each row as if it were alone, whatever the threads.
template <class T>
class Predictor {
 public:
  // threads: 0 for as many as pay for `rows` rows.
  Predictor(const Specification& network, const T* parameters, long rows, long threads);
  void run(const T* x, long rows, T* out);
  // The loss of each row (rows) and ‖g‖² of its gradient (rows), before sample weights; one thread. targets (rows, n_out).
  void examples(const T* x, const T* targets, long rows, double* losses, double* squares);
  long inputs() const { return inputs_; }
  long outputs() const { return outputs_; }
  long most_rows() const { return most_rows_; }  // of one call of run, so that it ends soon
  long most_examples() const { return block_; }  // of one call of examples

 private:
  const Kernels<T>& kernels_;
  const long inputs_, outputs_;
  std::deque<PackedNetwork<T>> networks_;  // one for each thread: their buffers
  Array<T> parameters_;
  long block_, most_rows_;
};

// What one processor core can do at best: multiply-adds in registers, in billions of operations a second.
template <class T>
double measured_peak();

}  // namespace backlit
