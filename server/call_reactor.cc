#include "server/call_reactor.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/client_message.h"
#include "server/convert.h"
#include "server/dispatch.h"
#include "server/log.h"

namespace parley::server {
namespace {

using streaming::CallConfig;
using streaming::LiveCall;

// A stream that opens no call within this is ended.
constexpr absl::Duration kOpenLimit = absl::Seconds(5);

constexpr char kCompleted[] = "completed";

template <typename T>
T ClampTo(uint64_t value) {
  return static_cast<T>(std::min<uint64_t>(value, std::numeric_limits<T>::max()));
}

}  // namespace

CallReactor* CallReactor::Start(grpc::CallbackServerContext* context, const CallEnvironment* environment) {
  std::shared_ptr<CallReactor> reactor(new CallReactor(context, environment));
  reactor->Begin();
  return reactor.get();  // the registry holds it
}

CallReactor::CallReactor(grpc::CallbackServerContext* context, const CallEnvironment* environment)
    : env_(*environment),
      context_(context),
      call_id_(environment->registry->NewCallId()),
      arrived_(environment->dependencies.clock->Now()),
      last_read_(arrived_),
      outgoing_(this,
                {.max_messages = static_cast<size_t>(environment->options.max_queue_messages),
                 .max_bytes = static_cast<size_t>(environment->options.max_queue_bytes)},
                environment->dependencies.clock, environment->metrics) {}

CallReactor::~CallReactor() = default;

void CallReactor::Begin() {
  absl::StatusOr<Peer> peer = PeerOf(*context_);
  std::string key;
  if (peer.ok()) {
    peer_ = *std::move(peer);
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
  if (phase_ == Phase::kOpening) StartRead(&read_buffer_);  // a drain may have been quicker
}

void CallReactor::Admit() {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kWaiting) return;  // a drain, or the client's end, may have been quicker
  }
  // Not on the ticking thread: a conversation's start may take its time.
  env_.dependencies.media_pool->Post([self = shared_from_this()] {
    std::optional<Fault> fault = self->StartCall(*self->wanted_);
    if (fault.has_value()) self->Report(*std::move(fault), self->open_seq_);
  });
}

void CallReactor::Wait(QueuePlace place) {
  absl::MutexLock lock(&mutex_);
  if (phase_ != Phase::kWaiting) return;
  v1::ServerMessage message;
  v1::AdmissionStatus& status = *message.mutable_admission();
  status.set_position(static_cast<uint32_t>(place.position));
  if (place.estimated_wait.has_value()) {
    status.set_estimated_wait_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(*place.estimated_wait)));
  }
  status.set_wait_limit_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(env_.options.max_wait)));
  Send(std::move(message));
}

// ---------------------------------------------------------------- reading

void CallReactor::OnReadDone(bool ok) {
  if (!ok) {
    // Half-closed, or cancelled, which OnCancel sees to.
    CloseInput();
    return;
  }
  v1::ClientMessage message;
  const grpc::Status parsed = ReadClientMessage(&read_buffer_, &message);
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    last_read_ = env_.dependencies.clock->Now();
  }
  if (parsed.ok()) {
    if (!Handle(std::move(message))) return;
  } else if (parsed.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    // As gRPC itself ends a stream with too long a message: by the status alone.
    {
      absl::MutexLock lock(&mutex_);
      End(parsed, LabelOf(v1::TOO_LARGE));
      Pump();
    }
    AbortCall();
    return;
  } else {
    // Its seq is unknown, so nothing after it could be placed either.
    Fault fault = MakeFault(v1::INVALID_MESSAGE, parsed.error_message());
    fault.fatal = true;
    Report(std::move(fault), 0);
  }
  ContinueReading();
}

bool CallReactor::Handle(v1::ClientMessage message) {
  std::optional<Fault> fault = CheckMessage(message, env_.limits, inbound_);
  const bool opens = !fault.has_value() && message.has_open();
  if (!fault.has_value()) fault = opens ? Open(message) : Act(message);
  if (fault.has_value()) Report(*std::move(fault), message.seq());
  return !opens;
}

std::optional<Fault> CallReactor::Act(v1::ClientMessage& message) {
  const absl::Time captured = capture_clock_.Place(message.capture_time_us(), env_.dependencies.clock->Now());
  const std::shared_ptr<LiveCall> live = call();
  if (live == nullptr) return std::nullopt;  // ended meanwhile
  switch (message.payload_case()) {
    case v1::ClientMessage::kUpdate:
      return Update(message.update());
    case v1::ClientMessage::kPing: {
      v1::ServerMessage pong;
      pong.mutable_pong()->set_nonce(message.ping().nonce());
      absl::MutexLock lock(&mutex_);
      Send(std::move(pong));
      return std::nullopt;
    }
    case v1::ClientMessage::kClose:
      CloseInput();
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
  Dispatch(message, captured, *live);
  return std::nullopt;
}

std::optional<Fault> CallReactor::Open(const v1::ClientMessage& message) {
  ConfigOrFault parsed = ParseConfig(message.open().config(), env_.limits, env_.accepts);
  if (Fault* fault = std::get_if<Fault>(&parsed)) return std::move(*fault);
  wanted_ = std::get<CallConfig>(std::move(parsed));
  open_seq_ = message.seq();
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kOpening) return std::nullopt;  // ended meanwhile
    // Before it asks: it may be let in before it knows the answer.
    phase_ = Phase::kWaiting;
    entered_ = env_.dependencies.clock->Now();
  }
  CallRegistry::Admission admission = env_.registry->Enter(this);
  if (admission.refused.has_value()) return std::move(admission.refused);
  if (admission.waits.has_value()) return std::nullopt;
  return StartCall(*wanted_);
}

std::optional<Fault> CallReactor::StartCall(const CallConfig& config) {
  {
    absl::MutexLock lock(&mutex_);
    env_.metrics->CallAdmitted(env_.dependencies.clock->Now() - entered_);
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
      phase_ = Phase::kOpen;
      opened_ = last_read_ = env_.dependencies.clock->Now();
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
  ContinueReading();
  return std::nullopt;
}

std::optional<Fault> CallReactor::Update(const v1::SessionUpdate& update) {
  ConfigOrFault parsed = ApplyUpdate(update, *inbound_.config, env_.limits, env_.accepts);
  if (Fault* fault = std::get_if<Fault>(&parsed)) return std::move(*fault);
  inbound_.config = std::get<CallConfig>(parsed);
  if (const auto live = call()) live->UpdateConfig(*inbound_.config);
  return std::nullopt;
}

void CallReactor::CloseInput() {
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kOpening) {
      // A stream that said nothing owes nothing. A cancelled one gets its status from OnCancel.
      if (!context_->IsCancelled()) End(grpc::Status::OK, kCompleted);
      Pump();
      return;
    }
    if (phase_ != Phase::kOpen) return;
    phase_ = Phase::kClosing;
    closing_since_ = env_.dependencies.clock->Now();
    live = call_;
  }
  live->Close();
}

void CallReactor::ContinueReading() {
  const std::shared_ptr<LiveCall> live = call();
  const bool over = live != nullptr && live->backlogged();
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kOpening && phase_ != Phase::kOpen) return;
    if (!over) {
      StartRead(&read_buffer_);
      return;
    }
    read_paused_ = true;
  }
  live->NotifyWhenDrained([weak = weak_from_this()] {
    const std::shared_ptr<CallReactor> self = weak.lock();
    if (self == nullptr) return;
    absl::MutexLock lock(&self->mutex_);
    if (!std::exchange(self->read_paused_, false) || self->phase_ != Phase::kOpen) return;
    self->last_read_ = self->env_.dependencies.clock->Now();
    self->StartRead(&self->read_buffer_);
  });
}

// ---------------------------------------------------------------- writing

void CallReactor::Report(Fault fault, uint64_t client_seq) {
  bool abort = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    fault.fatal = fault.fatal || phase_ < Phase::kOpen;
    Log(LogLevel::kInfo, "client told of an error",
        {{"call_id", call_id_},
         {"code", LabelOf(fault.code)},
         {"client_seq", client_seq},
         {"fatal", fault.fatal}});
    if (fault.fatal) {
      End(fault, client_seq);
      abort = true;
    } else {
      Send(ToProto(fault, client_seq));
    }
    Pump();
    abort = abort || ended();
  }
  if (abort) AbortCall();
}

void CallReactor::OnEvent(streaming::CallEvent event) {
  bool abort = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    if (!ready_sent_) {
      early_events_.push_back(std::move(event));
      return;
    }
    SendEvent(std::move(event));
    Pump();
    abort = ended();
  }
  if (abort) AbortSoon();
}

void CallReactor::SendEvent(streaming::CallEvent event) {
  outgoing_.RaiseEpoch(event.epoch);
  if (const auto* changed = std::get_if<streaming::ConfigChanged>(&event.payload)) {
    SendReady(changed->config, event.epoch);
  } else if (const auto* times = std::get_if<streaming::TurnTimes>(&event.payload)) {
    if (!ended() && !outgoing_.PushMetrics(ToProto(event), *times)) Overflowed();
  } else if (std::holds_alternative<streaming::CallEnded>(event.payload)) {
    End(grpc::Status::OK, kCompleted);
  } else if (const auto* error = std::get_if<streaming::CallError>(&event.payload); error && error->fatal) {
    Log(LogLevel::kWarn, "call failed",
        {{"call_id", call_id_}, {"code", LabelOf(ToProto(error->code))}, {"message", error->message}});
    End(Fault{.code = ToProto(error->code), .message = error->message, .fatal = true}, error->client_seq);
  } else {
    // The client must not get tokens of an answer after it was told that the answer is over.
    if (std::holds_alternative<streaming::Interrupted>(event.payload))
      outgoing_.DropTokens(event.response_id);
    v1::ServerMessage message = ToProto(event);
    if (message.has_error())
      message.mutable_error()->set_retryable(PolicyOf(message.error().code()).retryable);
    Send(std::move(message));
  }
}

void CallReactor::SendReady(const CallConfig& config, uint64_t epoch) {
  v1::ServerMessage message;
  message.set_epoch(epoch);
  v1::SessionReady& ready = *message.mutable_ready();
  ready.set_call_id(call_id_);
  *ready.mutable_config() = ToProto(config);
  *ready.mutable_limits() = env_.limits;
  *ready.mutable_model() = env_.model;
  ready.mutable_server_config()->insert(env_.server_config.begin(), env_.server_config.end());
  ready_sent_ = true;
  Send(std::move(message));
}

void CallReactor::Send(v1::ServerMessage message) {
  if (ended()) return;
  if (!outgoing_.Push(std::move(message))) Overflowed();
  Pump();
}

void CallReactor::Overflowed() {
  outgoing_.Clear();
  End(MakeFault(v1::SLOW_READER, "the client does not read what it is sent"), 0);
}

void CallReactor::End(const Fault& fault, uint64_t client_seq) {
  if (ended()) return;
  v1::ServerMessage message = ToProto(fault, client_seq);
  message.mutable_error()->set_fatal(true);
  outgoing_.PushLast(std::move(message));
  if (opened_ == absl::InfinitePast()) env_.metrics->CallRefused(fault.code);
  End(grpc::Status(PolicyOf(fault.code).status, fault.message), LabelOf(fault.code));
}

void CallReactor::End(grpc::Status status, std::string reason) {
  if (ended()) return;
  phase_ = Phase::kEnding;
  end_reason_ = std::move(reason);
  outgoing_.EndWith(std::move(status));
}

void CallReactor::Pump() {
  if (outgoing_.Pump()) return;
  End(grpc::Status(grpc::StatusCode::INTERNAL, "a message could not be written"), "internal");
  outgoing_.Pump();
}

void CallReactor::OnWriteDone(bool ok) {
  bool abort = false;
  {
    absl::MutexLock lock(&mutex_);
    outgoing_.OnWritten();
    if (!ok) {
      // The connection is gone.
      outgoing_.Clear();
      End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"), "client_gone");
      abort = true;
    }
    Pump();
  }
  if (abort) AbortCall();
}

// ---------------------------------------------------------------- the end

void CallReactor::OnCancel() {
  {
    absl::MutexLock lock(&mutex_);
    outgoing_.Cancel();
    // The end of what it sends may come first, and looks like a client that has said all.
    if (end_reason_ == kCompleted) end_reason_ = "client_gone";
    End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"), "client_gone");
    Pump();
  }
  AbortCall();
}

void CallReactor::OnDone() {
  AbortCall();
  const absl::Time now = env_.dependencies.clock->Now();
  {
    absl::MutexLock lock(&mutex_);
    done_ = true;
    if (opened_ != absl::InfinitePast()) {
      env_.metrics->CallEnded(end_reason_, now - opened_);
      Log(LogLevel::kInfo, "call ended",
          {{"call_id", call_id_},
           {"reason", end_reason_},
           {"seconds", absl::ToDoubleSeconds(now - opened_)}});
    }
  }
  env_.registry->Remove(this);  // may delete this
}

std::shared_ptr<LiveCall> CallReactor::call() {
  absl::MutexLock lock(&mutex_);
  return call_;
}

void CallReactor::AbortCall() {
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    if (call_ == nullptr || std::exchange(aborted_, true)) return;
    live = call_;
  }
  live->Abort();
}

void CallReactor::Tick(absl::Time now) {
  bool abort = false;
  std::shared_ptr<LiveCall> live;
  {
    absl::MutexLock lock(&mutex_);
    const ServerOptions& options = env_.options;
    const bool stuck = outgoing_.Stuck(now, options.slow_reader);
    if (done_) return;
    if (ended()) {
      if (stuck) context_->TryCancel();
    } else if (stuck) {
      Overflowed();
    } else if (phase_ == Phase::kOpening && now - arrived_ > kOpenLimit) {
      End(MakeFault(v1::DEADLINE, absl::StrCat("no SessionOpen within ", absl::FormatDuration(kOpenLimit))),
          0);
    } else if (phase_ == Phase::kOpen && !read_paused_ && now - last_read_ > options.idle) {
      End(MakeFault(v1::DEADLINE, absl::StrCat("no message for ", absl::FormatDuration(options.idle))), 0);
    } else if (phase_ == Phase::kOpen && now - opened_ > options.max_call) {
      End(MakeFault(v1::DEADLINE,
                    absl::StrCat("the call has lasted ", absl::FormatDuration(options.max_call))),
          0);
    } else if (phase_ == Phase::kClosing && now - closing_since_ > options.drain_limit) {
      End(MakeFault(v1::DEADLINE, "what was owed at SessionClose took too long"), 0);
    }
    Pump();
    abort = ended();
    live = call_;
  }
  if (abort) {
    AbortCall();
  } else if (live != nullptr) {
    live->Tick();
  }
}

void CallReactor::Drain(absl::Duration time_left) {
  v1::ServerMessage message;
  message.mutable_go_away()->set_time_left_ms(ClampTo<uint32_t>(absl::ToInt64Milliseconds(time_left)));
  absl::MutexLock lock(&mutex_);
  if (phase_ < Phase::kOpen) {
    End(ShuttingDown(), 0);
    Pump();
    return;
  }
  Send(std::move(message));
}

void CallReactor::Cut(Fault fault) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended()) return;
    End(fault, 0);
    Pump();
  }
  AbortCall();
}

}  // namespace parley::server
