// Processes as /proc tells of them.
#pragma once

#include <dirent.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace parley::streaming {

struct ProcessInfo {
  int pid = 0;
  char state = '?';
  int parent = 0;
  int nice = 0;
};
// From /proc/PID/stat; state '?': there is no such process.
inline ProcessInfo InfoOf(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;  // empty, too, when the process ends between the opening and the reading
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {.pid = pid};
  const std::vector<std::string> fields = absl::StrSplit(text.substr(name_end + 2), ' ');
  return {pid, fields[0][0], std::stoi(fields[1]), std::stoi(fields[16])};
}
inline std::vector<int> ChildrenOf(int parent) {
  std::vector<int> children;
  if (DIR* open = opendir("/proc"); open != nullptr) {
    while (const dirent* entry = readdir(open)) {
      int pid = 0;
      if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
      const ProcessInfo info = InfoOf(pid);
      if (info.parent == parent && info.state != 'Z') children.push_back(pid);
    }
    closedir(open);
  }
  return children;
}
inline bool Lives(int pid) {
  const char state = InfoOf(pid).state;
  return state != '?' && state != 'Z' && state != 'X';
}
// The kernel ends processes in its own time.
inline void AwaitEnd(int pid) {
  while (Lives(pid)) std::this_thread::yield();
}

}  // namespace parley::streaming
