#include "server/validation.h"

#include <google/protobuf/util/field_mask_util.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/rules/field_rules.h"
#include "server/convert.h"

namespace parley::server {
namespace {

using streaming::AudioCodec;
using streaming::CallConfig;
using streaming::TurnMode;

// Collects the first thing that is wrong; later checks are skipped.
class Checker {
 public:
  void Refuse(v1::Code code, std::string message) {
    if (!fault_.has_value()) fault_ = MakeFault(code, std::move(message));
  }
  void Refuse(std::optional<std::string> message) {
    if (message.has_value()) Refuse(v1::INVALID_CONFIG, *std::move(message));
  }
  std::optional<Fault> fault() const { return fault_; }

 private:
  std::optional<Fault> fault_;
};

template <typename Message>
const v1::FieldRules& RulesOf(int field_number) {
  return rules::RulesOf(*Message::descriptor()->FindFieldByNumber(field_number));
}

// Of what a call is like when nothing is set, text only.
const v1::SessionConfig& Defaults() {
  static const v1::SessionConfig* const defaults = [] {
    auto* to = new v1::SessionConfig;
    to->mutable_turn()->mutable_interruption();
    to->mutable_turn()->mutable_speculation();
    to->mutable_generation();
    to->mutable_video_policy();
    to->mutable_context_policy();
    rules::FillDefaults(*to);
    return to;
  }();
  return *defaults;
}

// What the rules of single fields do not say. `audio`: its unset fields are filled in, those that the codec
// decides here.
void CheckAudio(const Accepts& accepts, v1::AudioFormat& audio, Checker& check) {
  constexpr absl::string_view kRate = "audio.sample_rate_hz";
  constexpr uint32_t kOpusRateHz = 48'000;
  if (!accepts.audio) check.Refuse(v1::INVALID_CONFIG, "audio: this bundle does not hear");
  switch (audio.codec()) {
    case v1::AudioFormat::PCM16:
      // A rate of 0 is unset, which no rule of a field forbids.
      check.Refuse(rules::NumberFault(RulesOf<v1::AudioFormat>(v1::AudioFormat::kSampleRateHzFieldNumber),
                                      kRate, audio.sample_rate_hz()));
      break;
    case v1::AudioFormat::OPUS:
      if (audio.sample_rate_hz() == 0) audio.set_sample_rate_hz(kOpusRateHz);
      if (audio.sample_rate_hz() != kOpusRateHz) {
        check.Refuse(v1::INVALID_CONFIG,
                     absl::StrCat(kRate, " is ", audio.sample_rate_hz(), " Hz; Opus takes ", kOpusRateHz,
                                  ", or 0 for the same"));
      }
      break;
    default:
      check.Refuse(v1::UNSUPPORTED_CODEC, absl::StrCat("audio.codec is ", static_cast<int>(audio.codec()),
                                                       "; it takes PCM16 or OPUS"));
  }
}

void CheckVideo(const Accepts& accepts, const v1::VideoFormat& video, Checker& check) {
  if (!accepts.video) check.Refuse(v1::INVALID_CONFIG, "video: this bundle does not see");
  if (!FromProto(video.codec()).has_value()) {
    check.Refuse(v1::UNSUPPORTED_CODEC, absl::StrCat("video.codec is ", static_cast<int>(video.codec()),
                                                     "; it takes JPEG, PNG, WEBP, H264, VP8 or VP9"));
  }
}

void CheckTurn(const Accepts& accepts, const v1::SessionConfig& config, Checker& check) {
  const v1::TurnConfig::Mode mode = config.turn().mode();
  if (mode != v1::TurnConfig::VAD && mode != v1::TurnConfig::MANUAL) {
    check.Refuse(v1::INVALID_CONFIG,
                 absl::StrCat("turn.mode is ", static_cast<int>(mode), "; it takes VAD or MANUAL"));
  }
  if (config.has_audio() && mode == v1::TurnConfig::VAD && !accepts.speech_detection) {
    check.Refuse(v1::INVALID_CONFIG, "turn.mode is VAD; this bundle has no speech detector: use MANUAL");
  }
}

// `asked`: whether the client has set it; else the default may be over the limit.
void CheckMaxTokens(const v1::Limits& limits, bool asked, v1::GenerationConfig& generation, Checker& check) {
  if (asked) {
    v1::FieldRules range = RulesOf<v1::GenerationConfig>(v1::GenerationConfig::kMaxTokensFieldNumber);
    range.set_maximum(limits.max_answer_tokens());
    check.Refuse(rules::NumberFault(range, "generation.max_tokens", generation.max_tokens()));
  } else {
    generation.set_max_tokens(std::min(generation.max_tokens(), limits.max_answer_tokens()));
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

std::optional<Fault> CheckAudioChunk(const v1::AudioChunk& audio, const v1::Limits& limits,
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

std::optional<Fault> CheckVideoFrame(const v1::VideoFrame& video, const v1::Limits& limits,
                                     InboundState& state) {
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
  static const v1::FieldRules& rotation =
      RulesOf<v1::VideoFrame>(v1::VideoFrame::kRotationDegreesFieldNumber);
  if (auto fault = rules::NumberFault(rotation, "VideoFrame.rotation_degrees", video.rotation_degrees())) {
    return MakeFault(v1::INVALID_MESSAGE, *std::move(fault));
  }
  state.last_frame_id = video.frame_id();
  return std::nullopt;
}

}  // namespace

ConfigOrFault ParseConfig(const v1::SessionConfig& config, const v1::Limits& limits, const Accepts& accepts) {
  Checker check;
  if (config.instructions().size() > limits.max_instructions_bytes()) {
    check.Refuse(v1::TOO_LARGE, absl::StrCat("instructions has ", config.instructions().size(),
                                             " bytes; it takes at most ", limits.max_instructions_bytes()));
  }
  // What is set in `config` takes the place of the default; audio and video have none.
  v1::SessionConfig filled = Defaults();
  filled.MergeFrom(config);
  if (filled.has_audio()) {
    rules::FillDefaults(*filled.mutable_audio());
    CheckAudio(accepts, *filled.mutable_audio(), check);
  }
  if (filled.has_video()) CheckVideo(accepts, filled.video(), check);
  CheckTurn(accepts, filled, check);
  CheckMaxTokens(limits, config.generation().has_max_tokens(), *filled.mutable_generation(), check);
  check.Refuse(rules::FirstFault(config));
  if (auto fault = check.fault()) return *std::move(fault);
  return FromProto(filled);
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
      return CheckAudioChunk(message.audio(), limits, *state.config);
    case v1::ClientMessage::kVideo:
      return CheckVideoFrame(message.video(), limits, state);
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
