#include "clients/cpp/call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/channel.h"

namespace parley::client {

std::unique_ptr<Call> Call::Open(const std::shared_ptr<grpc::Channel>& channel,
                                 const v1::SessionConfig& config, Handler handler, EndHandler on_end) {
  std::unique_ptr<Call> call(new Call(std::move(handler), std::move(on_end)));
  call->stub_ = v1::Parley::NewStub(channel);
  call->stream_ = call->stub_->Converse(&call->context_);
  v1::ClientMessage open;
  *open.mutable_open()->mutable_config() = config;
  // A stream that is broken already shows in the reader, which knows the status.
  call->Send(std::move(open)).status().IgnoreError();
  call->reader_ = std::thread(&Call::ReadEvents, call.get());
  return call;
}

Call::~Call() {
  if (!ended_.HasBeenNotified()) Cancel();
  reader_.join();
}

absl::Status Call::SendAudio(std::string data, uint64_t first_sample_index, uint64_t capture_time_us) {
  v1::ClientMessage message;
  message.set_capture_time_us(capture_time_us);
  message.mutable_audio()->set_data(std::move(data));
  message.mutable_audio()->set_first_sample_index(first_sample_index);
  return Send(std::move(message)).status();
}

absl::StatusOr<uint64_t> Call::SendVideo(std::string data, uint32_t rotation_degrees,
                                         uint64_t capture_time_us) {
  v1::ClientMessage message;
  message.set_capture_time_us(capture_time_us);
  message.mutable_video()->set_data(std::move(data));
  message.mutable_video()->set_rotation_degrees(rotation_degrees);
  absl::MutexLock lock(&send_mutex_);
  message.mutable_video()->set_frame_id(++frame_id_);
  if (absl::Status status = SendLocked(message); !status.ok()) return status;
  return frame_id_;
}

absl::StatusOr<uint64_t> Call::SendText(std::string text) {
  v1::ClientMessage message;
  message.mutable_text()->set_text(std::move(text));
  return Send(std::move(message));
}

absl::StatusOr<uint64_t> Call::Send(v1::ClientMessage message) {
  absl::MutexLock lock(&send_mutex_);
  if (absl::Status status = SendLocked(message); !status.ok()) return status;
  return seq_;
}

absl::Status Call::SendLocked(v1::ClientMessage& message) {
  if (sending_ended_) return absl::UnavailableError("the call has ended");
  message.set_seq(++seq_);
  if (!stream_->Write(message)) {
    sending_ended_ = true;
    return absl::UnavailableError("the call has ended");
  }
  return absl::OkStatus();
}

absl::Status Call::Close() {
  v1::ClientMessage message;
  message.mutable_close();
  absl::MutexLock lock(&send_mutex_);
  if (absl::Status status = SendLocked(message); !status.ok()) return status;
  sending_ended_ = true;
  stream_->WritesDone();
  return absl::OkStatus();
}

void Call::Cancel() { context_.TryCancel(); }

absl::Status Call::Wait() {
  ended_.WaitForNotification();
  return outcome_;
}

bool Call::WaitFor(absl::Duration timeout) { return ended_.WaitForNotificationWithTimeout(timeout); }

void Call::ReadEvents() {
  v1::ServerMessage event;
  std::string fatal;
  while (stream_->Read(&event)) {
    if (event.has_error() && event.error().fatal()) {
      fatal = absl::StrCat(v1::Code_Name(event.error().code()), ": ", event.error().message());
    }
    handler_(event);
  }
  {
    // Nothing is written once Finish has begun. A blocked Write returns when the stream has ended.
    absl::MutexLock lock(&send_mutex_);
    sending_ended_ = true;
  }
  const absl::Status status = FromGrpc(stream_->Finish());
  // The Error event says it more precisely than the stream's status.
  outcome_ =
      fatal.empty() ? status : absl::Status(status.ok() ? absl::StatusCode::kAborted : status.code(), fatal);
  if (on_end_) on_end_(outcome_);
  ended_.Notify();
}

}  // namespace parley::client
