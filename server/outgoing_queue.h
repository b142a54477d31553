// What a call still has to write, in order.
//
// Bounded in messages and in bytes. Policy: from half of either bound on, the text of a TokenDelta joins the
// last unsent TokenDelta of the same answer and epoch, so that a client that reads in bursts costs no more
// messages; a message that would still pass a bound is refused (the owner then ends the call with
// SLOW_READER). Nothing is dropped in silence. Late output is fenced: once an answer is interrupted its
// unsent TokenDeltas leave.
//
// Not thread-safe: the owner's lock guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"
#include "streaming/api/call_events.h"

namespace parley::server {

struct OutgoingLimits {
  size_t max_messages = 1'024;
  size_t max_bytes = 1 << 20;
};

class OutgoingQueue {
 public:
  explicit OutgoingQueue(OutgoingLimits limits) : limits_(limits) {}

  // False: over a bound; the message was not taken. server_time_us is the caller's to set.
  bool Push(v1::ServerMessage message);
  // A TurnMetrics message, whose durations are made when it is taken out: only then is it known when the
  // first token of its answer was.
  bool PushMetrics(v1::ServerMessage envelope, const streaming::TurnTimes& times);
  // The call's last message (a fatal Error), whatever the bounds.
  void PushLast(v1::ServerMessage message);

  // Takes out the oldest message, with its seq; nothing when empty. `now`: the moment it goes to the
  // transport.
  std::optional<v1::ServerMessage> Pop(absl::Time now);

  // Takes out unsent TokenDeltas of an answer.
  void DropTokens(uint64_t response_id);
  void Clear();

  bool empty() const { return items_.empty(); }
  size_t messages() const { return items_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Item {
    v1::ServerMessage message;
    size_t bytes = 0;
    std::optional<streaming::TurnTimes> times;
  };

  bool MergeToken(const v1::ServerMessage& message);
  bool PushItem(Item item);

  const OutgoingLimits limits_;
  std::deque<Item> items_;
  size_t bytes_ = 0;
  uint64_t last_seq_ = 0;
  // The answer whose first token was taken out last, and when.
  uint64_t written_response_ = 0;
  absl::Time first_write_ = absl::InfinitePast();
};

}  // namespace parley::server
