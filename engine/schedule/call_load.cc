#include "engine/schedule/call_load.h"

#include <cmath>
#include <numbers>

namespace parley::engine::schedule {

void CallLoad::SetConversations(int conversations, absl::Time now) {
  Advance(now);
  conversations_ = conversations;
}

void CallLoad::AddWork(absl::Duration work, absl::Time now) {
  Advance(now);
  work_ += absl::ToDoubleSeconds(work);
}

double CallLoad::PerConversation(absl::Time now) const {
  CallLoad here = *this;
  here.Advance(now);
  return (here.work_ + kGuess * kGuessSeconds) / (here.talk_ + kGuessSeconds);
}

void CallLoad::Advance(absl::Time now) {
  if (now <= now_) return;
  const double kept = std::exp2(-absl::FDivDuration(now - now_, kHalfLife));
  now_ = now;
  work_ *= kept;
  // The integral of a conversation that decays meanwhile.
  talk_ = talk_ * kept + conversations_ * (1 - kept) * absl::ToDoubleSeconds(kHalfLife) / std::numbers::ln2;
}

}  // namespace parley::engine::schedule
