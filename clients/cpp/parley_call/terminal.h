// Lines on a terminal, each with its time and a label:
//
//    0.9 s  camera  The image shows an espresso.
//
// The line of an answer is written piece by piece. Other lines wait until it is finished.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace parley::client {

// One thread at a time. Time is counted from construction, or from the last CountFromNow.
class Terminal {
 public:
  enum class Style { kPlain, kDim, kBold, kRed };

  // `color`: whether styles are shown.
  Terminal(std::ostream& out, bool color, const Clock* clock);

  void CountFromNow() { start_ = clock_->Now(); }
  void Line(const char* label, const std::string& text, Style style);
  // The next piece of the answer; the first one begins its line.
  void Answer(const std::string& text);
  // Ends the answer's line, if one is open, and writes the lines that waited for it. `mark` stands at its
  // end.
  void CloseAnswer(const char* mark = "");

 private:
  std::string Prefix(const char* label, Style style) const;

  std::ostream& out_;
  const bool color_;
  const Clock* const clock_;
  absl::Time start_;
  bool answer_open_ = false;
  std::vector<std::string> held_;  // lines that wait for the answer's end; a few a second at most
};

}  // namespace parley::client
