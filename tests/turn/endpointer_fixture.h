// An endpointer in simulated time, one probability every 32 ms, and what it said.
#pragma once

#include <vector>

#include "gtest/gtest.h"
#include "streaming/turn/endpointer.h"

namespace parley::streaming {

using Kind = TurnEvent::Kind;
inline constexpr int64_t kWindow = Endpointer::kWindow;
inline constexpr float kSpeech = 0.9f;
inline constexpr float kSilence = 0.01f;

inline int64_t Windows(int n) { return n * kWindow; }

// Feeds windows and keeps what was said, with where it was said.
class EndpointerTest : public testing::Test {
 protected:
  struct Said {
    TurnEvent event;
    int64_t at = 0;  // end of the window that decided it
  };

  void Feed(int windows, float probability) {
    for (int i = 0; i < windows; ++i) {
      const TurnEvents events = endpointer_.Push(position_, probability);
      position_ += kWindow;
      Keep(events);
    }
  }
  void Keep(const TurnEvents& events) {
    for (const TurnEvent& event : events) said_.push_back({event, position_});
  }
  std::vector<Said> Of(Kind kind) const {
    std::vector<Said> found;
    for (const Said& said : said_) {
      if (said.event.kind == kind) found.push_back(said);
    }
    return found;
  }
  void Use(const TurnConfig& config) { endpointer_ = Endpointer(config); }

  TurnConfig config_;
  Endpointer endpointer_{config_};
  int64_t position_ = 0;
  std::vector<Said> said_;
};

}  // namespace parley::streaming
