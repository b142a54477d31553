// What the control groups of this process (those of a container, or of a service) let it take. Linux, cgroup
// v1, v2 and both at once (Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst; CFS bandwidth:
// scheduler/sched-bwc.rst).
#pragma once

#include <cstdint>
#include <string>

namespace parley {

struct ControlGroupLimits {
  // Bytes that may still be taken, counting file pages that have not been used for long as free; -1: no
  // limit.
  int64_t memory_left = -1;
  // Processors' worth of time in each period, such as 1.5; -1: no limit.
  double processors = -1;
};

// The tightest of the process's group and the groups around it, as far as they can be seen from here. `root`
// is put before every path, for tests: /proc/self/cgroup, /proc/self/mountinfo and what is mounted.
ControlGroupLimits ReadControlGroups(const std::string& root = "");

}  // namespace parley
