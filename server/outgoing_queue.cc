#include "server/outgoing_queue.h"

#include <utility>

#include "server/convert.h"

namespace parley::server {

bool OutgoingQueue::Push(v1::ServerMessage message) {
  const bool half_full = 2 * items_.size() >= limits_.max_messages || 2 * bytes_ >= limits_.max_bytes;
  if (message.has_token() && half_full && MergeToken(message)) return true;
  return PushItem(Item{.message = std::move(message)});
}

bool OutgoingQueue::PushMetrics(v1::ServerMessage envelope, const streaming::TurnTimes& times) {
  envelope.mutable_metrics();
  return PushItem(Item{.message = std::move(envelope), .times = times});
}

void OutgoingQueue::PushLast(v1::ServerMessage message) {
  Item item{.message = std::move(message)};
  item.bytes = item.message.ByteSizeLong();
  bytes_ += item.bytes;
  items_.push_back(std::move(item));
}

std::optional<v1::ServerMessage> OutgoingQueue::Pop(absl::Time now) {
  if (items_.empty()) return std::nullopt;
  Item item = std::move(items_.front());
  items_.pop_front();
  bytes_ -= item.bytes;
  v1::ServerMessage& message = item.message;
  message.set_seq(++last_seq_);
  if (message.has_token() && message.response_id() != written_response_) {
    written_response_ = message.response_id();
    first_write_ = now;
  }
  if (item.times.has_value()) {
    const bool written = message.response_id() == written_response_;
    *message.mutable_metrics() = ToProto(*item.times, written ? first_write_ : absl::InfinitePast());
  }
  return std::move(message);
}

void OutgoingQueue::DropTokens(uint64_t response_id) {
  std::erase_if(items_, [&](const Item& item) {
    const bool drop = item.message.has_token() && item.message.response_id() == response_id;
    if (drop) bytes_ -= item.bytes;
    return drop;
  });
}

void OutgoingQueue::Clear() {
  items_.clear();
  bytes_ = 0;
}

bool OutgoingQueue::MergeToken(const v1::ServerMessage& message) {
  for (auto item = items_.rbegin(); item != items_.rend(); ++item) {
    v1::ServerMessage& last = item->message;
    if (last.response_id() != message.response_id()) continue;
    if (!last.has_token() || last.epoch() != message.epoch()) return false;
    const size_t added = message.token().text().size();
    if (bytes_ + added > limits_.max_bytes) return false;
    last.mutable_token()->mutable_text()->append(message.token().text());
    last.mutable_token()->set_tokens(message.token().tokens());
    item->bytes += added;
    bytes_ += added;
    return true;
  }
  return false;
}

bool OutgoingQueue::PushItem(Item item) {
  item.bytes = item.message.ByteSizeLong();
  if (items_.size() >= limits_.max_messages || bytes_ + item.bytes > limits_.max_bytes) return false;
  bytes_ += item.bytes;
  items_.push_back(std::move(item));
  return true;
}

}  // namespace parley::server
