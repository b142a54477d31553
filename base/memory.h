// How much memory this process may still take.
#pragma once

#include <cstdint>
#include <string>

namespace parley {

// What the machine can give without swapping, or less where a control group (a container) allows less. At
// least 256 MiB, so that a system that says nothing does not stop anybody.
int64_t AvailableMemoryBytes();

// The parts of it, for tests. MemAvailable of /proc/meminfo's text, and what is left of a control group's
// memory.max and memory.current; -1: it does not say.
int64_t MemAvailableOf(const std::string& meminfo);
int64_t LeftInGroup(const std::string& max, const std::string& current);

}  // namespace parley
