// Reads small files whole: those of /proc and /sys, which may vanish or fail to be read at any moment.
// Thread-safe.
#pragma once

#include <string>

namespace parley {

// Empty when there is no such file or it cannot be read.
std::string ReadFileOrNothing(const std::string& path);

}  // namespace parley
