#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace parley {
namespace {

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int64_t MemAvailableOf(const std::string& meminfo) {
  std::istringstream lines(meminfo);
  int64_t kib = 0;
  for (std::string name; lines >> name;) {
    if (name == "MemAvailable:" && lines >> kib && kib >= 0) return kib * 1024;
    lines.ignore(meminfo.size(), '\n');
  }
  return -1;
}

int64_t LeftInGroup(const std::string& max, const std::string& current) {
  int64_t most = 0;
  int64_t used = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(max), &most)) return -1;  // "max"
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(current), &used)) return -1;
  return std::max<int64_t>(0, most - used);
}

int64_t AvailableMemoryBytes() {
  constexpr int64_t kLeast = int64_t{256} << 20;
  const int64_t machine = MemAvailableOf(ReadAll("/proc/meminfo"));
  const int64_t group =
      LeftInGroup(ReadAll("/sys/fs/cgroup/memory.max"), ReadAll("/sys/fs/cgroup/memory.current"));
  if (machine < 0 || group < 0) return std::max({kLeast, machine, group});
  return std::max(kLeast, std::min(machine, group));
}

}  // namespace parley
