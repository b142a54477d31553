#include "server/validation.h"

#include <google/protobuf/util/field_mask_util.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/convert.h"

namespace parley::server {
namespace {

using streaming::AudioCodec;
using streaming::AudioFormat;
using streaming::CallConfig;
using streaming::TurnMode;
using streaming::VideoCodec;

// Collects the first thing that is wrong; later checks are skipped.
class Checker {
 public:
  void Refuse(v1::Code code, std::string message) {
    if (!fault_.has_value()) fault_ = MakeFault(code, std::move(message));
  }
  // Floats come as they are on the wire: NaN is in no range.
  void Range(absl::string_view name, double value, double low, double high, absl::string_view unit = "") {
    if (value >= low && value <= high) return;
    Refuse(v1::INVALID_CONFIG,
           absl::StrCat(name, " is ", value, unit, "; it takes ", low, " to ", high, unit));
  }
  void AboveZero(absl::string_view name, double value, double high) {
    if (value > 0 && value <= high) return;
    Refuse(v1::INVALID_CONFIG, absl::StrCat(name, " is ", value, "; it takes more than 0, up to ", high));
  }
  std::optional<Fault> fault() const { return fault_; }

 private:
  std::optional<Fault> fault_;
};

void ParseAudio(const v1::AudioFormat& from, const Accepts& accepts, Checker& check, CallConfig& to) {
  if (!accepts.audio) check.Refuse(v1::INVALID_CONFIG, "audio: this bundle does not hear");
  AudioFormat format;
  switch (from.codec()) {
    case v1::AudioFormat::PCM16:
      format.codec = AudioCodec::kPcm16;
      check.Range("audio.sample_rate_hz", from.sample_rate_hz(), 8'000, 48'000, " Hz");
      break;
    case v1::AudioFormat::OPUS:
      format.codec = AudioCodec::kOpus;
      if (from.sample_rate_hz() != 0 && from.sample_rate_hz() != 48'000) {
        check.Refuse(v1::INVALID_CONFIG, absl::StrCat("audio.sample_rate_hz is ", from.sample_rate_hz(),
                                                      " Hz; Opus takes 48000, or 0 for the same"));
      }
      break;
    default:
      check.Refuse(v1::UNSUPPORTED_CODEC, absl::StrCat("audio.codec is ", static_cast<int>(from.codec()),
                                                       "; it takes PCM16 or OPUS"));
  }
  check.Range("audio.channels", from.channels(), 0, 2);
  if (check.fault().has_value()) return;
  format.sample_rate_hz =
      format.codec == AudioCodec::kOpus ? 48'000 : static_cast<int>(from.sample_rate_hz());
  format.channels = std::max<int>(1, static_cast<int>(from.channels()));
  format.dtx = from.dtx();
  to.audio = format;
}

void ParseVideo(const v1::VideoFormat& from, const Accepts& accepts, Checker& check, CallConfig& to) {
  if (!accepts.video) check.Refuse(v1::INVALID_CONFIG, "video: this bundle does not see");
  switch (from.codec()) {
    case v1::VideoFormat::JPEG:
      to.video = VideoCodec::kJpeg;
      break;
    case v1::VideoFormat::PNG:
      to.video = VideoCodec::kPng;
      break;
    case v1::VideoFormat::WEBP:
      to.video = VideoCodec::kWebp;
      break;
    case v1::VideoFormat::H264:
      to.video = VideoCodec::kH264;
      break;
    case v1::VideoFormat::VP8:
      to.video = VideoCodec::kVp8;
      break;
    case v1::VideoFormat::VP9:
      to.video = VideoCodec::kVp9;
      break;
    default:
      check.Refuse(v1::UNSUPPORTED_CODEC, absl::StrCat("video.codec is ", static_cast<int>(from.codec()),
                                                       "; it takes JPEG, PNG, WEBP, H264, VP8 or VP9"));
  }
}

void ParseMilliseconds(absl::string_view name, uint32_t value, uint32_t low, uint32_t high, Checker& check,
                       absl::Duration& to) {
  check.Range(name, value, low, high, " ms");
  to = absl::Milliseconds(value);
}

void ParseTurn(const v1::TurnConfig& from, const CallConfig& call, const Accepts& accepts, Checker& check,
               streaming::TurnConfig& to) {
  switch (from.mode()) {
    case v1::TurnConfig::MODE_UNSPECIFIED:
    case v1::TurnConfig::VAD:
      to.mode = TurnMode::kVad;
      break;
    case v1::TurnConfig::MANUAL:
      to.mode = TurnMode::kManual;
      break;
    default:
      check.Refuse(v1::INVALID_CONFIG,
                   absl::StrCat("turn.mode is ", static_cast<int>(from.mode()), "; it takes VAD or MANUAL"));
  }
  if (call.audio.has_value() && to.mode == TurnMode::kVad && !accepts.speech_detection) {
    check.Refuse(v1::INVALID_CONFIG, "turn.mode is VAD; this bundle has no speech detector: use MANUAL");
  }
  if (from.has_start_threshold()) {
    check.Range("turn.start_threshold", from.start_threshold(), 0.05f, 0.95f);
    to.start_threshold = from.start_threshold();
  }
  if (from.has_min_speech_ms()) {
    ParseMilliseconds("turn.min_speech_ms", from.min_speech_ms(), 0, 2'000, check, to.min_speech);
  }
  if (from.has_prefix_padding_ms()) {
    ParseMilliseconds("turn.prefix_padding_ms", from.prefix_padding_ms(), 0, 2'000, check, to.prefix_padding);
  }
  if (from.has_silence_ms()) {
    ParseMilliseconds("turn.silence_ms", from.silence_ms(), 100, 5'000, check, to.silence);
  }
  if (from.has_audio_idle_ms()) {
    ParseMilliseconds("turn.audio_idle_ms", from.audio_idle_ms(), 500, 60'000, check, to.audio_idle);
  }
  if (from.has_max_turn_ms()) {
    ParseMilliseconds("turn.max_turn_ms", from.max_turn_ms(), 1'000, 120'000, check, to.max_turn);
  }
  const v1::Interruption& interruption = from.interruption();
  if (interruption.has_enabled()) to.interruption_enabled = interruption.enabled();
  if (interruption.has_min_duration_ms()) {
    ParseMilliseconds("turn.interruption.min_duration_ms", interruption.min_duration_ms(), 0, 5'000, check,
                      to.interruption_min_duration);
  }
  const v1::Speculation& speculation = from.speculation();
  if (speculation.has_enabled()) to.speculation.enabled = speculation.enabled();
  if (speculation.has_max_retries()) {
    check.Range("turn.speculation.max_retries", speculation.max_retries(), 0, 10);
    to.speculation.max_retries = static_cast<int>(std::min(speculation.max_retries(), 10u));
  }
  if (speculation.has_pause_ms()) {
    ParseMilliseconds("turn.speculation.pause_ms", speculation.pause_ms(), 192, 2'000, check,
                      to.speculation.pause);
  }
}

void ParseGeneration(const v1::GenerationConfig& from, const v1::Limits& limits, Checker& check,
                     engine::GenerationConfig& to) {
  if (from.has_max_tokens()) {
    check.Range("generation.max_tokens", from.max_tokens(), 1, limits.max_answer_tokens(), " tokens");
    to.max_tokens = static_cast<int>(std::min(from.max_tokens(), limits.max_answer_tokens()));
  } else {
    to.max_tokens = std::min(to.max_tokens, static_cast<int>(limits.max_answer_tokens()));
  }
  if (from.has_temperature()) {
    check.Range("generation.temperature", from.temperature(), 0, 2);
    to.temperature = from.temperature();
  }
  if (from.has_top_k()) {
    check.Range("generation.top_k", from.top_k(), 0, 1'000);
    to.top_k = static_cast<int>(std::min(from.top_k(), 1'000u));
  }
  if (from.has_top_p()) {
    check.AboveZero("generation.top_p", from.top_p(), 1);
    to.top_p = from.top_p();
  }
  if (from.has_repetition_penalty()) {
    check.Range("generation.repetition_penalty", from.repetition_penalty(), 1, 2);
    to.repetition_penalty = from.repetition_penalty();
  }
  if (from.has_seed()) to.seed = from.seed();
  if (from.stop_size() > 8) {
    check.Refuse(v1::INVALID_CONFIG,
                 absl::StrCat("generation.stop has ", from.stop_size(), " strings; it takes at most 8"));
  }
  for (const std::string& stop : from.stop()) {
    if (stop.empty() || stop.size() > 64) {
      check.Refuse(v1::INVALID_CONFIG, absl::StrCat("generation.stop has a string of ", stop.size(),
                                                    " bytes; each takes 1 to 64 bytes"));
    }
  }
  to.stop.assign(from.stop().begin(), from.stop().end());
}

void ParseVideoPolicy(const v1::VideoPolicy& from, Checker& check, streaming::VideoPolicy& to) {
  if (from.has_speaking_fps()) {
    check.AboveZero("video_policy.speaking_fps", from.speaking_fps(), 10);
    to.speaking_fps = from.speaking_fps();
  }
  if (from.has_silent_fps()) {
    check.AboveZero("video_policy.silent_fps", from.silent_fps(), 10);
    to.silent_fps = from.silent_fps();
  }
  if (from.has_scene_threshold()) {
    check.Range("video_policy.scene_threshold", from.scene_threshold(), 0, 1);
    to.scene_threshold = from.scene_threshold();
  }
}

void ParseContextPolicy(const v1::ContextPolicy& from, Checker& check, engine::ContextPolicy& to) {
  if (from.has_max_frames()) {
    check.Range("context_policy.max_frames", from.max_frames(), 1, 1'000);
    to.max_frames = static_cast<int>(std::min(from.max_frames(), 1'000u));
  }
  if (from.max_frame_age_ms() != 0) {
    ParseMilliseconds("context_policy.max_frame_age_ms", from.max_frame_age_ms(), 1'000, 86'400'000, check,
                      to.max_frame_age);
  }
  if (from.has_max_frame_tokens()) {
    check.Range("context_policy.max_frame_tokens", from.max_frame_tokens(), 0, 1'000'000, " tokens");
    to.max_frame_tokens = static_cast<int>(std::min(from.max_frame_tokens(), 1'000'000u));
  }
}

// FieldMaskUtil skips empty names: 'turn.' and 'turn..mode' would pass.
bool HasEmptyName(absl::string_view path) {
  return path.empty() || absl::StartsWith(path, ".") || absl::EndsWith(path, ".") ||
         absl::StrContains(path, "..");
}

bool CanChange(absl::string_view path) {
  for (absl::string_view root : {"turn", "generation", "video_policy"}) {
    if (path == root || absl::StartsWith(path, absl::StrCat(root, "."))) return true;
  }
  return false;
}

std::optional<Fault> CheckSize(absl::string_view name, size_t bytes, uint32_t most) {
  if (bytes == 0) return MakeFault(v1::INVALID_MESSAGE, absl::StrCat(name, " is empty"));
  if (bytes > most) {
    return MakeFault(v1::TOO_LARGE, absl::StrCat(name, " has ", bytes, " bytes; it takes at most ", most));
  }
  return std::nullopt;
}

std::optional<Fault> CheckAudio(const v1::AudioChunk& audio, const v1::Limits& limits,
                                const CallConfig& config) {
  if (!config.audio.has_value()) {
    return MakeFault(v1::INVALID_MESSAGE, "an AudioChunk in a call that was opened without an audio format");
  }
  if (auto fault = CheckSize("AudioChunk.data", audio.data().size(), limits.max_audio_chunk_bytes()))
    return fault;
  if (config.audio->codec == AudioCodec::kPcm16) {
    const size_t frame = 2 * static_cast<size_t>(config.audio->channels);
    if (audio.data().size() % frame != 0) {
      return MakeFault(v1::INVALID_MESSAGE,
                       absl::StrCat("AudioChunk.data has ", audio.data().size(),
                                    " bytes, which is no whole number of samples of ", frame, " bytes"));
    }
  }
  return std::nullopt;
}

std::optional<Fault> CheckVideo(const v1::VideoFrame& video, const v1::Limits& limits, InboundState& state) {
  if (!state.config->video.has_value()) {
    return MakeFault(v1::INVALID_MESSAGE, "a VideoFrame in a call that was opened without a video format");
  }
  if (video.frame_id() <= state.last_frame_id) {
    // The order of messages is sound, so only this frame is lost.
    Fault fault = MakeFault(v1::INVALID_SEQUENCE,
                            absl::StrCat("VideoFrame.frame_id is ", video.frame_id(),
                                         "; it must be greater than the last one, ", state.last_frame_id));
    fault.fatal = false;
    return fault;
  }
  if (auto fault = CheckSize("VideoFrame.data", video.data().size(), limits.max_video_frame_bytes()))
    return fault;
  const uint32_t rotation = video.rotation_degrees();
  if (rotation != 0 && rotation != 90 && rotation != 180 && rotation != 270) {
    return MakeFault(v1::INVALID_MESSAGE, absl::StrCat("VideoFrame.rotation_degrees is ", rotation,
                                                       "; it takes 0, 90, 180 or 270"));
  }
  state.last_frame_id = video.frame_id();
  return std::nullopt;
}

}  // namespace

ConfigOrFault ParseConfig(const v1::SessionConfig& config, const v1::Limits& limits, const Accepts& accepts) {
  Checker check;
  CallConfig call;
  if (config.instructions().size() > limits.max_instructions_bytes()) {
    check.Refuse(v1::TOO_LARGE, absl::StrCat("instructions has ", config.instructions().size(),
                                             " bytes; it takes at most ", limits.max_instructions_bytes()));
  }
  call.instructions = config.instructions();
  if (config.has_audio()) ParseAudio(config.audio(), accepts, check, call);
  if (config.has_video()) ParseVideo(config.video(), accepts, check, call);
  ParseTurn(config.turn(), call, accepts, check, call.turn);
  ParseGeneration(config.generation(), limits, check, call.generation);
  ParseVideoPolicy(config.video_policy(), check, call.video_policy);
  ParseContextPolicy(config.context_policy(), check, call.context_policy);
  if (auto fault = check.fault()) return *std::move(fault);
  return call;
}

ConfigOrFault ApplyUpdate(const v1::SessionUpdate& update, const CallConfig& current,
                          const v1::Limits& limits, const Accepts& accepts) {
  using google::protobuf::util::FieldMaskUtil;
  if (update.update_mask().paths().empty()) {
    return MakeFault(v1::INVALID_MESSAGE, "SessionUpdate.update_mask is empty");
  }
  for (const std::string& path : update.update_mask().paths()) {
    if (HasEmptyName(path) || !FieldMaskUtil::IsValidPath<v1::SessionConfig>(path)) {
      constexpr size_t kShown = 200;
      return MakeFault(v1::INVALID_CONFIG,
                       absl::StrCat("update_mask: there is no field '", path.substr(0, kShown), "'"));
    }
    if (!CanChange(path)) {
      return MakeFault(v1::INVALID_CONFIG,
                       absl::StrCat("update_mask: '", path, "' cannot be changed in a live call"));
    }
  }
  v1::SessionConfig merged = ToProto(current);
  FieldMaskUtil::MergeOptions options;
  options.set_replace_message_fields(true);
  options.set_replace_repeated_fields(true);
  FieldMaskUtil::MergeMessageTo(update.config(), update.update_mask(), options, &merged);
  return ParseConfig(merged, limits, accepts);
}

std::optional<Fault> CheckMessage(const v1::ClientMessage& message, const v1::Limits& limits,
                                  InboundState& state) {
  if (message.seq() != state.last_seq + 1) {
    return MakeFault(v1::INVALID_SEQUENCE,
                     absl::StrCat("seq is ", message.seq(), "; ", state.last_seq + 1, " was expected"));
  }
  state.last_seq = message.seq();
  if (message.payload_case() == v1::ClientMessage::PAYLOAD_NOT_SET) {
    return MakeFault(v1::INVALID_MESSAGE, "the message has no payload that this server knows");
  }
  if (message.has_open()) {
    if (state.config.has_value()) return MakeFault(v1::ALREADY_OPEN, "the call is open already");
    return std::nullopt;
  }
  if (!state.config.has_value()) return MakeFault(v1::NOT_OPEN, "the first message must be SessionOpen");
  switch (message.payload_case()) {
    case v1::ClientMessage::kAudio:
      return CheckAudio(message.audio(), limits, *state.config);
    case v1::ClientMessage::kVideo:
      return CheckVideo(message.video(), limits, state);
    case v1::ClientMessage::kText:
      return CheckSize("TextInput.text", message.text().text().size(), limits.max_text_bytes());
    case v1::ClientMessage::kActivityStart:
    case v1::ClientMessage::kActivityEnd:
      if (state.config->turn.mode != TurnMode::kManual) {
        return MakeFault(v1::WRONG_MODE, "ActivityStart and ActivityEnd need turn.mode MANUAL");
      }
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace parley::server
