#include "server/dispatch.h"

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

void Dispatch(v1::ClientMessage& message, absl::Time captured, streaming::LiveCall& call) {
  const uint64_t seq = message.seq();
  switch (message.payload_case()) {
    case v1::ClientMessage::kAudio: {
      v1::AudioChunk& audio = *message.mutable_audio();
      return call.PushAudio(std::move(*audio.mutable_data()), audio.first_sample_index(), captured, seq);
    }
    case v1::ClientMessage::kVideo: {
      v1::VideoFrame& video = *message.mutable_video();
      return call.PushFrame(std::move(*video.mutable_data()), video.frame_id(),
                            static_cast<int>(video.rotation_degrees()), captured, seq);
    }
    case v1::ClientMessage::kText:
      return call.PushText(std::move(*message.mutable_text()->mutable_text()), seq);
    case v1::ClientMessage::kActivityStart:
      return call.ActivityStart(seq);
    case v1::ClientMessage::kActivityEnd:
      return call.ActivityEnd(seq);
    case v1::ClientMessage::kAudioStreamEnd:
      return call.AudioStreamEnd(seq);
    case v1::ClientMessage::kCommit:
      return call.CommitInput(seq);
    case v1::ClientMessage::kClear:
      return call.ClearInput(seq);
    case v1::ClientMessage::kCreateResponse:
      return call.CreateResponse(seq);
    case v1::ClientMessage::kCancelResponse:
      return call.CancelResponse(message.cancel_response().response_id(), seq);
    case v1::ClientMessage::kPlaybackAck:
      return call.AckPlayback(message.playback_ack().response_id(),
                              ClampTo<int>(message.playback_ack().heard_tokens()), seq);
    case v1::ClientMessage::kOpen:
    case v1::ClientMessage::kUpdate:
    case v1::ClientMessage::kPing:
    case v1::ClientMessage::kClose:
    case v1::ClientMessage::PAYLOAD_NOT_SET:
      return;
  }
}

}  // namespace parley::server
