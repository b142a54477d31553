// Ends a stream of text before the first stop string, wherever the stream's chunks happen to be cut.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace parley::engine::text {

// One answer's.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stop);

  // Takes whole characters; returns the text that is certain to come before any stop string. What is held
  // back is only the longest end of the text that could be a stop string's beginning.
  std::string Add(absl::string_view text);
  // The string that is complete first ends the text; of several complete at the same place, the longest.
  bool stopped() const { return stopped_; }
  // The end: what was held back after all; empty once stopped.
  std::string Finish();

 private:
  std::vector<std::string> stop_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace parley::engine::text
