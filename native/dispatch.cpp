// See dispatch.hpp. CMake defines HAVE_<set> for each set that was compiled.
#include "dispatch.hpp"

#include <cstdlib>
#include <type_traits>

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

// What BACKLIT_ISA names; empty where nobody chose.
std::string wanted() {
  const char* name = std::getenv("BACKLIT_ISA");
  return name ? name : "";
}

const KernelSet& choose() {
  const auto sets = usable();
  if (wanted().empty()) return *sets.back();
  std::string names;
  for (const KernelSet* set : sets) {
    if (wanted() == set->name) return *set;
    names += names.empty() ? set->name : std::string(", ") + set->name;
  }
  throw BadInput("BACKLIT_ISA: one of " + names + " was wanted on this processor; got '" + wanted() +
                 "'; unset it to take the best one");
}

template <class T>
const Kernels<T>& of(const KernelSet& set) {
  if constexpr (std::is_same_v<T, float>)
    return set.single;
  else
    return set.twice;
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

template <class T>
const Kernels<T>& kernels_for(long widest) {
#if defined(HAVE_v3) && defined(HAVE_v4)
  static const bool may_be_narrower = &kernels() == &kernels_v4 && wanted().empty();
  if (may_be_narrower && widest <= of<T>(kernels_v3).lanes) return of<T>(kernels_v3);
#endif
  return of<T>(kernels());
}

template const Kernels<float>& kernels_for<float>(long);
template const Kernels<double>& kernels_for<double>(long);

}  // namespace backlit
