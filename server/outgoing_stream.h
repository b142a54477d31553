// The writing side of a call's stream: one message at a time goes to gRPC, the rest waits in OutgoingQueue
// under its policy, and after the last one goes the stream's status.
//
// Not thread-safe: the owner's lock guards it, and is held while gRPC is called.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/clock.h"
#include "parley/v1/parley.pb.h"
#include "server/metrics.h"
#include "server/outgoing_queue.h"
#include "streaming/api/call_events.h"

namespace parley::server {

class OutgoingStream {
 public:
  using Stream = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  // All outlive it. `metrics` is told of each message that goes out.
  OutgoingStream(Stream* stream, OutgoingLimits limits, const Clock* clock, Metrics* metrics);

  // These queue a message; Pump sets it going. Its time is now, its epoch at least the stream's. False: over
  // a bound, it was not taken.
  bool Push(v1::ServerMessage message);
  bool PushMetrics(v1::ServerMessage message, const streaming::TurnTimes& times);
  // The last one, whatever the bounds.
  void PushLast(v1::ServerMessage message);
  void RaiseEpoch(uint64_t epoch);
  // Of what is queued: the tokens of an answer; everything.
  void DropTokens(uint64_t response_id) { queue_.DropTokens(response_id); }
  void Clear() { queue_.Clear(); }

  // After what is queued the stream ends with this. Once.
  void EndWith(grpc::Status status);
  // The client is gone: nothing is written any more.
  void Cancel();

  // Writes the next message, unless one is being written, or ends the stream. False: a message could not be
  // serialized; what was queued is dropped, and the owner ends the call.
  bool Pump();
  // gRPC has taken the message that was written.
  void OnWritten();

  // gRPC has taken nothing of what it has to for longer than this, because the client does not read.
  bool Stuck(absl::Time now, absl::Duration limit) const;

 private:
  void Stamp(v1::ServerMessage& message) const;

  Stream* const stream_;
  const Clock* const clock_;
  Metrics* const metrics_;
  OutgoingQueue queue_;
  uint64_t epoch_ = 0;
  bool writing_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
  grpc::ByteBuffer buffer_;             // of the message being written
  std::optional<grpc::Status> status_;  // how the stream ends, once that is known
  absl::Time progress_;                 // when gRPC last took something, or had to start to
};

}  // namespace parley::server
