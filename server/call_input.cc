#include "server/call_input.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

namespace parley::server {
namespace {

template <typename T>
T ClampTo(uint64_t value) {
  return static_cast<T>(std::min<uint64_t>(value, std::numeric_limits<T>::max()));
}

}  // namespace

streaming::CallLimits ToCallLimits(const v1::Limits& limits) {
  streaming::CallLimits to;
  to.max_audio_gap_ms = static_cast<int>(limits.max_audio_gap_ms());
  to.max_audio_backlog_ms = static_cast<int>(limits.max_audio_backlog_ms());
  to.max_video_pixels = limits.max_video_pixels();
  return to;
}

std::optional<streaming::CallInput> ToCallInput(v1::ClientMessage& message, absl::Time captured) {
  namespace input = streaming::input;
  switch (message.payload_case()) {
    case v1::ClientMessage::kAudio: {
      v1::AudioChunk& audio = *message.mutable_audio();
      return input::Audio{std::move(*audio.mutable_data()), audio.first_sample_index(), captured};
    }
    case v1::ClientMessage::kVideo: {
      v1::VideoFrame& video = *message.mutable_video();
      return input::Frame{std::move(*video.mutable_data()), video.frame_id(),
                          static_cast<int>(video.rotation_degrees()), captured};
    }
    case v1::ClientMessage::kText:
      return input::Text{std::move(*message.mutable_text()->mutable_text())};
    case v1::ClientMessage::kActivityStart:
      return input::ActivityStart{};
    case v1::ClientMessage::kActivityEnd:
      return input::ActivityEnd{};
    case v1::ClientMessage::kAudioStreamEnd:
      return input::AudioStreamEnd{};
    case v1::ClientMessage::kCommit:
      return input::Commit{};
    case v1::ClientMessage::kClear:
      return input::Clear{};
    case v1::ClientMessage::kCreateResponse:
      return input::CreateResponse{};
    case v1::ClientMessage::kCancelResponse:
      return input::CancelResponse{message.cancel_response().response_id()};
    case v1::ClientMessage::kPlaybackAck:
      return input::AckPlayback{message.playback_ack().response_id(),
                                ClampTo<int>(message.playback_ack().heard_tokens())};
    case v1::ClientMessage::kOpen:
    case v1::ClientMessage::kUpdate:
    case v1::ClientMessage::kPing:
    case v1::ClientMessage::kClose:
    case v1::ClientMessage::PAYLOAD_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace parley::server
