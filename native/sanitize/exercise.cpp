// Drives the engine without Python, for the sanitizers: every activation, loss and optimizer, odd widths, short batches,
// data in arrays of exactly their size, several threads, several engines at once. Checks only that the numbers are
// finite and that threads change no bit; what they should be is the ladder's business.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "../dispatch.hpp"
#include "../engine.hpp"

using namespace backlit;

namespace {

struct Case {
  std::vector<long> sizes;
  std::vector<Activation> activations;
  Loss loss;
  OptimizerSettings optimizer;
  long batch, large_batch;  // the large one is gone through in pieces
  bool many_zeros = false;
};

template <class T>
std::vector<T> uniform(std::mt19937& random, long count, double low, double high) {
  std::uniform_real_distribution<double> number(low, high);
  std::vector<T> values(count);
  for (T& value : values) value = T(number(random));
  return values;
}

void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "exercise: %s\n", what);
  std::exit(1);
}

// The parameters after a few steps.
template <class T>
std::vector<T> trained(const Case& c, long threads) {
  std::mt19937 random(1);
  const long rows = 37, inputs = c.sizes.front(), outputs = c.sizes.back(), steps = 3;
  long count = 0;
  for (std::size_t l = 0; l + 1 < c.sizes.size(); ++l) count += (c.sizes[l] + 1) * c.sizes[l + 1];
  const auto parameters = uniform<T>(random, count, -0.3, 0.3), zeros = std::vector<T>(count);
  auto x = uniform<T>(random, rows * inputs, -1, 1);
  if (c.many_zeros)
    for (long i = 0; i < rows * inputs; ++i) x[i] = i * 7 % 10 < 8 ? T(0) : x[i];
  const auto y = uniform<T>(random, rows * outputs, 0, 1);
  const auto weights = uniform<T>(random, rows, 0.5, 2);
  const T* slots[] = {zeros.data(), zeros.data()};
  const Specification network = {c.sizes, c.activations, c.loss, true};
  Engine<T> engine(network, c.optimizer, parameters.data(), slots, 0, y.data(), weights.data(), rows, threads);
  const std::vector<double> rates(steps, 0.01);
  std::vector<double> losses(steps), squares(2 * steps), weight_squares(steps);
  const Told told = {losses.data(), squares.data(), weight_squares.data()};
  for (const long batch : {c.batch, 1L, c.batch + 5, c.large_batch}) {
    std::vector<long> numbers(steps * batch);
    for (long& number : numbers) number = std::uniform_int_distribution<long>(0, rows - 1)(random);
    numbers.back() = rows - 1;
    const Batches<T> batches = {x.data(), numbers.data(), numbers.data(), rates.data(), steps, batch};
    for (Place place; place.step < steps;) engine.advance(batches, place, told, 0.001);
    for (const double loss : losses) demand(std::isfinite(loss), "a loss is not finite");
    for (const double square : weight_squares) demand(square > 0, "the weights have no size");
    for (const double square : squares) demand(std::isfinite(square), "a squared gradient is not finite");
  }
  const long predicted = 500;  // several blocks, so that threads share them
  const auto more = uniform<T>(random, predicted * inputs, -1, 1);
  std::vector<T> after(count), out(predicted * outputs);
  engine.parameters(after.data());
  for (long i = 0; i < engine.slot_count(); ++i) engine.slot(i, std::vector<T>(count).data());
  Predictor<T> predictor(network, after.data(), predicted, threads);
  predictor.run(more.data(), predicted, out.data());
  std::vector<double> row_losses(rows), row_squares(rows);
  predictor.examples(x.data(), y.data(), rows, row_losses.data(), row_squares.data());
  for (const T value : out) demand(std::isfinite(value), "an output is not finite");
  return after;
}

template <class T>
void exercise(const Case& c) {
  const auto alone = trained<T>(c, 1);
  std::vector<std::vector<T>> results(3);
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < results.size(); ++i)
    callers.emplace_back([&, i] { results[i] = trained<T>(c, long(i) + 1); });
  for (auto& caller : callers) caller.join();
  for (const auto& result : results) demand(result == alone, "threads have changed the bits");
}

// Both ways are tried, the quicker one is taken until it is the slower one, and the other gets further chances, which take
// no more than a small part of the time.
void exercise_pace() {
  Pace pace;
  demand(pace.threads(1) == 1 && pace.at_most(5) == 5, "a team of one was put on trial");
  const double trial = 0.002, any = 5;
  const auto call = [&](long expected, double limit, double seconds, double work) {
    demand(pace.threads(4) == expected, "another number of threads was expected");
    demand(pace.at_most(5) == limit, "a call may last as long as it likes, and a trial may not");
    pace.took(expected, seconds, work);
  };
  call(1, trial, 0.002, 10);
  call(4, trial, 0.001, 10);  // then 20 times as long without a trial
  call(4, any, 0.019, 190);
  call(4, any, 0.002, 20);
  call(1, trial, 0.002, 10);
  call(4, any, 0.041, 410);
  call(1, trial, 0.0004, 10);  // now the quicker one
  call(1, any, 0.0015, 10);    // interrupted: 0.00004 + (0.00015 - 0.00004) / 4 is less than the 0.0001 of the team
  call(1, any, 0.003, 10);     // and again: 0.0000675 + (0.0003 - 0.0000675) / 4 is more
  call(4, any, 0.001, 10);
  Pace slow;  // of steps of 1 or 3 seconds
  long alone = 0;
  for (long step = 0; step < 200; ++step) {
    const long threads = slow.threads(4);
    slow.took(threads, threads == 1 ? 3 : 1, 1);
    alone += threads == 1;
  }
  demand(alone <= 5, "long steps are always on trial");
}

}  // namespace

int main() {
  exercise_pace();
  const Activation hidden[] = {Activation::sigmoid, Activation::tanh,     Activation::relu,  Activation::leaky_relu,
                               Activation::gelu,    Activation::softplus, Activation::linear};
  const std::pair<Activation, Loss> heads[] = {
      {Activation::linear, Loss::quadratic},       {Activation::tanh, Loss::mean_squared_error},
      {Activation::softmax, Loss::squared_error},  {Activation::exp, Loss::absolute_error},
      {Activation::sigmoid, Loss::huber},          {Activation::sigmoid, Loss::binary_cross_entropy},
      {Activation::softmax, Loss::cross_entropy},  {Activation::exp, Loss::poisson}};
  const OptimizerSettings optimizers[] = {{Optimizer::sgd, 0, 0, 0, 0, 0.1, 0, false, true},
                                          {Optimizer::momentum, 0.9, 0, 0, 0, 0, 0, true, false},
                                          {Optimizer::adam, 0, 0.9, 0.999, 1e-8, 0, 0.01, false, false}};
  long number = 0;
  for (const long width : {1L, 2L, 3L, 5L, 8L, 15L, 18L, 31L, 33L, 36L, 67L})
    for (const auto& [output, loss] : heads) {
      Case c = {{width, number % 4 ? 35L : 72L, width, 3}, {hidden[number % 7], hidden[(number / 7) % 7], output}, loss,
                optimizers[number % 3], 1 + number % 21, number % 11 ? 2 : 1601};
      if (number % 5 == 0) c.sizes = {width + 32, 2}, c.activations = {output};
      if (number % 5 == 1) c.sizes = {1 + width % 7, 4, 3}, c.activations = {hidden[number / 5 % 7], output};
      if (number % 3 == 0) c.sizes.front() += 64, c.many_zeros = true;  // which the first layer leaves out
      exercise<float>(c);
      exercise<double>(c);
      ++number;
    }
  std::printf("%ld networks, instruction set %s\n", number, kernels().name);
}
