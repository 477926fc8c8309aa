// The threads of one call: a team that lives as long as one `advance`, and the place where it meets between phases.
// Threads are made anew for each call, which costs some 20 µs against calls of up to 0.1 s: nothing is left running
// between calls that a fork, an exit or another Python thread could trip over. No numbers are computed here.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <limits>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace backlit {

// The cores that this process may use, which the C++ library's count does not respect everywhere.
inline long cores_here() {
#if defined(__linux__)
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

// Those of them that threads are taken for unasked: no more than OMP_NUM_THREADS said when this was first wanted. By it
// joblib gives each of its workers its share.
inline long usable_cores() {
  static const long allowed = [] {
    const char* text = std::getenv("OMP_NUM_THREADS");
    const long number = text ? std::strtol(text, nullptr, 10) : 0;
    return number > 0 ? number : std::numeric_limits<long>::max();
  }();
  return std::min(cores_here(), allowed);
}

inline void pause_processor() {
#if defined(__SSE2__)
  _mm_pause();
#endif
}

// While it lives, results too small for a normal number are zero in this thread: optimizer slots that fade away would
// otherwise make a step several times slower. The caller's setting is put back.
class FlushTinyToZero {
#if defined(__SSE2__)
 public:
  FlushTinyToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }  // flush to zero, denormals are zero
  ~FlushTinyToZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#endif
};

// A barrier that spins for the length of a usual phase and then sleeps, so that a busy machine gets its cores back. With
// more members than cores it sleeps at once: whoever spins keeps the one it waits for from running.
class MeetingPlace {
 public:
  explicit MeetingPlace(long members) : members_(members), spins_(members > 1 && members <= cores_here() ? 4000 : 0) {}

  void wait() {
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      round_.notify_all();
      return;
    }
    for (long spin = 0; spin < spins_; ++spin) {
      if (round_.load(std::memory_order_acquire) != round) return;
      pause_processor();
    }
    round_.wait(round, std::memory_order_acquire);
  }

  static void wait_at(void* place) { static_cast<MeetingPlace*>(place)->wait(); }

 private:
  const long members_, spins_;
  alignas(64) std::atomic<long> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
};

// Runs work(thread) in `threads` threads, the caller being thread 0, and returns when all have finished. All of them
// start or none does: `work` may count on meeting every member. False if the system gives no more threads.
template <class Work>
bool run_team(long threads, Work work) {
  std::atomic<int> order{0};  // 1: go, -1: go home
  std::vector<std::thread> others;
  const auto follow = [&](long thread) {
    order.wait(0);
    if (order.load() > 0) work(thread);
  };
  others.reserve(threads - 1);
  try {
    for (long thread = 1; thread < threads; ++thread) others.emplace_back(follow, thread);
    order = 1;
  } catch (const std::exception&) {  // no more threads, or no more memory
    order = -1;
  }
  order.notify_all();
  if (order > 0) work(0);
  for (auto& other : others) other.join();
  return order > 0;
}

}  // namespace backlit
