// The kernels of one instruction set, as one table. Compiled several times, each with its own flags and with KERNEL_ISA
// naming the set; everything but the table is invisible outside this object.
#include "example_norms.hpp"
#include "squared_weights.hpp"

namespace {

// Multiply-adds on independent registers, as many as the kernels' largest tile keeps busy.
template <class T>
double burn(long rounds) {
  constexpr int chains = REGISTERS == 32 ? 20 : 12;
  Vec<T> sum[chains];
  UNROLL for (int i = 0; i < chains; ++i) sum[i] = splat(T(i));
  for (long round = 0; round < rounds; ++round)
    UNROLL for (int i = 0; i < chains; ++i) sum[i] = sum[i] * T(0.999) + T(0.001);
  Vec<T> total = {};
  UNROLL for (int i = 0; i < chains; ++i) total += sum[i];
  volatile T used = sum_lanes<T>(total);  // so that the loop is not left out
  (void)used;
  return 2.0 * rounds * chains * LANES<T>;
}

}  // namespace

#define NAME_OF(isa) #isa
#define NAME(isa) NAME_OF(isa)
#define TABLE_OF(isa) kernels_##isa
#define TABLE(isa) TABLE_OF(isa)

namespace backlit {

extern const KernelSet TABLE(KERNEL_ISA);
const KernelSet TABLE(KERNEL_ISA) = {
    NAME(KERNEL_ISA),
    {LANES<float>, SPARSE_OUTPUTS<float>, step<float>, measured_step<float>, forward<float>, backward<float>,
     squared_weights<float>, burn<float>},
    {LANES<double>, SPARSE_OUTPUTS<double>, step<double>, measured_step<double>, forward<double>, backward<double>,
     squared_weights<double>, burn<double>},
};

}  // namespace backlit
