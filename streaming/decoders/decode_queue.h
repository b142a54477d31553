// Whose picture is decoded next, and which is not: pure policy on a time that the caller gives.
//
//   one each   A call has one frame here at a time. CallVideo keeps the others, and says what becomes of
//   them. places     So many frames are decoded at once, as many as there are cores. A frame that is being
//   decoded is
//              not interrupted, so the last free place is kept for calls of short frames: long ones wait for
//              each other, not the short ones for them.
//   order      Calls of short frames first; among equals, who came first. As each call has one frame here,
//   that
//              is one frame a call in turn.
//   share      A call may use `call_share` of one core's time in the long run, and `call_burst` at once. What
//   it
//              used is counted when its frame is done. A frame that comes while nothing of it is left is
//              dropped.
//   max_wait   A frame that no place was found for in this time is dropped: it is too old to be looked at.
//   frame_limit  Wall-clock time of one frame in the decoder. Longer than a picture of the largest size takes
//              where model threads leave a quarter of a core.
// What is dropped is reported OVERLOADED, and a stream waits for its next key frame.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace parley::streaming {

struct DecodePolicy {
  int places = 2;  // at least 1
  double call_share = 0.5;
  absl::Duration call_burst = absl::Seconds(2);
  // A call is one of short frames while none of it took longer lately (an estimate that falls by a tenth with
  // each frame): a 1080p frame takes less, a still of 4 megapixels more.
  absl::Duration short_frame = absl::Milliseconds(50);
  absl::Duration max_wait = absl::Seconds(2);
  absl::Duration frame_limit = absl::Seconds(5);
};

// As many places as this machine has cores, and two at least.
DecodePolicy PolicyOfThisMachine();

// Not thread-safe.
class DecodeQueue {
 public:
  using CallId = uint64_t;

  explicit DecodeQueue(const DecodePolicy& policy) : policy_(policy) {}

  void Open(CallId call, absl::Time now);
  // Forgets the call; a frame of it that is being decoded gives its place back.
  void Close(CallId call);

  // A frame has come. False: it is to be dropped, nothing is left of the call's share.
  // REQUIRES: the call is open and its frame before this one is done.
  bool Ask(CallId call, absl::Time now);
  // Whose frame is to be decoded now, if any; it takes a place.
  std::optional<CallId> Start();
  // The frame that was started is done, for good or bad. `used`: core time that it took.
  void Finish(CallId call, absl::Duration used, absl::Time now);

  // The call's frame waits for its turn.
  bool waits(CallId call) const;
  // It does not any more.
  void Forget(CallId call);
  // Calls whose frame has waited too long; it is not waited for any more.
  std::vector<CallId> TakeExpired(absl::Time now);
  // When the next one will have; InfiniteFuture: none waits.
  absl::Time NextExpiry() const;

 private:
  struct Call {
    absl::Duration left;   // of its share; below zero: it has used more
    absl::Time counted;    // when that was so
    absl::Duration frame;  // the longest lately
    uint64_t turn = 0;     // when it was started last, counted
    bool running = false;
  };
  struct Waiting {
    CallId call = 0;
    absl::Time since;
  };

  absl::Duration Left(const Call& call, absl::Time now) const;
  bool Short(CallId call) const { return calls_.at(call).frame <= policy_.short_frame; }

  const DecodePolicy policy_;
  std::map<CallId, Call> calls_;
  std::deque<Waiting> waiting_;  // in the order they came
  int running_ = 0;
  uint64_t turns_ = 0;
};

// How long to leave alone what keeps failing. The first failure costs nothing, each that follows doubles the
// wait, from kFirst to kMost; ten seconds without one forgive one.
class Backoff {
 public:
  static constexpr absl::Duration kFirst = absl::Milliseconds(250);
  static constexpr absl::Duration kMost = absl::Seconds(8);
  static constexpr absl::Duration kForgive = absl::Seconds(10);

  void Failed(absl::Time now);
  // InfinitePast: at once.
  absl::Time not_before() const { return not_before_; }

 private:
  int level_ = 0;
  absl::Time last_ = absl::InfinitePast();
  absl::Time not_before_ = absl::InfinitePast();
};

}  // namespace parley::streaming
