// One call's stream: client messages in, checked, to the LiveCall; its events out.
//
// One object a call. gRPC owns its life by reactions, the registry by reference: it is registered from the
// moment the stream arrives until OnDone, and whoever else uses it (the ticker, a posted task) holds a
// reference too. Nothing here blocks, and no lock is held while the LiveCall is called.
//
// Reads and writes are raw bytes, parsed here: the typed interface of gRPC shows a message that does not
// parse (invalid UTF-8, say) as the end of the stream, and the client deserves to be told.
//
// Of a stream that has no place yet only SessionOpen is read, and waited for 5 s: the rest of what it sends
// stays with gRPC, under its flow control.
//
// Flow control: one message is read at a time, and none while more of the call's audio or messages waits than
// should. One message is written at a time; the rest waits in OutgoingStream. A write that
// does not complete within ServerOptions::slow_reader ends the call with SLOW_READER; a client that does not
// take even that within the same time again is cut off.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/api/engine.h"
#include "parley/v1/parley.pb.h"
#include "server/audio_meter.h"
#include "server/call_registry.h"
#include "server/codes.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/outgoing_stream.h"
#include "server/peer.h"
#include "server/validation.h"
#include "streaming/call/capture_clock.h"
#include "streaming/call/live_call.h"

namespace parley::server {

// What all calls share; outlives them.
struct CallEnvironment {
  ServerOptions options;
  v1::Limits limits;
  Accepts accepts;
  v1::ModelInfo model;
  std::map<std::string, std::string> server_config;  // for SessionReady
  streaming::LiveCall::Dependencies dependencies;
  Metrics* metrics = nullptr;
  CallRegistry* registry = nullptr;
};

class CallReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public streaming::CallSink,
                          public RegisteredCall,
                          public std::enable_shared_from_this<CallReactor> {
 public:
  // For a stream that has just arrived; hears or refuses it. The result lives until its OnDone.
  static CallReactor* Start(grpc::CallbackServerContext* context, const CallEnvironment* environment);
  ~CallReactor() override;

  // grpc::ServerBidiReactor. OnReadDone and OnWriteDone each one at a time; all may overlap one another.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // streaming::CallSink, on the call's strand.
  void OnEvent(streaming::CallEvent event) override;

  // RegisteredCall.
  void Admit() override;
  void Wait(QueuePlace place) override;
  void Tick(absl::Time now) override;
  void Drain(absl::Duration time_left) override;
  void Cut(Fault fault) override;

 private:
  enum class Phase {
    kOpening,  // waits for SessionOpen
    kWaiting,  // waits for a place; nothing is read
    kOpen,     // takes messages
    kClosing,  // the client has said all; the LiveCall finishes what it owes
    kEnding,   // the status is decided; what is queued is written before it
  };

  CallReactor(grpc::CallbackServerContext* context, const CallEnvironment* environment);
  void Begin();

  // The reading side: one at a time. False: whoever starts the call goes on reading.
  bool Handle(v1::ClientMessage message);
  std::optional<Fault> Act(v1::ClientMessage& message);
  std::optional<Fault> Open(const v1::ClientMessage& message);
  // With a place, and no read under way; then reads on.
  std::optional<Fault> StartCall(const streaming::CallConfig& config) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<Fault> Update(const v1::SessionUpdate& update);
  void CloseInput();
  void ContinueReading();

  // Tells the client; ends the call when the fault is fatal.
  void Report(Fault fault, uint64_t client_seq);
  void Send(v1::ServerMessage message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendEvent(streaming::CallEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendReady(const streaming::CallConfig& config, uint64_t epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Decides how the stream ends; only the first decision counts. The caller then aborts the LiveCall.
  void End(const Fault& fault, uint64_t client_seq) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(grpc::Status status, std::string reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Overflowed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return phase_ == Phase::kEnding; }

  std::shared_ptr<streaming::LiveCall> call() ABSL_LOCKS_EXCLUDED(mutex_);
  // Frees the conversation. Not on the LiveCall's strand and not under the lock: there, AbortSoon.
  void AbortCall() ABSL_LOCKS_EXCLUDED(mutex_);
  void AbortSoon() {
    env_.dependencies.media_pool->Post([self = shared_from_this()] { self->AbortCall(); });
  }

  const CallEnvironment& env_;
  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const std::string call_id_;
  const absl::Time arrived_;
  Peer peer_;

  // Used by the reading side only.
  grpc::ByteBuffer read_buffer_;
  InboundState inbound_;
  std::optional<streaming::CallConfig> wanted_;  // by SessionOpen
  uint64_t open_seq_ = 0;                        // its
  streaming::CaptureClock capture_clock_;
  AudioMeter audio_meter_;

  absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kOpening;
  absl::Time entered_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // when it asked for a place
  std::shared_ptr<streaming::LiveCall> call_ ABSL_GUARDED_BY(mutex_);
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  // Events that came before SessionReady was queued.
  std::vector<streaming::CallEvent> early_events_ ABSL_GUARDED_BY(mutex_);
  bool ready_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_paused_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time last_read_ ABSL_GUARDED_BY(mutex_);
  absl::Time closing_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Time opened_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  OutgoingStream outgoing_ ABSL_GUARDED_BY(mutex_);
  std::string end_reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::server
