// The shuffle of Python's random module, with the numbers that it would draw: for the book's programs, whose order of
// training examples it decides, and which would otherwise spend more time on it than on the arithmetic.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace backlit {

// The generator behind `random`: Matsumoto and Nishimura, "Mersenne twister" (1998), MT19937.
class MersenneTwister {
 public:
  static constexpr std::size_t words = 624;

  // As random.getstate()[1] has it: the words, then how many of them have been drawn.
  explicit MersenneTwister(std::vector<std::uint32_t> state) : state_(std::move(state)) {}
  const std::vector<std::uint32_t>& state() const { return state_; }

  std::uint32_t draw() {
    if (state_[words] >= words) renew();
    std::uint32_t x = state_[state_[words]++];
    x ^= x >> 11;
    x ^= x << 7 & 0x9d2c5680u;
    x ^= x << 15 & 0xefc60000u;
    return x ^ x >> 18;
  }

  // From 0 to n - 1, for n from 1 to 2³² - 1: of the bits that n needs, drawn until they are below n.
  std::uint32_t below(std::uint32_t n) {
    const int unused = __builtin_clz(n);
    for (;;)
      if (const std::uint32_t x = draw() >> unused; x < n) return x;
  }

 private:
  void renew() {
    for (std::size_t i = 0; i < words; ++i) {
      const std::uint32_t joined = (state_[i] & 0x80000000u) | (state_[(i + 1) % words] & 0x7fffffffu);
      state_[i] = state_[(i + 397) % words] ^ joined >> 1 ^ (joined & 1 ? 0x9908b0dfu : 0u);
    }
    state_[words] = 0;
  }

  std::vector<std::uint32_t> state_;
};

// Calls swap(i, j) for each exchange of random.shuffle on `count` entries.
template <class Swap>
void shuffle(std::uint32_t count, MersenneTwister& random, Swap swap) {
  for (std::uint32_t i = count; i-- > 1;) swap(i, random.below(i + 1));
}

}  // namespace backlit
