#include "base/memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <sstream>

#include "base/control_group.h"
#include "base/read_file.h"

namespace parley {

void GiveFreedMemoryBack() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

int64_t MemAvailableOf(const std::string& meminfo) {
  std::istringstream lines(meminfo);
  int64_t kib = 0;
  for (std::string name; lines >> name;) {
    if (name == "MemAvailable:" && lines >> kib && kib >= 0) return kib * 1024;
    lines.ignore(meminfo.size(), '\n');
  }
  return -1;
}

int64_t AvailableMemoryBytes(const std::string& root) {
  constexpr int64_t kLeast = int64_t{256} << 20;
  const int64_t machine = MemAvailableOf(ReadFileOrNothing(root + "/proc/meminfo"));
  const int64_t group = ReadControlGroups(root).memory_left;
  if (machine < 0 || group < 0) return std::max({kLeast, machine, group});
  return std::max(kLeast, std::min(machine, group));
}

}  // namespace parley
