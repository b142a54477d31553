#include "streaming/decoders/decode_queue.h"

#include <algorithm>
#include <thread>

namespace parley::streaming {

DecodePolicy PolicyOfThisMachine() {
  return {.places = std::max(2, static_cast<int>(std::thread::hardware_concurrency()))};
}

void DecodeQueue::Open(CallId call, absl::Time now) {
  calls_[call] = {.left = policy_.call_burst, .counted = now};
}

void DecodeQueue::Close(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  if (found->second.running) --running_;
  calls_.erase(found);
  Forget(call);
}

bool DecodeQueue::waits(CallId call) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [call](const Waiting& each) { return each.call == call; });
}

void DecodeQueue::Forget(CallId call) {
  std::erase_if(waiting_, [call](const Waiting& each) { return each.call == call; });
}

absl::Duration DecodeQueue::Left(const Call& call, absl::Time now) const {
  const absl::Duration passed = std::max(now - call.counted, absl::ZeroDuration());
  return std::min(policy_.call_burst, call.left + policy_.call_share * passed);
}

bool DecodeQueue::Ask(CallId call, absl::Time now) {
  const auto found = calls_.find(call);
  if (found == calls_.end() || Left(found->second, now) <= absl::ZeroDuration()) return false;
  waiting_.push_back({call, now});
  return true;
}

std::optional<DecodeQueue::CallId> DecodeQueue::Start() {
  const int free = policy_.places - running_;
  if (free <= 0 || waiting_.empty()) return std::nullopt;
  const auto next =
      std::min_element(waiting_.begin(), waiting_.end(), [this](const Waiting& a, const Waiting& b) {
        const bool a_short = Short(a.call);
        if (a_short != Short(b.call)) return a_short;
        return calls_.at(a.call).turn < calls_.at(b.call).turn;
      });
  const CallId call = next->call;
  if (!Short(call) && free == 1 && policy_.places > 1) return std::nullopt;
  waiting_.erase(next);
  calls_.at(call).running = true;
  calls_.at(call).turn = ++turns_;
  ++running_;
  return call;
}

void DecodeQueue::Finish(CallId call, absl::Duration used, absl::Time now) {
  const auto found = calls_.find(call);
  if (found == calls_.end() || !found->second.running) return;
  Call& each = found->second;
  each.left = Left(each, now) - used;
  each.counted = now;
  each.frame = std::max(used, 0.9 * each.frame);
  each.running = false;
  --running_;
}

std::vector<DecodeQueue::CallId> DecodeQueue::TakeExpired(absl::Time now) {
  std::vector<CallId> expired;
  while (!waiting_.empty() && now - waiting_.front().since >= policy_.max_wait) {
    expired.push_back(waiting_.front().call);
    waiting_.pop_front();
  }
  return expired;
}

absl::Time DecodeQueue::NextExpiry() const {
  return waiting_.empty() ? absl::InfiniteFuture() : waiting_.front().since + policy_.max_wait;
}

void Backoff::Failed(absl::Time now) {
  if (last_ != absl::InfinitePast()) {
    const int64_t forgiven = (now - last_) / kForgive;
    level_ = static_cast<int>(std::max<int64_t>(0, level_ - forgiven));
  }
  last_ = now;
  ++level_;
  if (level_ < 2) return;
  not_before_ = now + std::min(kMost, kFirst * (int64_t{1} << std::min(level_ - 2, 10)));
}

}  // namespace parley::streaming
