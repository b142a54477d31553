#include "server/call_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>

#include <utility>

#include "server/call_session.h"
#include "server/client_message.h"
#include "server/peer.h"

namespace parley::server {

CallStream* CallStream::Start(grpc::CallbackServerContext* context, const CallEnvironment* environment) {
  auto session = std::make_shared<CallSession>(environment);
  auto* stream = new CallStream(context, environment, session);  // deleted by OnDone
  session->Start(stream, PeerOf(*context));
  return stream;
}

CallStream::CallStream(grpc::CallbackServerContext* context, const CallEnvironment* environment,
                       std::shared_ptr<CallSession> session)
    : context_(context),
      session_(std::move(session)),
      clock_(environment->dependencies.clock),
      metrics_(environment->metrics),
      queue_({.max_messages = static_cast<size_t>(environment->options.max_queue_messages),
              .max_bytes = static_cast<size_t>(environment->options.max_queue_bytes)}),
      progress_(clock_->Now()) {}

// ---------------------------------------------------------------- reading

void CallStream::Read() {
  absl::MutexLock lock(&mutex_);
  if (read_ != ReadState::kIdle || finish_ != FinishState::kOpen) return;
  read_ = ReadState::kReading;
  StartRead(&read_buffer_);
}

void CallStream::OnReadDone(bool ok) {
  v1::ClientMessage message;
  grpc::Status parsed;
  if (ok) parsed = ReadClientMessage(&read_buffer_, &message);
  {
    absl::MutexLock lock(&mutex_);
    read_ = ok ? ReadState::kIdle : ReadState::kEnded;
  }
  if (!ok) {
    // Half-closed, or cancelled, which OnCancel sees to.
    if (!context_->IsCancelled()) session_->OnInputEnd();
  } else if (!parsed.ok()) {
    session_->OnUnreadable(parsed);
  } else if (session_->OnMessage(std::move(message)) == CallSession::Next::kRead) {
    Read();
  }
}

// ---------------------------------------------------------------- writing

SessionStream::SendResult CallStream::Send(v1::ServerMessage message) {
  absl::MutexLock lock(&mutex_);
  return Queued(queue_.Push(std::move(message)));
}

SessionStream::SendResult CallStream::SendMetrics(v1::ServerMessage envelope,
                                                  const streaming::TurnTimes& times) {
  absl::MutexLock lock(&mutex_);
  return Queued(queue_.PushMetrics(std::move(envelope), times));
}

SessionStream::SendResult CallStream::Queued(bool taken) {
  if (!taken) return SendResult::kFull;
  return Pump() ? SendResult::kQueued : SendResult::kFailed;
}

void CallStream::DropTokens(uint64_t response_id) {
  absl::MutexLock lock(&mutex_);
  queue_.DropTokens(response_id);
}

void CallStream::DropQueued() {
  absl::MutexLock lock(&mutex_);
  queue_.Clear();
}

bool CallStream::Pump() {
  if (write_ == WriteState::kWriting || finish_ == FinishState::kFinished) return true;
  std::optional<v1::ServerMessage> message;
  if (write_ == WriteState::kIdle && !cancelled_) message = queue_.Pop(clock_->Now());
  if (message.has_value()) {
    metrics_->Sent(*message);
    bool own_buffer = false;
    write_buffer_.Clear();
    const grpc::Status serialized =
        grpc::SerializationTraits<v1::ServerMessage>::Serialize(*message, &write_buffer_, &own_buffer);
    if (serialized.ok()) {
      write_ = WriteState::kWriting;
      progress_ = clock_->Now();
      StartWrite(&write_buffer_);
      return true;
    }
    queue_.Clear();
    if (finish_ == FinishState::kOpen) return false;
  }
  if (finish_ == FinishState::kDecided) {
    finish_ = FinishState::kFinished;
    progress_ = clock_->Now();
    ServerBidiReactor::Finish(status_);
  }
  return true;
}

void CallStream::OnWriteDone(bool ok) {
  bool pumped = true;
  {
    absl::MutexLock lock(&mutex_);
    write_ = ok ? WriteState::kIdle : WriteState::kFailed;
    progress_ = clock_->Now();
    if (!ok) queue_.Clear();
    pumped = Pump();
  }
  if (!ok) {
    session_->OnStreamLost();
  } else if (!pumped) {
    session_->OnSendFailed();
  }
}

absl::Time CallStream::BlockedSince() const {
  absl::MutexLock lock(&mutex_);
  // The status waits for the client to take what is before it.
  const bool owed = finish_ == FinishState::kOpen ? write_ == WriteState::kWriting : !cancelled_;
  return owed ? progress_ : absl::InfiniteFuture();
}

// ---------------------------------------------------------------- the end

void CallStream::Finish(std::optional<v1::ServerMessage> last, grpc::Status status) {
  absl::MutexLock lock(&mutex_);
  if (last.has_value()) queue_.PushLast(*std::move(last));
  finish_ = FinishState::kDecided;
  status_ = std::move(status);
  progress_ = clock_->Now();
  Pump();
}

void CallStream::Cancel() { context_->TryCancel(); }

void CallStream::OnCancel() {
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    queue_.Clear();
    Pump();
  }
  session_->OnStreamLost();
}

void CallStream::OnDone() {
  session_->OnStreamDone();
  delete this;
}

}  // namespace parley::server
