#include "base/control_group.h"

#include <algorithm>
#include <functional>
#include <map>
#include <sstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/read_file.h"

namespace parley {
namespace {

constexpr int64_t kNoLimit = int64_t{1} << 60;  // v1 writes the largest multiple of a page

// -1: no such file, or it does not hold a number ("max").
int64_t ReadNumber(const std::string& path) {
  int64_t number = 0;
  const bool read = absl::SimpleAtoi(absl::StripAsciiWhitespace(ReadFileOrNothing(path)), &number);
  return read && number >= 0 && number < kNoLimit ? number : -1;
}

// Of a file of lines "name number"; 0: it is not there.
int64_t ReadEntry(const std::string& path, const std::string& name) {
  std::istringstream lines(ReadFileOrNothing(path));
  int64_t number = 0;
  for (std::string word; lines >> word >> number;) {
    if (word == name) return number;
  }
  return 0;
}

void Tighten(int64_t& limit, int64_t by) {
  if (by >= 0) limit = limit < 0 ? by : std::min(limit, by);
}

void TightenMemory(const std::string& folder, const char* limit, const char* used, const char* idle_pages,
                   ControlGroupLimits& to) {
  const int64_t most = ReadNumber(folder + limit);
  const int64_t taken = ReadNumber(folder + used);
  if (most < 0 || taken < 0) return;
  const int64_t idle = std::clamp<int64_t>(ReadEntry(folder + "/memory.stat", idle_pages), 0, taken);
  Tighten(to.memory_left, std::max<int64_t>(0, most - (taken - idle)));
}

void TightenProcessors(double quota_us, double period_us, ControlGroupLimits& to) {
  if (quota_us <= 0 || period_us <= 0) return;
  const double processors = quota_us / period_us;
  to.processors = to.processors < 0 ? processors : std::min(to.processors, processors);
}

void ReadVersion2(const std::string& folder, ControlGroupLimits& to) {
  // Over `high` the kernel slows the process down, which is too late for us, too.
  for (const char* limit : {"/memory.max", "/memory.high"})
    TightenMemory(folder, limit, "/memory.current", "inactive_file", to);
  std::istringstream cpu(ReadFileOrNothing(folder + "/cpu.max"));
  double quota_us = 0;
  double period_us = 0;
  if (cpu >> quota_us >> period_us) TightenProcessors(quota_us, period_us, to);  // "max 100000" is no number
}

void ReadMemoryVersion1(const std::string& folder, ControlGroupLimits& to) {
  TightenMemory(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file", to);
}

void ReadCpuVersion1(const std::string& folder, ControlGroupLimits& to) {
  TightenProcessors(static_cast<double>(ReadNumber(folder + "/cpu.cfs_quota_us")),
                    static_cast<double>(ReadNumber(folder + "/cpu.cfs_period_us")), to);
}

// The group's path, by controller; v2's has the empty name.
std::map<std::string, std::string> GroupsOfProcess(const std::string& root) {
  std::map<std::string, std::string> groups;
  const std::string text = ReadFileOrNothing(root + "/proc/self/cgroup");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    // ID:CONTROLLERS:PATH; a path may hold colons.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    for (absl::string_view controller : absl::StrSplit(parts[1], ','))
      groups[std::string(controller)] = parts[2];
  }
  return groups;
}

using Reader = std::function<void(const std::string& folder, ControlGroupLimits& to)>;

// The group at `path` of the hierarchy and all around it, up to what is mounted: a container often sees its
// own group as the root.
void ReadUpwards(const std::string& mounted_at, const std::string& mounted_path, const std::string& path,
                 const Reader& read, ControlGroupLimits& to) {
  std::string below;
  if (mounted_path == "/") {
    below = path;
  } else if (absl::StartsWith(path, mounted_path + "/")) {
    below = path.substr(mounted_path.size());
  }
  if (!absl::StartsWith(below, "/") || absl::StrContains(below, "/..")) below.clear();
  while (true) {
    while (absl::EndsWith(below, "/")) below.pop_back();
    read(mounted_at + below, to);
    if (below.empty()) return;
    below.erase(below.rfind('/'));
  }
}

}  // namespace

ControlGroupLimits ReadControlGroups(const std::string& root) {
  ControlGroupLimits limits;
  const std::map<std::string, std::string> groups = GroupsOfProcess(root);
  const std::string mounts = ReadFileOrNothing(root + "/proc/self/mountinfo");
  for (absl::string_view line : absl::StrSplit(mounts, '\n')) {
    // ID PARENT DEVICE PATH MOUNTED_AT OPTIONS [TAGS] - TYPE SOURCE OPTIONS
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.end() - dash < 4 || dash - words.begin() < 6) continue;
    const std::string& type = dash[1];
    const std::vector<std::string> options = absl::StrSplit(dash[3], ',');
    const auto read = [&](const std::string& controller, const Reader& reader) {
      const auto group = groups.find(controller);
      if (group == groups.end()) return;
      ReadUpwards(root + words[4], words[3], group->second, reader, limits);
    };
    if (type == "cgroup2") {
      read("", ReadVersion2);
    } else if (type == "cgroup") {
      const auto has = [&](const char* controller) {
        return std::find(options.begin(), options.end(), controller) != options.end();
      };
      if (has("memory")) read("memory", ReadMemoryVersion1);
      if (has("cpu")) read("cpu", ReadCpuVersion1);
    }
  }
  return limits;
}

}  // namespace parley
