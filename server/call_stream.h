// One gRPC stream of a call: bytes, flow control and the queue of what is to be written. What the messages
// mean is the session's (call_session.h).
//
// Reads and writes are raw bytes, parsed here: the typed interface of gRPC shows a message that does not
// parse (invalid UTF-8, say) as the end of the stream, and the client deserves to be told.
//
// Flow control: one message is read at a time, and the next one when the session says so; the rest of what
// the client sends stays with gRPC. One message is written at a time; the rest waits in OutgoingQueue, under
// its policy.
//
// Owner: gRPC, from Start until OnDone, where the stream deletes itself. It shares the session, which forgets
// the stream within OnDone.
//
// Threads: gRPC's reactions come on any thread; OnReadDone and OnWriteDone each one at a time, all may
// overlap one another and the session's calls. mutex_ guards the state, and is held while gRPC is called, so
// that no operation starts after Finish. Lock order: the session's before this one; it is not held while the
// session is called.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "parley/v1/parley.pb.h"
#include "server/call_environment.h"
#include "server/metrics.h"
#include "server/outgoing_queue.h"
#include "server/session_stream.h"
#include "streaming/api/call_events.h"

namespace parley::server {

class CallSession;

class CallStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public SessionStream {
 public:
  // For a stream that has just arrived, with a session of its own. The result lives until its OnDone.
  static CallStream* Start(grpc::CallbackServerContext* context, const CallEnvironment* environment);

  // grpc::ServerBidiReactor.
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

  // SessionStream.
  SendResult Send(v1::ServerMessage message) override ABSL_LOCKS_EXCLUDED(mutex_);
  SendResult SendMetrics(v1::ServerMessage envelope, const streaming::TurnTimes& times) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void DropTokens(uint64_t response_id) override ABSL_LOCKS_EXCLUDED(mutex_);
  void DropQueued() override ABSL_LOCKS_EXCLUDED(mutex_);
  void Read() override ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(std::optional<v1::ServerMessage> last, grpc::Status status) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Cancel() override;
  absl::Time BlockedSince() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class ReadState {
    kIdle,     // the session has not asked for the next message
    kReading,  // a read is under way
    kEnded,    // the client has half-closed, or is gone
  };
  enum class WriteState {
    kIdle,
    kWriting,  // a write is under way
    kFailed,   // one has failed, so that every other would
  };
  enum class FinishState {
    kOpen,
    kDecided,   // status_ is known, and waits for what is to be written before it
    kFinished,  // gRPC has it
  };

  CallStream(grpc::CallbackServerContext* context, const CallEnvironment* environment,
             std::shared_ptr<CallSession> session);
  ~CallStream() override = default;

  // Pump, once a message was queued or refused.
  SendResult Queued(bool taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes the next message, unless one is being written, or finishes. False: a message could not be
  // serialized; what was queued is dropped, and the session has to end the call.
  bool Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const std::shared_ptr<CallSession> session_;
  const Clock* const clock_;
  Metrics* const metrics_;        // is told of each message that is written
  grpc::ByteBuffer read_buffer_;  // gRPC's while a read is under way, then OnReadDone's

  mutable absl::Mutex mutex_;
  ReadState read_ ABSL_GUARDED_BY(mutex_) = ReadState::kIdle;
  WriteState write_ ABSL_GUARDED_BY(mutex_) = WriteState::kIdle;
  FinishState finish_ ABSL_GUARDED_BY(mutex_) = FinishState::kOpen;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is written any more
  OutgoingQueue queue_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer write_buffer_ ABSL_GUARDED_BY(mutex_);  // of the message being written
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  // When gRPC last took something, or had to start to.
  absl::Time progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::server
