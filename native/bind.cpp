// The border to Python: arrays in, arrays out, names to enumerations. No arithmetic.
// Types, shapes and ranges are checked here because past this file a wrong one is a crash; what Python users read first
// are the sentences of engines/native.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>

#include "bus_error.hpp"
#include "dispatch.hpp"
#include "engine.hpp"
#include "shuffle.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace backlit;

namespace {

// Between two looks for Ctrl-C.
constexpr double SLICE_SECONDS = 0.05;

template <class T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

const std::map<std::string, Activation> ACTIVATIONS = {
    {"sigmoid", Activation::sigmoid},       {"tanh", Activation::tanh}, {"relu", Activation::relu},
    {"leaky_relu", Activation::leaky_relu}, {"gelu", Activation::gelu}, {"softplus", Activation::softplus},
    {"linear", Activation::linear},         {"exp", Activation::exp},   {"softmax", Activation::softmax},
};
const std::map<std::string, Loss> LOSSES = {
    {"quadratic", Loss::quadratic},
    {"squared_error", Loss::squared_error},
    {"mean_squared_error", Loss::mean_squared_error},
    {"absolute_error", Loss::absolute_error},
    {"huber", Loss::huber},
    {"binary_cross_entropy", Loss::binary_cross_entropy},
    {"cross_entropy", Loss::cross_entropy},
    {"poisson", Loss::poisson},
};
const std::map<std::string, Optimizer> OPTIMIZERS = {
    {"sgd", Optimizer::sgd}, {"momentum", Optimizer::momentum}, {"adam", Optimizer::adam}};

template <class Value>
Value named(const std::map<std::string, Value>& table, const std::string& name) {
  const auto found = table.find(name);
  if (found == table.end()) throw BadInput("the native core knows no '" + name + "'");
  return found->second;
}

void require(bool holds, const char* what) {
  if (!holds) throw BadInput(std::string("native core: ") + what);
}

template <class Array>
const auto* numbers(const Array& array) {
  using T = std::remove_pointer_t<decltype(array.data())>;
  require(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0, "arrays must be aligned to their numbers");
  return array.data();
}

Specification specification(const std::vector<long>& sizes, const std::vector<std::string>& activations,
                            const std::string& loss, bool mean) {
  require(sizes.size() >= 2 && activations.size() + 1 == sizes.size(), "one activation per layer with weights");
  for (long size : sizes) require(size >= 1 && size < (1L << 31), "sizes must be from 1 to 2147483647");
  Specification network{sizes, {}, named(LOSSES, loss), mean};
  for (const auto& name : activations) network.activations.push_back(named(ACTIVATIONS, name));
  return network;
}

template <class T>
nb::object as_numpy(long count, T*& numbers) {
  numbers = new T[count];
  nb::capsule owner(numbers, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(numbers, {std::size_t(count)}, owner));
}

// An array (…) of float64 to write into.
template <int DIMENSIONS>
using Results = nb::ndarray<double, nb::ndim<DIMENSIONS>, nb::c_contig, nb::device::cpu>;

// One engine as Python holds it. `busy` refuses a second thread: the buffers are one step's.
template <class T>
struct Core {
  Engine<T> engine;
  std::atomic<bool> busy{false};

  struct Turn {
    std::atomic<bool>& busy;
    explicit Turn(std::atomic<bool>& flag) : busy(flag) {
      require(!busy.exchange(true), "this engine is at work in another thread; open one engine per thread");
    }
    ~Turn() { busy = false; }
  };

  nb::object advance(const Matrix<T>& x, const Matrix<int64_t>& x_rows, const Matrix<int64_t>& data_rows,
                     const Vector<double>& rates, const nb::object& squares, const nb::object& squared_weights) {
    const long steps = data_rows.shape(0), batch = data_rows.shape(1);
    require(long(x.shape(1)) == engine.inputs(), "x must have one column per input");
    require(batch >= 1, "a batch must have at least one row");
    require(long(x_rows.shape(0)) == steps && long(x_rows.shape(1)) == batch && long(rates.shape(0)) == steps,
            "rows, positions and rates must agree in shape");
    check_range(data_rows, engine.rows());
    check_range(x_rows, x.shape(0));
    const Batches<T> batches = {numbers(x),     reinterpret_cast<const long*>(numbers(x_rows)),
                                reinterpret_cast<const long*>(numbers(data_rows)),
                                numbers(rates), steps, batch};
    Told told = {};
    if (!squares.is_none()) {
      const auto array = nb::cast<Results<2>>(squares, false);
      require(long(array.shape(0)) == steps && array.shape(1) == 2, "squares must be (steps, 2)");
      told.squares = array.data();
    }
    if (!squared_weights.is_none()) {
      const auto array = nb::cast<Results<1>>(squared_weights, false);
      require(long(array.shape(0)) == steps, "squared_weights must be (steps)");
      told.squared_weights = array.data();
    }
    nb::object result = as_numpy(steps, told.losses);
    Turn turn(busy);
    for (Place place; place.step < steps;) {
      {
        nb::gil_scoped_release release;
        engine.advance(batches, place, told, SLICE_SECONDS);
      }
      if (PyErr_CheckSignals()) throw nb::python_error();
    }
    return result;
  }

  static void check_range(const Matrix<int64_t>& rows, long count) {
    const int64_t *first = numbers(rows), *last = first + rows.size();
    bool outside = false;  // looked for without a branch, as tiny steps would notice
    for (const int64_t* row = first; row < last; ++row) outside |= uint64_t(*row) >= uint64_t(count);
    if (!outside) return;
    const int64_t wrong = *std::find_if(first, last, [=](int64_t row) { return row < 0 || row >= count; });
    throw BadInput("advance: rows must be from 0 to " + std::to_string(count - 1) + "; got " + std::to_string(wrong));
  }

  nb::object parameters() {
    Turn turn(busy);
    T* flat;
    nb::object result = as_numpy(engine.parameter_count(), flat);
    engine.parameters(flat);
    return result;
  }

  nb::object slot(long i) {
    require(i >= 0 && i < engine.slot_count(), "no such slot");
    Turn turn(busy);
    T* flat;
    nb::object result = as_numpy(engine.parameter_count(), flat);
    engine.slot(i, flat);
    return result;
  }
};

long parameter_count(const std::vector<long>& sizes) {
  long count = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) count += (sizes[l] + 1) * sizes[l + 1];
  return count;
}

template <class T>
void open(Core<T>* self, const std::vector<long>& sizes, const std::vector<std::string>& activations,
          const std::string& loss, bool mean, const nb::dict& optimizer, const Vector<T>& parameters,
          const std::vector<Vector<T>>& slots, long update, const Matrix<T>& targets, const nb::object& weights,
          long threads) {
  const Specification network = specification(sizes, activations, loss, mean);
  const auto number = [&](const char* name) { return nb::cast<double>(optimizer[name]); };
  const auto flag = [&](const char* name) { return nb::cast<bool>(optimizer[name]); };
  const OptimizerSettings settings = {named(OPTIMIZERS, nb::cast<std::string>(optimizer["kind"])),
                                      number("momentum"), number("beta1"), number("beta2"), number("epsilon"),
                                      number("l2"), number("weight_decay"), flag("nesterov"), flag("l2_over_batch"),
                                      flag("raw_epsilon")};
  const long count = parameter_count(sizes), rows = targets.shape(0);
  require(long(parameters.shape(0)) == count, "parameters must be one vector of all weights and biases");
  require(long(slots.size()) == settings.slot_count(), "one slot per vector that the optimizer carries");
  std::vector<const T*> slot_numbers;
  for (const auto& slot : slots) {
    require(long(slot.shape(0)) == count, "slots must be as long as the parameters");
    slot_numbers.push_back(numbers(slot));
  }
  require(long(targets.shape(1)) == sizes.back(), "targets must have one column per output");
  require(threads >= 0 && threads <= 4096, "threads must be from 0 (automatic) to 4096");
  require(update >= 0, "the update number must not be negative");
  const T* weight_numbers = nullptr;
  Vector<T> weight_array;
  if (!weights.is_none()) {
    weight_array = nb::cast<Vector<T>>(weights, false);
    require(long(weight_array.shape(0)) == rows, "one sample weight per row");
    weight_numbers = numbers(weight_array);
  }
  new (self) Core<T>{{network, settings, numbers(parameters), slot_numbers.data(), update, numbers(targets),
                      weight_numbers, rows, threads}};
}

template <class T>
void forward(const std::vector<long>& sizes, const std::vector<std::string>& activations,
             const Vector<T>& parameters, const Matrix<T>& x, nb::ndarray<T, nb::ndim<2>, nb::c_contig> out, long threads) {
  require(long(parameters.shape(0)) == parameter_count(sizes), "parameters must be one vector of all weights and biases");
  require(threads >= 0 && threads <= 4096, "threads must be from 0 (automatic) to 4096");
  const long rows = x.shape(0);
  Predictor<T> predictor(specification(sizes, activations, "quadratic", true), numbers(parameters), rows, threads);
  require(long(x.shape(1)) == predictor.inputs(), "x must have one column per input");
  require(long(out.shape(0)) == rows && long(out.shape(1)) == predictor.outputs(), "out must be (rows, outputs)");
  const T* from = numbers(x);
  for (long first = 0; first < rows; first += predictor.most_rows()) {
    {
      nb::gil_scoped_release release;
      predictor.run(from + first * predictor.inputs(), std::min(rows - first, predictor.most_rows()),
                    out.data() + first * predictor.outputs());
    }
    if (PyErr_CheckSignals()) throw nb::python_error();
  }
}

// random.shuffle of `items`, and of `numbers` in the same way; the generator's state afterwards. The entries change
// places as they are: nobody's reference counts are touched, which lie all over the memory.
std::vector<std::uint32_t> shuffle_both(nb::list items, nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig> rows,
                                        std::vector<std::uint32_t> state) {
  const std::size_t count = nb::len(items);
  require(rows.shape(0) == count && count < (1u << 31), "as many rows as items, below 2147483648");
  require(state.size() == MersenneTwister::words + 1, "the state of a Mersenne twister has 625 numbers");
  MersenneTwister random(std::move(state));
  PyObject** item = PySequence_Fast_ITEMS(items.ptr());
  int64_t* row = rows.data();
  shuffle(std::uint32_t(count), random, [&](std::uint32_t i, std::uint32_t j) {
    std::swap(item[i], item[j]);
    std::swap(row[i], row[j]);
  });
  return random.state();
}

// id() of every item.
nb::object addresses(nb::list items) {
  const long count = long(nb::len(items));
  int64_t* ids;
  nb::object result = as_numpy(count, ids);
  PyObject** item = PySequence_Fast_ITEMS(items.ptr());
  for (long i = 0; i < count; ++i) ids[i] = reinterpret_cast<int64_t>(item[i]);
  return result;
}

template <class T>
void examples(const std::vector<long>& sizes, const std::vector<std::string>& activations, const std::string& loss,
              const Vector<T>& parameters, const Matrix<T>& x, const Matrix<T>& targets, const Results<1>& losses,
              const Results<1>& squares) {
  require(long(parameters.shape(0)) == parameter_count(sizes), "parameters must be one vector of all weights and biases");
  const long rows = x.shape(0);
  Predictor<T> predictor(specification(sizes, activations, loss, true), numbers(parameters), rows, 1);
  require(long(x.shape(1)) == predictor.inputs(), "x must have one column per input");
  require(long(targets.shape(0)) == rows && long(targets.shape(1)) == predictor.outputs(),
          "targets must be (rows, outputs)");
  require(long(losses.shape(0)) == rows && long(squares.shape(0)) == rows, "losses and squares must be (rows)");
  const T *inputs = numbers(x), *wanted = numbers(targets);
  for (long first = 0; first < rows; first += predictor.most_examples()) {
    {
      nb::gil_scoped_release release;
      predictor.examples(inputs + first * predictor.inputs(), wanted + first * predictor.outputs(),
                         std::min(rows - first, predictor.most_examples()), losses.data() + first, squares.data() + first);
    }
    if (PyErr_CheckSignals()) throw nb::python_error();
  }
}

template <class T>
void bind_precision(nb::module_& m, const char* name) {
  nb::class_<Core<T>>(m, name)
      .def("__init__", open<T>, "sizes"_a, "activations"_a, "loss"_a, "mean"_a, "optimizer"_a,
           "parameters"_a.noconvert(), "slots"_a.noconvert(), "update"_a, "targets"_a.noconvert(),
           "weights"_a.none(), "threads"_a)
      .def("advance", &Core<T>::advance, "x"_a.noconvert(), "x_rows"_a.noconvert(), "data_rows"_a.noconvert(),
           "rates"_a.noconvert(), "squares"_a.none() = nb::none(), "squared_weights"_a.none() = nb::none())
      .def("parameters", &Core<T>::parameters)
      .def("slot", &Core<T>::slot)
      .def_prop_ro("updates", [](const Core<T>& core) { return core.engine.updates(); });
  m.def("forward", forward<T>, "sizes"_a, "activations"_a, "parameters"_a.noconvert(), "x"_a.noconvert(),
        "out"_a.noconvert(), "threads"_a);
  m.def("examples", examples<T>, "sizes"_a, "activations"_a, "loss"_a, "parameters"_a.noconvert(), "x"_a.noconvert(),
        "targets"_a.noconvert(), "losses"_a.noconvert(), "squares"_a.noconvert());
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "The compiled core of backlit; engines/native.py is its only importer.";
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const BadInput& error) {
      nb::object type = nb::module_::import_("backlit.errors").attr("BadInput");
      PyErr_SetString(type.ptr(), error.what());
    }
  });
  bind_precision<float>(m, "Core32");
  bind_precision<double>(m, "Core64");
  m.def("shuffle_both", shuffle_both, "items"_a, "rows"_a.noconvert(), "state"_a);
  m.def("addresses", addresses, "items"_a);
  m.def("say_on_bus_error", say_on_bus_error, "line"_a);
  m.def("instruction_set", [] { return std::string(kernels().name); });
  m.def("instruction_sets", usable_instruction_sets);
  m.def("usable_cores", usable_cores);
  m.def("measured_peak", [](bool twice) {
    nb::gil_scoped_release release;
    return twice ? measured_peak<double>() : measured_peak<float>();
  }, "double_precision"_a);
}
