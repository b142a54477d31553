// How much memory this process may still take.
#pragma once

#include <cstdint>
#include <string>

namespace parley {

// What the machine can give without swapping, or less where a control group (a container, v1 or v2) allows
// less. At least 256 MiB, so that a system that says nothing does not stop anybody. `root`: see
// control_group.h.
int64_t AvailableMemoryBytes(const std::string& root = "");

// A part of it, for tests: MemAvailable of /proc/meminfo's text; -1: it does not say.
int64_t MemAvailableOf(const std::string& meminfo);

// Has the allocator give freed memory back to the system. glibc's otherwise raises its thresholds to the
// largest block that was freed, a picture of 24 MB say, and then each of its heaps keeps twice as much. To be
// called before threads are started. A no-op with other allocators.
void GiveFreedMemoryBack();

}  // namespace parley
