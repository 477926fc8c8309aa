// See dispatch.hpp. CMake defines HAVE_<set> for each set that was compiled.
#include "dispatch.hpp"

#include <cstdlib>

#include "network.hpp"

namespace backlit {

extern const KernelSet kernels_base;
#ifdef HAVE_v3
extern const KernelSet kernels_v3;
#endif
#ifdef HAVE_v4
extern const KernelSet kernels_v4;
#endif

namespace {

std::vector<const KernelSet*> usable() {
  std::vector<const KernelSet*> sets = {&kernels_base};
#ifdef HAVE_v3
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) sets.push_back(&kernels_v3);
#endif
#ifdef HAVE_v4
  if (__builtin_cpu_supports("x86-64-v4")) sets.push_back(&kernels_v4);
#endif
  return sets;
}

const KernelSet& choose() {
  const auto sets = usable();
  const char* wanted = std::getenv("BACKLIT_ISA");
  if (!wanted || !*wanted) return *sets.back();
  std::string names;
  for (const KernelSet* set : sets) {
    if (std::string(wanted) == set->name) return *set;
    names += names.empty() ? set->name : std::string(", ") + set->name;
  }
  throw BadInput("BACKLIT_ISA: one of " + names + " was wanted on this processor; got '" + wanted +
                 "'; unset it to take the best one");
}

}  // namespace

std::vector<std::string> usable_instruction_sets() {
  std::vector<std::string> names;
  for (const KernelSet* set : usable()) names.push_back(set->name);
  return names;
}

const KernelSet& kernels() {
  static const KernelSet& chosen = choose();
  return chosen;
}

template <>
const Kernels<float>& kernels_for<float>() {
  return kernels().single;
}
template <>
const Kernels<double>& kernels_for<double>() {
  return kernels().twice;
}

}  // namespace backlit
