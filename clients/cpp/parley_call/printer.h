// What a call's events say, as lines of a terminal or as JSON.
//
//    0.9 s  camera  The image shows an espresso.
//    3.2 s  you     What is the capital of France?
//    3.6 s  parley  The capital of France is Paris.
//
// An answer's tokens appear as they come.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "clients/cpp/parley_call/terminal.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

struct PrinterOptions {
  bool json = false;
  bool timing = false;
  bool verbose = false;
  bool color = false;
};

// One thread at a time. Time is counted from the SessionReady event.
class Printer {
 public:
  Printer(std::ostream& out, PrinterOptions options, const Clock* clock);
  void Print(const v1::ServerMessage& event);
  // The last line, after the last event.
  void PrintEnd(const absl::Status& outcome);

 private:
  void PrintHuman(const v1::ServerMessage& event);

  std::ostream& out_;
  const PrinterOptions options_;
  Terminal terminal_;
  int turns_ = 0;
  int frames_seen_ = 0, frames_dropped_ = 0;
};

// "turn 1: first token 412 ms after the end of turn (...)".
std::string TimingLine(uint64_t turn_id, const v1::TurnMetrics& metrics);

}  // namespace parley::client
