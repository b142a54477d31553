#include "server/call_session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/call_input.h"
#include "server/convert.h"
#include "server/log.h"

namespace parley::server {
namespace {

using streaming::CallConfig;
using streaming::LiveCall;

// How a call ended, where no code of an error says it.
constexpr char kCompleted[] = "completed";
constexpr char kClientGone[] = "client_gone";
constexpr char kInternal[] = "internal";

template <typename T>
T ClampTo(uint64_t value) {
  return static_cast<T>(std::min<uint64_t>(value, std::numeric_limits<T>::max()));
}

grpc::Status ClientGone() { return grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"); }

}  // namespace

CallSession::CallSession(const CallEnvironment* environment)
    : env_(*environment),
      call_id_(environment->registry->NewCallId()),
      phases_(env_.options, environment->dependencies.clock->Now()) {}

CallSession::~CallSession() = default;

// ---------------------------------------------------------------- admission

void CallSession::Start(SessionStream* stream, absl::StatusOr<Peer> peer) {
  {
    absl::MutexLock lock(&mutex_);
    stream_ = stream;
  }
  std::string key;
  if (peer.ok()) {
    peer_ = std::move(*peer);
    if (!peer_.loopback || env_.options.max_calls_per_peer > 0) key = peer_.key;
  }
  std::optional<Fault> refused = env_.registry->Arrive(shared_from_this(), std::move(key));
  if (!peer.ok() && !refused.has_value()) {
    refused = MakeFault(v1::INVALID_MESSAGE, std::string(peer.status().message()));
  }
  if (refused.has_value()) {
    Report(*std::move(refused), 0);
    return;
  }
  absl::MutexLock lock(&mutex_);
  if (phases_.current() == Phase::kOpening) stream_->Read();  // a drain may have been quicker
}

std::optional<Fault> CallSession::Open(const v1::ClientMessage& message) {
  ConfigOrFault parsed = ParseConfig(message.open().config(), env_.limits, env_.accepts);
  if (Fault* fault = std::get_if<Fault>(&parsed)) return std::move(*fault);
  wanted_ = std::get<CallConfig>(std::move(parsed));
  open_seq_ = message.seq();
  {
    absl::MutexLock lock(&mutex_);
    if (phases_.current() != Phase::kOpening) return std::nullopt;  // ended meanwhile
    // Before it asks: it may be let in before it knows the answer.
    phases_.Enter(Phase::kWaiting, Now());
  }
  CallRegistry::Admission admission = env_.registry->Enter(this);
  if (admission.refused.has_value()) return std::move(admission.refused);
  if (admission.waits.has_value()) return std::nullopt;
  return StartCall(*wanted_);
}

void CallSession::Wait(QueuePlace place) {
  absl::MutexLock lock(&mutex_);
  if (phases_.current() != Phase::kWaiting) return;
  v1::ServerMessage message;
  v1::AdmissionStatus& status = *message.mutable_admission();
  status.set_position(static_cast<uint32_t>(place.position));
  if (place.estimated_wait.has_value()) {
    status.set_estimated_wait_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(*place.estimated_wait)));
  }
  status.set_wait_limit_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(env_.options.max_wait)));
  Send(std::move(message));
}

void CallSession::Admit() {
  {
    absl::MutexLock lock(&mutex_);
    if (phases_.current() != Phase::kWaiting) return;  // a drain, or the client's end, may have been quicker
  }
  // Not on the ticking thread: a conversation's start may take its time.
  env_.dependencies.media_pool->Post([self = shared_from_this()] {
    std::optional<Fault> fault = self->StartCall(*self->wanted_);
    if (fault.has_value()) self->Report(*std::move(fault), self->open_seq_);
  });
}

std::optional<Fault> CallSession::StartCall(const CallConfig& config) {
  {
    absl::MutexLock lock(&mutex_);
    env_.metrics->CallAdmitted(phases_.waited(Now()));
  }
  absl::StatusOr<std::unique_ptr<LiveCall>> live =
      LiveCall::Start(config, ToCallLimits(env_.limits), env_.dependencies, this);
  if (!live.ok()) {
    const absl::Status& status = live.status();
    Log(LogLevel::kWarn, "call not started", {{"call_id", call_id_}, {"status", status.ToString()}});
    return NotStarted(status, env_.options.retry_after);
  }
  inbound_.config = config;
  bool gone = false;
  {
    absl::MutexLock lock(&mutex_);
    call_ = *std::move(live);
    gone = ended();
    if (!gone) {
      phases_.Enter(Phase::kOpen, Now());
      env_.metrics->CallOpened();
      SendReady(config, 0);
      for (streaming::CallEvent& event : early_events_) SendEvent(std::move(event));
      early_events_.clear();
    }
  }
  if (gone) {
    AbortCall();
    return std::nullopt;
  }
  const v1::SessionConfig shown = ToProto(config);
  Log(LogLevel::kInfo, "call opened",
      {{"call_id", call_id_},
       {"peer", peer_.address},
       {"client_subject", peer_.client_subject},
       {"audio", shown.has_audio() ? v1::AudioFormat::Codec_Name(shown.audio().codec()) : "none"},
       {"video", shown.has_video() ? v1::VideoFormat::Codec_Name(shown.video().codec()) : "none"}});
  absl::MutexLock lock(&mutex_);
  if (phases_.current() == Phase::kOpen) stream_->Read();
  return std::nullopt;
}

// ---------------------------------------------------------------- what the client sends

CallSession::Next CallSession::OnMessage(v1::ClientMessage message) {
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return Next::kWait;
    phases_.MessageRead(Now());
    live = call_;
  }
  std::optional<Fault> fault = CheckMessage(message, env_.limits, inbound_);
  if (!fault.has_value()) {
    // Before the call is open no message but SessionOpen passes the check.
    fault = message.has_open() ? Open(message) : Act(message, *live);
    // StartCall reads on once there is a place; after SessionClose nothing is read.
    if (!fault.has_value() && (message.has_open() || message.has_close())) return Next::kWait;
  }
  if (fault.has_value()) Report(*std::move(fault), message.seq());
  return PausedByBacklog(live) ? Next::kWait : Next::kRead;
}

void CallSession::OnUnreadable(const grpc::Status& why) {
  if (why.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    // As gRPC itself ends a stream with too long a message: by the status alone.
    {
      absl::MutexLock lock(&mutex_);
      End(why, LabelOf(v1::TOO_LARGE));
    }
    AbortCall();
    return;
  }
  // Its seq is unknown, so nothing after it could be placed either.
  Fault fault = MakeFault(v1::INVALID_MESSAGE, why.error_message());
  fault.fatal = true;
  Report(std::move(fault), 0);
}

std::optional<Fault> CallSession::Act(v1::ClientMessage& message, LiveCall& live) {
  const absl::Time captured = capture_clock_.Place(message.capture_time_us(), Now());
  switch (message.payload_case()) {
    case v1::ClientMessage::kUpdate:
      return Update(message, live);
    case v1::ClientMessage::kPing: {
      v1::ServerMessage pong;
      pong.mutable_pong()->set_nonce(message.ping().nonce());
      absl::MutexLock lock(&mutex_);
      Send(std::move(pong));
      return std::nullopt;
    }
    case v1::ClientMessage::kClose:
      OnInputEnd();
      return std::nullopt;
    case v1::ClientMessage::kAudio:
      env_.metrics->AudioTaken(audio_meter_.Take(message.audio(), *inbound_.config->audio));
      break;
    case v1::ClientMessage::kVideo:
      env_.metrics->FrameTaken();
      break;
    default:
      break;
  }
  if (auto input = ToCallInput(message, captured)) live.Push(*std::move(input), message.seq());
  return std::nullopt;
}

std::optional<Fault> CallSession::Update(const v1::ClientMessage& message, LiveCall& live) {
  ConfigOrFault parsed = ApplyUpdate(message.update(), *inbound_.config, env_.limits, env_.accepts);
  if (Fault* fault = std::get_if<Fault>(&parsed)) return std::move(*fault);
  inbound_.config = std::get<CallConfig>(parsed);
  live.Push(streaming::input::Update{*inbound_.config}, message.seq());
  return std::nullopt;
}

void CallSession::OnInputEnd() {
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (phases_.current() == Phase::kOpening) {
      End(grpc::Status::OK, kCompleted);  // a stream that said nothing is owed nothing
      return;
    }
    if (phases_.current() != Phase::kOpen) return;
    phases_.Enter(Phase::kClosing, Now());
    live = call_;
  }
  live->Push(streaming::input::Close{}, 0);
}

bool CallSession::PausedByBacklog(const std::shared_ptr<LiveCall>& live) {
  if (live == nullptr || !live->backlogged()) return false;
  {
    absl::MutexLock lock(&mutex_);
    if (phases_.current() != Phase::kOpen) return true;
    phases_.PauseReading();
  }
  live->NotifyWhenDrained([weak = weak_from_this()] {
    const std::shared_ptr<CallSession> self = weak.lock();
    if (self == nullptr) return;
    absl::MutexLock lock(&self->mutex_);
    if (self->phases_.ResumeReading(self->Now())) self->stream_->Read();
  });
  return true;
}

// ---------------------------------------------------------------- what the client is told

void CallSession::Report(Fault fault, uint64_t client_seq) {
  bool abort = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    fault.fatal = fault.fatal || phases_.before_open();
    Log(LogLevel::kInfo, "client told of an error",
        {{"call_id", call_id_},
         {"code", LabelOf(fault.code)},
         {"client_seq", client_seq},
         {"fatal", fault.fatal}});
    if (fault.fatal) {
      End(fault, client_seq);
    } else {
      Send(ToProto(fault, client_seq));
    }
    abort = ended();
  }
  if (abort) AbortCall();
}

void CallSession::OnEvent(streaming::CallEvent event) {
  bool abort = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    if (phases_.before_open()) {
      early_events_.push_back(std::move(event));
      return;
    }
    SendEvent(std::move(event));
    abort = ended();
  }
  if (abort) AbortSoon();
}

void CallSession::SendEvent(streaming::CallEvent event) {
  if (ended()) return;
  epoch_ = std::max(epoch_, event.epoch);
  if (const auto* changed = std::get_if<streaming::ConfigChanged>(&event.payload)) {
    SendReady(changed->config, event.epoch);
  } else if (const auto* times = std::get_if<streaming::TurnTimes>(&event.payload)) {
    v1::ServerMessage envelope = ToProto(event);
    Stamp(envelope);
    Check(stream_->SendMetrics(std::move(envelope), *times));
  } else if (std::holds_alternative<streaming::CallEnded>(event.payload)) {
    End(grpc::Status::OK, kCompleted);
  } else if (const auto* error = std::get_if<streaming::CallError>(&event.payload); error && error->fatal) {
    Log(LogLevel::kWarn, "call failed",
        {{"call_id", call_id_}, {"code", LabelOf(ToProto(error->code))}, {"message", error->message}});
    End(Fault{.code = ToProto(error->code), .message = error->message, .fatal = true}, error->client_seq);
  } else {
    // The client must not get tokens of an answer after it was told that the answer is over.
    if (std::holds_alternative<streaming::Interrupted>(event.payload)) stream_->DropTokens(event.response_id);
    v1::ServerMessage message = ToProto(event);
    if (message.has_error())
      message.mutable_error()->set_retryable(PolicyOf(message.error().code()).retryable);
    Send(std::move(message));
  }
}

void CallSession::SendReady(const CallConfig& config, uint64_t epoch) {
  v1::ServerMessage message;
  message.set_epoch(epoch);
  v1::SessionReady& ready = *message.mutable_ready();
  ready.set_call_id(call_id_);
  *ready.mutable_config() = ToProto(config);
  *ready.mutable_limits() = env_.limits;
  *ready.mutable_model() = env_.model;
  ready.mutable_server_config()->insert(env_.server_config.begin(), env_.server_config.end());
  Send(std::move(message));
}

void CallSession::Send(v1::ServerMessage message) {
  if (ended()) return;
  Stamp(message);
  Check(stream_->Send(std::move(message)));
}

void CallSession::Stamp(v1::ServerMessage& message) const {
  message.set_server_time_us(absl::ToUnixMicros(env_.dependencies.clock->MachineTime()));
  message.set_epoch(std::max(message.epoch(), epoch_));
}

void CallSession::Check(SessionStream::SendResult result) {
  switch (result) {
    case SessionStream::SendResult::kQueued:
      return;
    case SessionStream::SendResult::kFull:
      return EndSlowReader();
    case SessionStream::SendResult::kFailed:
      return EndUnwritable();
  }
}

// ---------------------------------------------------------------- the end

void CallSession::End(const Fault& fault, uint64_t client_seq) {
  if (ended()) return;
  v1::ServerMessage message = ToProto(fault, client_seq);
  message.mutable_error()->set_fatal(true);
  Stamp(message);
  if (!phases_.open_for(Now()).has_value()) env_.metrics->CallRefused(fault.code);
  End(grpc::Status(PolicyOf(fault.code).status, fault.message), LabelOf(fault.code), std::move(message));
}

void CallSession::End(grpc::Status status, std::string reason, std::optional<v1::ServerMessage> last) {
  if (ended()) return;
  phases_.Enter(Phase::kEnding, Now());
  end_reason_ = std::move(reason);
  if (stream_ != nullptr) stream_->Finish(std::move(last), std::move(status));
}

void CallSession::EndSlowReader() {
  stream_->DropQueued();
  End(MakeFault(v1::SLOW_READER, "the client does not read what it is sent"), 0);
}

void CallSession::EndUnwritable() {
  End(grpc::Status(grpc::StatusCode::INTERNAL, "a message could not be written"), kInternal);
}

void CallSession::OnSendFailed() {
  {
    absl::MutexLock lock(&mutex_);
    EndUnwritable();
  }
  AbortCall();
}

void CallSession::OnStreamLost() {
  {
    absl::MutexLock lock(&mutex_);
    // The end of what it sends may come first, and looks like a client that has said all.
    if (end_reason_ == kCompleted) end_reason_ = kClientGone;
    End(ClientGone(), kClientGone);
  }
  AbortCall();
}

void CallSession::OnStreamDone() {
  {
    absl::MutexLock lock(&mutex_);
    stream_ = nullptr;
    End(ClientGone(), kClientGone);  // a stream is done after Finish only; here it ends all the same
  }
  AbortCall();
  {
    absl::MutexLock lock(&mutex_);
    if (const std::optional<absl::Duration> length = phases_.open_for(Now()); length.has_value()) {
      env_.metrics->CallEnded(end_reason_, *length);
      Log(LogLevel::kInfo, "call ended",
          {{"call_id", call_id_}, {"reason", end_reason_}, {"seconds", absl::ToDoubleSeconds(*length)}});
    }
  }
  env_.registry->Remove(this);  // may delete this
}

void CallSession::AbortCall() {
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (call_ == nullptr || std::exchange(aborted_, true)) return;
    live = call_;
  }
  live->Abort();
}

void CallSession::Tick(absl::Time now) {
  bool abort = false;
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == nullptr) return;
    const bool blocked = now - stream_->BlockedSince() > env_.options.slow_reader;
    if (ended()) {
      if (blocked) stream_->Cancel();
    } else if (blocked) {
      EndSlowReader();
    } else if (const std::optional<Fault> overdue = phases_.Overdue(now); overdue.has_value()) {
      End(*overdue, 0);
    }
    abort = ended();
    live = call_;
  }
  if (abort) {
    AbortCall();
  } else if (live != nullptr) {
    live->Tick();
  }
}

void CallSession::Drain(absl::Duration time_left) {
  v1::ServerMessage message;
  message.mutable_go_away()->set_time_left_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(time_left)));
  absl::MutexLock lock(&mutex_);
  if (phases_.before_open()) {
    End(ShuttingDown(), 0);
    return;
  }
  Send(std::move(message));
}

void CallSession::Cut(Fault fault) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    End(fault, 0);
  }
  AbortCall();
}

}  // namespace parley::server
