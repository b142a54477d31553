// One call as the server holds it: its admission, its phases, what the client is told, and how it ends.
// Bytes, flow control and the queue of what is to be written are the stream's, which the session knows as a
// SessionStream only.
//
// Of a session that has no place yet only SessionOpen is read, and waited for 5 s. While more of the call's
// audio or messages waits than should, the stream is not told to read on. A client that takes nothing of what
// it is sent within ServerOptions::slow_reader ends the call with SLOW_READER; one that does not take even
// that within the same time again is cut off.
//
// Owner: shared. The registry holds the session from Start until OnStreamDone, the stream for as long as it
// lives, and whoever else uses it (the ticker, a posted task) holds it meanwhile. It may outlive its stream:
// after OnStreamDone it has none, every method does nothing, and nothing is sent.
//
// Threads: what the stream calls comes on any thread. OnMessage, OnUnreadable and OnInputEnd come one at a
// time, and not between a message that was answered by Next::kWait and the Read that follows; together they
// are the reading side. Everything else may overlap them and itself. Nothing blocks.
//
// mutex_ guards the state. It is held while the stream is called, which puts what is sent in order and lets
// OnStreamDone wait for whoever uses the stream; it is not held while the LiveCall or the registry is called.
// Lock order: this one before the stream's.
//
// Errors: a fault that is not fatal becomes an Error message, and the call goes on. A fatal one, and each
// fault before the call is open, is the last message; the stream's status follows from its code (codes.h).
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "parley/v1/parley.pb.h"
#include "server/audio_meter.h"
#include "server/call_environment.h"
#include "server/call_phases.h"
#include "server/call_registry.h"
#include "server/codes.h"
#include "server/peer.h"
#include "server/session_stream.h"
#include "server/validation.h"
#include "streaming/call/capture_clock.h"
#include "streaming/call/live_call.h"

namespace parley::server {

class CallSession final : public streaming::CallSink,
                          public RegisteredCall,
                          public std::enable_shared_from_this<CallSession> {
 public:
  // Owned by a shared_ptr. `environment` outlives it.
  explicit CallSession(const CallEnvironment* environment);
  ~CallSession() override;

  // A stream has arrived, of `peer`; an error: who that is cannot be known, and the call is refused.
  // Registers the session, and then reads SessionOpen or finishes the stream. Once, before all that follows.
  // `stream` is used until OnStreamDone returns.
  void Start(SessionStream* stream, absl::StatusOr<Peer> peer) ABSL_LOCKS_EXCLUDED(mutex_);

  // What the stream does after a message: reads the next one, or waits for the session's Read.
  enum class Next { kRead, kWait };
  Next OnMessage(v1::ClientMessage message) ABSL_LOCKS_EXCLUDED(mutex_);
  // What came is no message (see ReadClientMessage for the status). Ends the call.
  void OnUnreadable(const grpc::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  // The client has said all, and still reads.
  void OnInputEnd() ABSL_LOCKS_EXCLUDED(mutex_);
  // A message could not be written, after Send had taken it.
  void OnSendFailed() ABSL_LOCKS_EXCLUDED(mutex_);
  // The client is gone. May come again.
  void OnStreamLost() ABSL_LOCKS_EXCLUDED(mutex_);
  // The stream is over, and with it the call. The stream is not used any more once this returns.
  void OnStreamDone() ABSL_LOCKS_EXCLUDED(mutex_);

  // streaming::CallSink, on the call's strand.
  void OnEvent(streaming::CallEvent event) override ABSL_LOCKS_EXCLUDED(mutex_);

  // RegisteredCall.
  void Admit() override ABSL_LOCKS_EXCLUDED(mutex_);
  void Wait(QueuePlace place) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Tick(absl::Time now) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain(absl::Duration time_left) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Cut(Fault fault) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The reading side.
  std::optional<Fault> Act(v1::ClientMessage& message, streaming::LiveCall& live);
  std::optional<Fault> Open(const v1::ClientMessage& message);
  // With a place, and no read under way; then reads on.
  std::optional<Fault> StartCall(const streaming::CallConfig& config);
  std::optional<Fault> Update(const v1::ClientMessage& message, streaming::LiveCall& live);
  // Whether more of the call waits than should; Read then follows once it does not. `live`: may be null.
  bool PausedByBacklog(const std::shared_ptr<streaming::LiveCall>& live);

  // Tells the client; ends the call when the fault is fatal.
  void Report(Fault fault, uint64_t client_seq) ABSL_LOCKS_EXCLUDED(mutex_);
  void Send(v1::ServerMessage message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendEvent(streaming::CallEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendReady(const streaming::CallConfig& config, uint64_t epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The message's time is now, its epoch at least the call's.
  void Stamp(v1::ServerMessage& message) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the call unless the stream has taken the message.
  void Check(SessionStream::SendResult result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Decides how the stream ends; only the first decision counts. The caller then aborts the LiveCall.
  void End(const Fault& fault, uint64_t client_seq) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(grpc::Status status, std::string reason, std::optional<v1::ServerMessage> last = std::nullopt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same with SLOW_READER, which takes the place of what is queued.
  void EndSlowReader() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndUnwritable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return phases_.ended(); }
  absl::Time Now() const { return env_.dependencies.clock->Now(); }

  // Frees the conversation. Not on the LiveCall's strand and not under the lock: there, AbortSoon.
  void AbortCall() ABSL_LOCKS_EXCLUDED(mutex_);
  void AbortSoon() {
    env_.dependencies.media_pool->Post([self = shared_from_this()] { self->AbortCall(); });
  }

  const CallEnvironment& env_;
  const std::string call_id_;
  Peer peer_;  // set by Start

  // Used by the reading side only.
  InboundState inbound_;
  std::optional<streaming::CallConfig> wanted_;  // by SessionOpen
  uint64_t open_seq_ = 0;                        // of SessionOpen
  streaming::CaptureClock capture_clock_;
  AudioMeter audio_meter_;

  absl::Mutex mutex_;
  // From Start until OnStreamDone; never null then, and in no phase before kEnding.
  SessionStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  CallPhases phases_ ABSL_GUARDED_BY(mutex_);
  std::string end_reason_ ABSL_GUARDED_BY(mutex_);                     // once kEnding
  std::shared_ptr<streaming::LiveCall> call_ ABSL_GUARDED_BY(mutex_);  // from kOpen on
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;  // the highest of the events so far
  // Events that came before SessionReady was sent.
  std::vector<streaming::CallEvent> early_events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::server
