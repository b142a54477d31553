#include "engine/text/stop_strings.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::engine::text {

StopStrings::StopStrings(std::vector<std::string> stop) : stop_(std::move(stop)) {
  stop_.erase(std::remove_if(stop_.begin(), stop_.end(), [](const std::string& s) { return s.empty(); }),
              stop_.end());
}

std::string StopStrings::Add(absl::string_view text) {
  if (stopped_) return "";
  if (stop_.empty()) return std::string(text);
  absl::StrAppend(&held_, text);

  size_t best_begin = std::string::npos;
  size_t best_end = std::string::npos;
  for (const std::string& stop : stop_) {
    const size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (end < best_end || (end == best_end && begin < best_begin)) {
      best_begin = begin;
      best_end = end;
    }
  }
  if (best_end != std::string::npos) {
    stopped_ = true;
    std::string before = held_.substr(0, best_begin);
    held_.clear();
    return before;
  }

  // No stop string lies within what is held, so that a beginning of one is shorter than the string.
  size_t keep = 0;
  for (const std::string& stop : stop_) {
    for (size_t size = std::min(stop.size() - 1, held_.size()); size > keep; --size) {
      if (held_.compare(held_.size() - size, size, stop, 0, size) == 0) keep = size;
    }
  }
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopStrings::Finish() { return std::exchange(held_, ""); }

}  // namespace parley::engine::text
