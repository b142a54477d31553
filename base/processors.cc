#include "base/processors.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/control_group.h"

namespace parley {
namespace {

int AllowedProcessors() {
  // Larger until the kernel's mask fits.
  for (int processors = 1'024; processors <= 1 << 20; processors *= 4) {
    cpu_set_t* set = CPU_ALLOC(processors);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(processors);
    const bool read = sched_getaffinity(0, bytes, set) == 0;
    const int error = errno;
    const int count = read ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (read) return std::max(1, count);
    if (error != EINVAL) break;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Processors UsableProcessors(const std::string& root) {
  Processors processors;
  processors.allowed = AllowedProcessors();
  processors.quota = ReadControlGroups(root).processors;
  processors.usable = processors.allowed;
  if (processors.quota > 0 && processors.quota < processors.allowed)
    processors.usable = std::max(1, static_cast<int>(processors.quota + 1e-6));
  return processors;
}

}  // namespace parley
