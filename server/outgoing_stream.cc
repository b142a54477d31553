#include "server/outgoing_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>

namespace parley::server {

OutgoingStream::OutgoingStream(Stream* stream, OutgoingLimits limits, const Clock* clock, Metrics* metrics)
    : stream_(stream), clock_(clock), metrics_(metrics), queue_(limits), progress_(clock->Now()) {}

void OutgoingStream::Stamp(v1::ServerMessage& message) const {
  message.set_server_time_us(absl::ToUnixMicros(clock_->Now()));
  message.set_epoch(std::max(message.epoch(), epoch_));
}

bool OutgoingStream::Push(v1::ServerMessage message) {
  Stamp(message);
  return queue_.Push(std::move(message));
}

bool OutgoingStream::PushMetrics(v1::ServerMessage message, const streaming::TurnTimes& times) {
  Stamp(message);
  return queue_.PushMetrics(std::move(message), times);
}

void OutgoingStream::PushLast(v1::ServerMessage message) {
  Stamp(message);
  queue_.PushLast(std::move(message));
}

void OutgoingStream::RaiseEpoch(uint64_t epoch) { epoch_ = std::max(epoch_, epoch); }

void OutgoingStream::EndWith(grpc::Status status) {
  status_ = std::move(status);
  progress_ = clock_->Now();
}

void OutgoingStream::Cancel() {
  cancelled_ = true;
  queue_.Clear();
}

bool OutgoingStream::Pump() {
  if (writing_ || finished_) return true;
  std::optional<v1::ServerMessage> message;
  if (!cancelled_) message = queue_.Pop(clock_->Now());
  if (message.has_value()) {
    metrics_->Sent(*message);
    bool own_buffer = false;
    buffer_.Clear();
    const grpc::Status serialized =
        grpc::SerializationTraits<v1::ServerMessage>::Serialize(*message, &buffer_, &own_buffer);
    if (!serialized.ok()) {
      queue_.Clear();
      return false;
    }
    writing_ = true;
    progress_ = clock_->Now();
    stream_->StartWrite(&buffer_);
  } else if (status_.has_value()) {
    finished_ = true;
    progress_ = clock_->Now();
    stream_->Finish(*status_);
  }
  return true;
}

void OutgoingStream::OnWritten() {
  writing_ = false;
  progress_ = clock_->Now();
}

bool OutgoingStream::Stuck(absl::Time now, absl::Duration limit) const {
  // The status waits for the client to take what is before it.
  const bool owed = status_.has_value() ? !cancelled_ : writing_;
  return owed && now - progress_ > limit;
}

}  // namespace parley::server
