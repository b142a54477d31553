// What a session knows of the connection to its client: messages are sent to it, it says whether the client
// takes them, and it ends with a status. What the client sends comes the other way, to CallSession.
//
// Owner: whoever implements it (CallStream for gRPC). A session uses it from CallSession::Start until
// CallSession::OnStreamDone returns, and never after.
//
// Threads: any, one at a time: every method is called with the session's lock held. So none may block or call
// the session before it returns.
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"
#include "streaming/api/call_events.h"

namespace parley::server {

class SessionStream {
 public:
  enum class SendResult {
    kQueued,
    kFull,    // over a bound: the message was not taken
    kFailed,  // a message could not be serialized: it and what was queued are lost
  };

  virtual ~SessionStream() = default;

  // Queues a message, complete but for its seq, and writes it when those before it are written.
  virtual SendResult Send(v1::ServerMessage message) = 0;
  // The same for a TurnMetrics message. Its durations are made from `times` when it is written: only then is
  // it known when the first token of its answer was.
  virtual SendResult SendMetrics(v1::ServerMessage envelope, const streaming::TurnTimes& times) = 0;

  // Drops messages that are queued and not being written: an answer's TokenDeltas; all.
  virtual void DropTokens(uint64_t response_id) = 0;
  virtual void DropQueued() = 0;

  // Reads the next message. No-op while one is being read, and once the stream ends.
  virtual void Read() = 0;

  // Ends the stream once what is queued is written: by `last`, if there is one, whatever the bounds, then by
  // the status. Once; nothing is sent or read afterwards.
  virtual void Finish(std::optional<v1::ServerMessage> last, grpc::Status status) = 0;
  // Breaks the connection off: what is queued, and the status, are lost.
  virtual void Cancel() = 0;

  // Since when the client has taken nothing of what it is owed; InfiniteFuture: it is owed nothing.
  virtual absl::Time BlockedSince() const = 0;
};

}  // namespace parley::server
