// Which instruction sets the kernels were compiled for, which of them this processor runs, and which one is used.
#pragma once
#include <string>
#include <vector>

#include "plan.hpp"

namespace backlit {

std::vector<std::string> usable_instruction_sets();  // best last

// The best usable set, or the one that the environment variable BACKLIT_ISA names. Decided once per process.
const KernelSet& kernels();

// Those of the best set; or, where nobody chose, of v3 instead of v4 if every layer, the inputs and the widest included,
// fits one of its shorter registers: longer ones would work half empty, and take longer for it.
template <class T>
const Kernels<T>& kernels_for(long widest);

}  // namespace backlit
