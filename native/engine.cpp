// See engine.hpp.
#include "engine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "dispatch.hpp"

namespace backlit {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Multiply-adds per thread and step from which on a further thread saves more than the meetings cost; and from which on
// it may, which then is tried. Smaller steps would gain too, but less than a second training beside them does.
constexpr double WORTH_A_THREAD = 3e6, WORTH_A_TRIAL = 1.6e6;
// Rows of a piece for each thread: so many that reading the weights and the gradient once more is a small part of it.
constexpr long PIECE_ROWS = 768;
// A thread for predicting is made anew for each call of run.
constexpr double WORTH_A_PREDICTING_THREAD = 1e7;
// Rows of a block, so that the outputs of wide layers stay in the cache; and multiply-adds between two looks for Ctrl-C.
constexpr long PREDICTED_ROWS = 240;
constexpr double PREDICTED_AT_ONCE = 1e9;
// A smaller rate would push the squares of deltas below the normal numbers of float32.
constexpr double SMALLEST_CARRIED = 1e-12;
// The clock is looked at about this often, in multiply-adds: some 20 µs, so that tiny steps don't pay for it.
constexpr double BETWEEN_LOOKS = 1e6;
// Leaving zeros of x out pays up to this share of other numbers, and from so many inputs on. A few rows tell.
constexpr double SPARSE_SHARE = 0.4;
constexpr long SPARSE_INPUTS = 64, SPARSE_SAMPLE = 8;

// Engines of this process that take steps now: training in several Python threads shares the cores.
std::atomic<long> at_work{0};

#if defined(__unix__) || defined(__APPLE__)
// A forked child has one thread, and it is in no engine.
const int forgetting = pthread_atfork(nullptr, nullptr, [] { at_work = 0; });
#endif

struct AtWork {
  AtWork() { ++at_work; }
  ~AtWork() { --at_work; }
};

template <class T>
Array<T> padded_rows(const T* from, long rows, long columns, long stride) {
  Array<T> to(std::size_t(rows) * stride);
  for (long r = 0; r < rows; ++r) std::copy_n(from + r * columns, columns, to.get() + r * stride);
  return to;
}

}  // namespace

template <class T>
Engine<T>::Engine(const Specification& network, const OptimizerSettings& optimizer, const T* parameters,
                  const T* const* slots, long update, const T* targets, const T* weights, long rows, long threads)
    : kernels_(kernels_for<T>(network.widest())),
      network_(network, kernels_),
      optimizer_(optimizer),
      mean_(network.mean),
      inputs_(network.sizes.front()),
      rows_(rows),
      threads_(threads),
      parameters_(network_.packed(parameters)),
      targets_(padded_rows(targets, rows, network.sizes.back(), network_.padded_outputs())),
      update_(update) {
  for (long i = 0; i < optimizer.slot_count(); ++i) slots_.push_back(network_.packed(slots[i]));
  if (weights) weights_ = padded_rows(weights, rows, 1, 1);
}

template <class T>
void Engine<T>::set_rule(Rule<T>& rule, double rate, double weight_sum) {
  const OptimizerSettings& o = optimizer_;
  rule.optimizer = o.kind;
  rule.nesterov = o.nesterov;
  rule.rate = T(rate);
  rule.momentum = T(o.momentum);
  const double l2 = !o.l2_over_batch ? o.l2 : weight_sum > 0 ? o.l2 / weight_sum : 0;
  // The deltas of sgd carry the rate: a row has far fewer of them than there are weights to multiply it with. A rate of
  // nearly zero could not be taken out of their squares again, so such a step is one of momentum, with none.
  const bool carried = o.kind == Optimizer::sgd && rate > SMALLEST_CARRIED;
  if (o.kind == Optimizer::sgd && !carried) rule.optimizer = Optimizer::momentum;
  delta_factor_ = carried ? rate : 1;
  rule.l2 = T(l2 * delta_factor_);
  if (o.kind != Optimizer::adam) return;
  const double t = static_cast<double>(update_ + 1);
  rule.take1 = T(1 - o.beta1);
  rule.keep2 = T(o.beta2);
  rule.take2 = T(1 - o.beta2);
  // rate · m̂ / (√v̂ + ε) with m̂ = m / (1 - beta1^t), v̂ = v / (1 - beta2^t), both sides of the bar times √(1 - beta2^t)
  const double root = std::sqrt(1 - std::pow(o.beta2, t));
  rule.scale = T(rate * root / (1 - std::pow(o.beta1, t)));
  // Flushed to zero, a tiny epsilon would make 0/0 of the weights that nothing has moved.
  const T least = o.epsilon > 0 ? std::numeric_limits<T>::min() : T(0);
  rule.epsilon = std::max(T(o.raw_epsilon ? o.epsilon : o.epsilon * root), least);
  rule.decay = T(rate * o.weight_decay);
}

// Where some rows of a step's batch begin.
template <class T>
void Engine<T>::find_rows(const Batches<T>& batches, long step, Span some, const T** rows) const {
  const long* numbers = batches.x_rows + step * batches.batch + some.first;
  for (long b = 0; b < some.count; ++b) rows[b] = batches.x + numbers[b] * inputs_;
}

// A piece has several rows, and a batch that is treated as sparse has one piece: narrow_step and sparse.hpp, which know
// nothing of pieces, count on both.
static_assert(PIECE_ROWS >= most_sparse_rows && PIECE_ROWS >= 4);

// The rows of a piece of a batch.
template <class T>
Span Engine<T>::piece_of(long batch, long piece) const {
  const long first = batch * piece / pieces_;
  return {first, batch * (piece + 1) / pieces_ - first};
}

// Makes the plan that of the next piece, and looks up where the rows of the one after it are.
template <class T>
void Engine<T>::prepare(Plan<T>& plan, const Batches<T>& batches, Place& place) {
  const long batch = batches.batch, stride = network_.padded_outputs();
  const long* data_rows = batches.data_rows + place.step * batch;
  double weight_sum = batch;
  if (weights_) {
    if (place.piece == 0) {
      place.weight_sum = 0;
      for (long b = 0; b < batch; ++b) place.weight_sum += (*weights_)[data_rows[b]];
    }
    weight_sum = place.weight_sum;
  }
  set_rule(plan.rule, batches.rates[place.step], weight_sum);
  std::swap(plan.input_rows, plan.next_rows);
  Span next = {0, batch};
  long step_of_next = std::min(place.step + 1, batches.steps - 1);
  if (pieces_ > 1) {
    const Span some = piece_of(batch, place.piece);
    const bool is_last = place.piece + 1 == pieces_;
    if (!is_last) plan.rule.optimizer = Optimizer::none;
    if (!is_last) step_of_next = place.step;
    next = piece_of(batch, is_last ? 0 : place.piece + 1);
    plan.begun = place.piece ? plan.gradient : nullptr;
    plan.batch = some.count;
    data_rows += some.first;
  }
  find_rows(batches, step_of_next, next, plan.next_rows);
  // A batch in which nothing weighs has no loss and no gradient.
  const double reduction = !mean_ ? 1 : weight_sum > 0 ? 1 / weight_sum : 0;
  for (long b = 0; b < plan.batch; ++b) {
    plan.target_rows[b] = targets_.get() + data_rows[b] * stride;
    shares_[b] = weights_ ? double((*weights_)[data_rows[b]]) * reduction : reduction;
    plan.row_scales[b] = T(shares_[b] * delta_factor_);
  }
}

// A piece is done: adds its losses, and after the last one writes down those of the batch.
template <class T>
void Engine<T>::account(const Plan<T>& plan, long threads, Place& place, const Told& told) {
  double loss = place.loss, rows = place.squares;
  for (long b = 0; b < plan.batch; ++b) loss += double(plan.row_losses[b]) * shares_[b];
  for (long b = 0; told.squares && b < plan.batch; ++b) rows += double(plan.row_squares[b]);
  if (pieces_ > 1) {
    const bool is_last = ++place.piece == pieces_;
    place.loss = is_last ? 0 : loss;
    place.squares = is_last ? 0 : rows;
    if (!is_last) return;
    place.piece = 0;
  }
  if (told.squares) {
    double batch = 0;
    for (long thread = 0; thread < threads; ++thread)
      for (long lane = 0; lane < kernels_.lanes; ++lane) batch += double(plan.squares[thread][lane]);
    if (plan.batch == 1) batch = rows;  // one row is the batch, and narrow layers then sum nothing
    told.squares[2 * place.step] = rows / (delta_factor_ * delta_factor_);
    told.squares[2 * place.step + 1] = batch / (delta_factor_ * delta_factor_);
  }
  told.losses[place.step++] = loss;
  ++update_;
}

template <class T>
void Engine<T>::run(Plan<T>& plan, const Batches<T>& batches, Place& place, const Told& told, double seconds,
                    long threads) {
  MeetingPlace meeting(threads);
  plan.meeting = {MeetingPlace::wait_at, &meeting};
  const auto start = Clock::now();
  const long between_looks = 1 + long(BETWEEN_LOOKS * double(pieces_) / work_of(batches.batch));
  long to_look = between_looks;
  bool more = true;  // written by thread 0 between two meetings, read by the others after the second
  const auto next = [&] {
    more = place.step < batches.steps;
    if (to_look-- == 0) {
      more = more && seconds_since(start) <= seconds;
      to_look = between_looks - 1;
    }
    if (!more) return;
    prepare(plan, batches, place);
    if (told.squared_weights && place.piece == 0) told.squared_weights[place.step] = kernels_.squared_weights(plan);
    for (long i = 0; told.squares && i < threads; ++i) std::fill_n(plan.squares[i], kernels_.lanes, T(0));
  };
  const auto share_of = [&](long thread) {
    FlushTinyToZero guard;
    for (;;) {
      if (thread == 0) next();
      if (threads > 1) meeting.wait();
      if (!more) return;
      (told.squares ? kernels_.measured_step : kernels_.step)(plan, thread, threads);
      if (threads > 1) meeting.wait();
      if (thread == 0) account(plan, threads, place, told);
    }
  };
  if (threads == 1 || !run_team(threads, share_of)) {
    threads = 1;
    share_of(0);
  }
}

// Whether the zeros of x are to be left out in this call's steps: as many as in the first rows of its first batch.
template <class T>
bool Engine<T>::has_many_zeros(const Batches<T>& batches, long step) const {
  if (batches.batch > most_sparse_rows || inputs_ < SPARSE_INPUTS) return false;
  if (network_.first_outputs() < kernels_.sparse_outputs) return false;
  const long rows = std::min(batches.batch, SPARSE_SAMPLE), most = long(SPARSE_SHARE * double(rows * inputs_));
  long others = 0;
  for (long b = 0; b < rows && others <= most; ++b) {
    const T* x = batches.x + batches.x_rows[step * batches.batch + b] * inputs_;
    others += inputs_ - std::count(x, x + inputs_, T(0));
  }
  return others <= most;
}

// Multiply-adds of the forward pass of so many rows.
template <class T>
double Engine<T>::work_of(long rows) const {
  return double(network_.parameter_count()) * double(rows);
}

// A thread for each `worth` of a step's work, as far as the cores go; one where its share of a piece would be less.
template <class T>
long Engine<T>::threads_for(long batch, double worth, long cores) const {
  if (threads_ > 0) return threads_;
  return work_of(PIECE_ROWS) < worth ? 1 : std::clamp(long(work_of(batch) / worth), 1L, cores);
}

template <class T>
void Engine<T>::advance(const Batches<T>& batches, Place& place, const Told& told, double seconds) {
  if (place.step == batches.steps) return;
  const AtWork mark;
  const bool measured = told.squares != nullptr;
  const long batch = batches.batch;
  // Squared gradients are added up thread by thread, and in another order where zeros are left out: their bits must not
  // depend on the clock, nor on other engines, nor on where a call begins.
  const long cores = measured ? usable_cores() : std::max(1L, usable_cores() / at_work);
  const long sure = threads_for(batch, WORTH_A_THREAD, cores), most = threads_for(batch, WORTH_A_TRIAL, cores);
  const bool by_pace = sure == 1 && most > 1 && !measured;
  const long threads = by_pace ? pace_.threads(most) : sure;
  if (place.piece == 0) pieces_ = (batch + PIECE_ROWS * threads - 1) / (PIECE_ROWS * threads);
  if (pieces_ > 1 && !gradient_.get()) gradient_ = network_.zeros();
  const long most_rows = (batch + pieces_ - 1) / pieces_;  // of a piece
  Plan<T>& plan = network_.plan_for(most_rows, threads, measured);
  plan.parameters = parameters_.get();
  plan.gradient = gradient_.get();
  plan.begun = nullptr;
  shares_.resize(most_rows);
  find_rows(batches, place.step, piece_of(batch, place.piece), plan.next_rows);
  plan.sparse = !measured && has_many_zeros(batches, place.step);
  for (std::size_t i = 0; i < 2; ++i) plan.slots[i] = i < slots_.size() ? slots_[i].get() : plan.parameters;
  if (!by_pace) return run(plan, batches, place, told, seconds, threads);
  const auto rows_done = [&] { return place.step * batch + piece_of(batch, place.piece).first; };
  const long before = rows_done();
  const auto start = Clock::now();
  run(plan, batches, place, told, pace_.at_most(seconds), threads);
  pace_.took(threads, seconds_since(start), work_of(rows_done() - before));
}

template <class T>
Predictor<T>::Predictor(const Specification& network, const T* parameters, long rows, long threads)
    : kernels_(kernels_for<T>(network.widest())), inputs_(network.sizes.front()), outputs_(network.sizes.back()) {
  networks_.emplace_back(network, kernels_);
  parameters_ = networks_.front().packed(parameters);
  const double work = double(networks_.front().parameter_count());
  block_ = std::clamp(long(PREDICTED_AT_ONCE / work), 1L, PREDICTED_ROWS);
  if (threads == 0) threads = std::clamp(long(work * double(rows) / WORTH_A_PREDICTING_THREAD), 1L, usable_cores());
  threads = std::clamp((rows + block_ - 1) / block_, 1L, threads);
  while (long(networks_.size()) < threads) networks_.emplace_back(network, kernels_);
  for (auto& own : networks_) own.plan_for(std::min(block_, rows), 1).parameters = parameters_.get();
  most_rows_ = threads * std::max(block_, long(PREDICTED_AT_ONCE / work) / block_ * block_);
}

template <class T>
void Predictor<T>::run(const T* x, long rows, T* out) {
  const long threads = long(networks_.size());
  const auto share_of = [&](long thread) {
    FlushTinyToZero guard;
    for (long first = thread * block_; first < rows; first += threads * block_) {
      Plan<T>& plan = networks_[thread].plan_for(std::min(block_, rows - first), 1);
      for (long r = 0; r < plan.batch; ++r) plan.input_rows[r] = x + (first + r) * inputs_;
      kernels_.forward(plan, out + first * outputs_);
    }
  };
  if (threads > 1 && run_team(threads, share_of)) return;
  for (long thread = 0; thread < threads; ++thread) share_of(thread);
}

template <class T>
void Predictor<T>::examples(const T* x, const T* targets, long rows, double* losses, double* squares) {
  FlushTinyToZero guard;
  PackedNetwork<T>& network = networks_.front();
  Plan<T>& plan = network.plan_for(rows, 1);
  const long stride = network.padded_outputs();
  const Array<T> padded = padded_rows(targets, rows, outputs_, stride);
  for (long r = 0; r < rows; ++r) {
    plan.input_rows[r] = x + r * inputs_;
    plan.target_rows[r] = padded.get() + r * stride;
    plan.row_scales[r] = 1;
  }
  kernels_.backward(plan);
  std::copy_n(plan.row_losses, rows, losses);
  std::copy_n(plan.row_squares, rows, squares);
}

template <class T>
double measured_peak() {
  const auto& kernels = kernels_for<T>(std::numeric_limits<long>::max());  // of the best set
  double best = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const auto start = Clock::now();
    const double operations = kernels.burn(100000);
    best = std::max(best, operations / seconds_since(start) / 1e9);
  }
  return best;
}

template class Engine<float>;
template class Engine<double>;
template class Predictor<float>;
template class Predictor<double>;
template double measured_peak<float>();
template double measured_peak<double>();

}  // namespace backlit
