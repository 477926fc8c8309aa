#pragma once

#include <algorithm>
#include <string>

namespace backlit {

// From now on a fault in a file that is mapped into memory writes `line` to standard error and ends the process with 1.
void say_on_bus_error(const std::string& line);

}  // namespace backlit
