// What is said when a file that is mapped into memory becomes shorter while it is read: the system then ends the process
// with SIGBUS, and nothing can go on from there. Knows no Python; calls only what a signal handler may call.
#include "bus_error.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>

#ifdef SIGBUS
#include <unistd.h>

namespace {

char message[1024];
std::size_t length = 0;

void say_and_end(int, siginfo_t* info, void*) {
  // Any other cause is not ours: the handler is gone by now, and the same fault comes again with the usual end.
  if (info->si_code != BUS_ADRERR) return;
  if (write(STDERR_FILENO, message, length) < 0) _exit(1);
  _exit(1);
}

}  // namespace

void backlit::say_on_bus_error(const std::string& line) {
  length = std::min(line.size(), sizeof message);
  std::memcpy(message, line.data(), length);
  struct sigaction action = {};
  action.sa_sigaction = say_and_end;
  action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
  sigaction(SIGBUS, &action, nullptr);
}
#else
void backlit::say_on_bus_error(const std::string&) {}
#endif
