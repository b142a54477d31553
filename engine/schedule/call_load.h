// What a conversation takes of the device, measured: how much work there was, by how many conversations, the
// last half minute most. Not thread-safe; time is told.
#pragma once

#include "absl/time/time.h"

namespace parley::engine::schedule {

class CallLoad {
 public:
  // So many conversations are there from now on.
  void SetConversations(int conversations, absl::Time now);
  // The device worked so long. What conversations do together counts as if the device were full: a token that
  // is decoded alone takes as long as many, and costs little where there are many.
  void AddWork(absl::Duration work, absl::Time now);
  // The share of the device's time that one conversation takes. Before there is something to go by: kGuess.
  double PerConversation(absl::Time now) const;

 private:
  static constexpr absl::Duration kHalfLife = absl::Seconds(20);
  // The guess counts as much as a conversation of so long.
  static constexpr double kGuess = 0.01;
  static constexpr double kGuessSeconds = 60;

  void Advance(absl::Time now);

  absl::Time now_ = absl::InfinitePast();
  int conversations_ = 0;
  // Decaying sums, seconds.
  double work_ = 0;
  double talk_ = 0;  // of all conversations together
};

}  // namespace parley::engine::schedule
