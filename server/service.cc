#include "server/service.h"

#include "server/convert.h"
#include "server/version.h"

namespace parley::server {

v1::Capabilities MakeCapabilities(const CallEnvironment& environment) {
  v1::Capabilities to;
  to.set_server_version(kVersion);
  *to.mutable_model() = environment.model;
  *to.mutable_limits() = environment.limits;
  if (environment.accepts.audio) {
    to.add_audio_codecs(v1::AudioFormat::PCM16);
    to.add_audio_codecs(v1::AudioFormat::OPUS);
  }
  if (environment.accepts.video) {
    for (const auto codec : {v1::VideoFormat::JPEG, v1::VideoFormat::PNG, v1::VideoFormat::WEBP,
                             v1::VideoFormat::H264, v1::VideoFormat::VP8, v1::VideoFormat::VP9}) {
      to.add_video_codecs(codec);
    }
  }
  if (environment.accepts.speech_detection) to.add_turn_modes(v1::TurnConfig::VAD);
  to.add_turn_modes(v1::TurnConfig::MANUAL);
  const ConfigOrFault defaults = ParseConfig({}, environment.limits, environment.accepts);
  if (const auto* config = std::get_if<streaming::CallConfig>(&defaults))
    *to.mutable_defaults() = ToProto(*config);
  return to;
}

}  // namespace parley::server
