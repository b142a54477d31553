#include "server/convert.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>

namespace parley::server {
namespace {

using streaming::CommitReason;
using streaming::DropReason;
using streaming::ResponseEnd;

uint32_t ToMilliseconds(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  return static_cast<uint32_t>(std::clamp<int64_t>(ms, 0, std::numeric_limits<uint32_t>::max()));
}

uint32_t Count(int value) { return static_cast<uint32_t>(std::max(value, 0)); }

uint64_t Microseconds(absl::Time from, absl::Time to) {
  if (from == absl::InfinitePast() || to == absl::InfinitePast()) return 0;
  if (from == absl::InfiniteFuture() || to == absl::InfiniteFuture() || to < from) return 0;
  return static_cast<uint64_t>(absl::ToInt64Microseconds(to - from));
}

v1::VideoFormat::Codec ToProto(streaming::VideoCodec codec) {
  switch (codec) {
    case streaming::VideoCodec::kJpeg:
      return v1::VideoFormat::JPEG;
    case streaming::VideoCodec::kPng:
      return v1::VideoFormat::PNG;
    case streaming::VideoCodec::kWebp:
      return v1::VideoFormat::WEBP;
    case streaming::VideoCodec::kH264:
      return v1::VideoFormat::H264;
    case streaming::VideoCodec::kVp8:
      return v1::VideoFormat::VP8;
    case streaming::VideoCodec::kVp9:
      return v1::VideoFormat::VP9;
  }
  return v1::VideoFormat::CODEC_UNSPECIFIED;
}

v1::InputStatus::Reason ToProto(DropReason reason) {
  switch (reason) {
    case DropReason::kNone:
      return v1::InputStatus::REASON_UNSPECIFIED;
    case DropReason::kSampledOut:
      return v1::InputStatus::SAMPLED_OUT;
    case DropReason::kSceneUnchanged:
      return v1::InputStatus::SCENE_UNCHANGED;
    case DropReason::kSuperseded:
      return v1::InputStatus::SUPERSEDED;
    case DropReason::kUndecodable:
      return v1::InputStatus::UNDECODABLE;
    case DropReason::kWaitingForKeyFrame:
      return v1::InputStatus::WAITING_FOR_KEY_FRAME;
    case DropReason::kOverloaded:
      return v1::InputStatus::OVERLOADED;
    case DropReason::kCleared:
      return v1::InputStatus::CLEARED;
  }
  return v1::InputStatus::REASON_UNSPECIFIED;
}

v1::SpeechDismissed::Reason ToProto(streaming::DismissReason reason) {
  switch (reason) {
    case streaming::DismissReason::kTooShort:
      return v1::SpeechDismissed::TOO_SHORT;
    case streaming::DismissReason::kNoWords:
      return v1::SpeechDismissed::NO_WORDS;
    case streaming::DismissReason::kCleared:
      return v1::SpeechDismissed::CLEARED;
  }
  return v1::SpeechDismissed::REASON_UNSPECIFIED;
}

v1::TurnCommitted::Reason ToProto(CommitReason reason) {
  switch (reason) {
    case CommitReason::kSilence:
      return v1::TurnCommitted::SILENCE;
    case CommitReason::kMaxTurn:
      return v1::TurnCommitted::MAX_TURN;
    case CommitReason::kActivityEnd:
      return v1::TurnCommitted::ACTIVITY_END;
    case CommitReason::kInputCommit:
      return v1::TurnCommitted::INPUT_COMMIT;
    case CommitReason::kAudioStreamEnd:
      return v1::TurnCommitted::AUDIO_STREAM_END;
    case CommitReason::kText:
      return v1::TurnCommitted::TEXT;
    case CommitReason::kResponseCreate:
      return v1::TurnCommitted::RESPONSE_CREATE;
    case CommitReason::kAudioIdle:
      return v1::TurnCommitted::AUDIO_IDLE;
  }
  return v1::TurnCommitted::REASON_UNSPECIFIED;
}

v1::TurnMetrics::Speculation ToProto(streaming::SpeculationOutcome outcome) {
  switch (outcome) {
    case streaming::SpeculationOutcome::kNone:
      return v1::TurnMetrics::NONE;
    case streaming::SpeculationOutcome::kHit:
      return v1::TurnMetrics::HIT;
    case streaming::SpeculationOutcome::kMiss:
      return v1::TurnMetrics::MISS;
  }
  return v1::TurnMetrics::NONE;
}

v1::ResponseDone::FinishReason ToProto(ResponseEnd reason) {
  switch (reason) {
    case ResponseEnd::kEndOfTurn:
      return v1::ResponseDone::END_OF_TURN;
    case ResponseEnd::kMaxTokens:
      return v1::ResponseDone::MAX_TOKENS;
    case ResponseEnd::kStopString:
      return v1::ResponseDone::STOP_STRING;
    case ResponseEnd::kCancelled:
      return v1::ResponseDone::CANCELLED;
    case ResponseEnd::kInterrupted:
      return v1::ResponseDone::INTERRUPTED;
    case ResponseEnd::kFailed:
      return v1::ResponseDone::FAILED;
    case ResponseEnd::kContextFull:
      return v1::ResponseDone::CONTEXT_FULL;
  }
  return v1::ResponseDone::FINISH_REASON_UNSPECIFIED;
}

// Writes one event's fields into the message's payload.
struct PayloadWriter {
  v1::ServerMessage& to;

  void operator()(const streaming::ConfigChanged&) const {}
  void operator()(const streaming::TurnTimes&) const {}
  void operator()(const streaming::CallEnded&) const {}
  void operator()(const streaming::InputStatus& from) const {
    v1::InputStatus& status = *to.mutable_input_status();
    status.set_frame_id(from.frame_id);
    status.set_outcome(from.encoded ? v1::InputStatus::ENCODED : v1::InputStatus::DROPPED);
    status.set_reason(ToProto(from.reason));
    status.set_suggested_fps(from.suggested_fps);
    status.set_description(from.description);
    status.set_tokens(Count(from.tokens));
    status.set_detail(from.detail);
    if (from.age != absl::InfiniteDuration()) status.set_age_ms(ToMilliseconds(from.age));
    if (!from.encoded) return;
    status.set_queue_us(Microseconds(from.times.queued, from.times.encode_start));
    status.set_encode_us(Microseconds(from.times.encode_start, from.times.encode_end));
    status.set_prefill_us(Microseconds(from.times.encode_end, from.times.prefill_end));
  }
  void operator()(const streaming::SpeechStarted& from) const {
    to.mutable_speech_started()->set_sample_index(from.sample_index);
    to.mutable_speech_started()->set_probability(from.probability);
  }
  void operator()(const streaming::SpeechStopped& from) const {
    to.mutable_speech_stopped()->set_sample_index(from.sample_index);
    to.mutable_speech_stopped()->set_probability(from.probability);
  }
  void operator()(const streaming::SpeechDismissed& from) const {
    to.mutable_speech_dismissed()->set_reason(ToProto(from.reason));
  }
  void operator()(const streaming::TurnCommitted& from) const {
    v1::TurnCommitted& turn = *to.mutable_turn_committed();
    turn.set_reason(ToProto(from.reason));
    turn.set_start_sample_index(from.start_sample_index);
    turn.set_end_sample_index(from.end_sample_index);
    turn.mutable_frame_ids()->Add(from.frame_ids.begin(), from.frame_ids.end());
  }
  void operator()(const streaming::InputTranscript& from) const {
    to.mutable_transcript()->set_text(from.text);
    to.mutable_transcript()->set_language(from.language);
  }
  void operator()(const streaming::ResponseStarted&) const { to.mutable_response_started(); }
  void operator()(const streaming::TokenDelta& from) const {
    to.mutable_token()->set_text(from.text);
    to.mutable_token()->set_tokens(Count(from.tokens));
  }
  void operator()(const streaming::ResponsePaused& from) const {
    to.mutable_response_paused()->set_speech_ms(ToMilliseconds(from.speech));
  }
  void operator()(const streaming::ResponseResumed&) const { to.mutable_response_resumed(); }
  void operator()(const streaming::Interrupted& from) const {
    to.mutable_interrupted()->set_tokens_kept(Count(from.tokens_kept));
    to.mutable_interrupted()->set_speech_ms(ToMilliseconds(from.speech));
  }
  void operator()(const streaming::ResponseDone& from) const {
    v1::ResponseDone& done = *to.mutable_response_done();
    done.set_finish_reason(ToProto(from.reason));
    v1::Usage& usage = *done.mutable_usage();
    usage.set_text_tokens(Count(from.usage.text_tokens));
    usage.set_speech_tokens(Count(from.usage.speech_tokens));
    usage.set_frame_tokens(Count(from.usage.frame_tokens));
    usage.set_template_tokens(Count(from.usage.template_tokens));
    usage.set_answer_tokens(Count(from.usage.answer_tokens));
    usage.set_context_tokens(Count(from.context_tokens));
  }
  void operator()(const streaming::ContextCompacted& from) const {
    v1::ContextCompacted& compacted = *to.mutable_context_compacted();
    compacted.set_reason(from.compaction.reason == engine::Compaction::Reason::kMemory
                             ? v1::ContextCompacted::MEMORY
                             : v1::ContextCompacted::CONTEXT_LIMIT);
    compacted.set_turns_dropped(Count(from.compaction.turns_dropped));
    compacted.set_tokens_before(Count(from.compaction.tokens_before));
    compacted.set_tokens_after(Count(from.compaction.tokens_after));
  }
  void operator()(const streaming::CallWarning& from) const {
    to.mutable_warning()->set_code(server::ToProto(from.code));
    to.mutable_warning()->set_message(from.message);
  }
  void operator()(const streaming::CallError& from) const {
    v1::Error& error = *to.mutable_error();
    error.set_code(server::ToProto(from.code));
    error.set_message(from.message);
    error.set_client_seq(from.client_seq);
    error.set_fatal(from.fatal);
  }
};

}  // namespace

v1::SessionConfig ToProto(const streaming::CallConfig& config) {
  v1::SessionConfig to;
  to.set_instructions(config.instructions);
  if (config.audio.has_value()) {
    v1::AudioFormat& audio = *to.mutable_audio();
    audio.set_codec(config.audio->codec == streaming::AudioCodec::kOpus ? v1::AudioFormat::OPUS
                                                                        : v1::AudioFormat::PCM16);
    audio.set_sample_rate_hz(static_cast<uint32_t>(config.audio->sample_rate_hz));
    audio.set_channels(static_cast<uint32_t>(config.audio->channels));
    audio.set_dtx(config.audio->dtx);
  }
  if (config.video.has_value()) to.mutable_video()->set_codec(ToProto(*config.video));
  v1::TurnConfig& turn = *to.mutable_turn();
  turn.set_mode(config.turn.mode == streaming::TurnMode::kManual ? v1::TurnConfig::MANUAL
                                                                 : v1::TurnConfig::VAD);
  turn.set_start_threshold(config.turn.start_threshold);
  turn.set_min_speech_ms(ToMilliseconds(config.turn.min_speech));
  turn.set_prefix_padding_ms(ToMilliseconds(config.turn.prefix_padding));
  turn.set_silence_ms(ToMilliseconds(config.turn.silence));
  turn.set_audio_idle_ms(ToMilliseconds(config.turn.audio_idle));
  turn.set_max_turn_ms(ToMilliseconds(config.turn.max_turn));
  turn.mutable_interruption()->set_enabled(config.turn.interruption_enabled);
  turn.mutable_interruption()->set_min_duration_ms(ToMilliseconds(config.turn.interruption_min_duration));
  turn.mutable_speculation()->set_enabled(config.turn.speculation.enabled);
  turn.mutable_speculation()->set_max_retries(Count(config.turn.speculation.max_retries));
  turn.mutable_speculation()->set_pause_ms(ToMilliseconds(config.turn.speculation.pause));
  v1::GenerationConfig& generation = *to.mutable_generation();
  generation.set_max_tokens(Count(config.generation.max_tokens));
  generation.set_temperature(config.generation.temperature);
  generation.set_top_k(Count(config.generation.top_k));
  generation.set_top_p(config.generation.top_p);
  generation.set_repetition_penalty(config.generation.repetition_penalty);
  generation.set_seed(config.generation.seed);
  for (const auto& stop : config.generation.stop) generation.add_stop(stop);
  v1::VideoPolicy& policy = *to.mutable_video_policy();
  policy.set_speaking_fps(config.video_policy.speaking_fps);
  policy.set_silent_fps(config.video_policy.silent_fps);
  policy.set_scene_threshold(config.video_policy.scene_threshold);
  v1::ContextPolicy& context = *to.mutable_context_policy();
  context.set_max_frames(Count(config.context_policy.max_frames));
  const absl::Duration age = config.context_policy.max_frame_age;
  context.set_max_frame_age_ms(age == absl::InfiniteDuration() ? 0 : ToMilliseconds(age));
  context.set_max_frame_tokens(Count(config.context_policy.max_frame_tokens));
  return to;
}

streaming::CallConfig FromProto(const v1::SessionConfig& config) {
  streaming::CallConfig to;
  to.instructions = config.instructions();
  if (config.has_audio()) {
    to.audio = streaming::AudioFormat{.codec = config.audio().codec() == v1::AudioFormat::OPUS
                                                   ? streaming::AudioCodec::kOpus
                                                   : streaming::AudioCodec::kPcm16,
                                      .sample_rate_hz = static_cast<int>(config.audio().sample_rate_hz()),
                                      .channels = static_cast<int>(config.audio().channels()),
                                      .dtx = config.audio().dtx()};
  }
  if (config.has_video()) to.video = FromProto(config.video().codec());
  const v1::TurnConfig& turn = config.turn();
  to.turn.mode =
      turn.mode() == v1::TurnConfig::MANUAL ? streaming::TurnMode::kManual : streaming::TurnMode::kVad;
  to.turn.start_threshold = turn.start_threshold();
  to.turn.min_speech = absl::Milliseconds(turn.min_speech_ms());
  to.turn.prefix_padding = absl::Milliseconds(turn.prefix_padding_ms());
  to.turn.silence = absl::Milliseconds(turn.silence_ms());
  to.turn.max_turn = absl::Milliseconds(turn.max_turn_ms());
  to.turn.audio_idle = absl::Milliseconds(turn.audio_idle_ms());
  to.turn.interruption_enabled = turn.interruption().enabled();
  to.turn.interruption_min_duration = absl::Milliseconds(turn.interruption().min_duration_ms());
  to.turn.speculation.enabled = turn.speculation().enabled();
  to.turn.speculation.max_retries = static_cast<int>(turn.speculation().max_retries());
  to.turn.speculation.pause = absl::Milliseconds(turn.speculation().pause_ms());
  const v1::GenerationConfig& generation = config.generation();
  to.generation.max_tokens = static_cast<int>(generation.max_tokens());
  to.generation.temperature = generation.temperature();
  to.generation.top_k = static_cast<int>(generation.top_k());
  to.generation.top_p = generation.top_p();
  to.generation.repetition_penalty = generation.repetition_penalty();
  to.generation.seed = generation.seed();
  to.generation.stop.assign(generation.stop().begin(), generation.stop().end());
  to.video_policy.speaking_fps = config.video_policy().speaking_fps();
  to.video_policy.silent_fps = config.video_policy().silent_fps();
  to.video_policy.scene_threshold = config.video_policy().scene_threshold();
  const v1::ContextPolicy& context = config.context_policy();
  to.context_policy.max_frames = static_cast<int>(context.max_frames());
  to.context_policy.max_frame_age = context.max_frame_age_ms() == 0
                                        ? absl::InfiniteDuration()
                                        : absl::Milliseconds(context.max_frame_age_ms());
  to.context_policy.max_frame_tokens = static_cast<int>(context.max_frame_tokens());
  return to;
}

std::optional<streaming::VideoCodec> FromProto(v1::VideoFormat::Codec codec) {
  switch (codec) {
    case v1::VideoFormat::JPEG:
      return streaming::VideoCodec::kJpeg;
    case v1::VideoFormat::PNG:
      return streaming::VideoCodec::kPng;
    case v1::VideoFormat::WEBP:
      return streaming::VideoCodec::kWebp;
    case v1::VideoFormat::H264:
      return streaming::VideoCodec::kH264;
    case v1::VideoFormat::VP8:
      return streaming::VideoCodec::kVp8;
    case v1::VideoFormat::VP9:
      return streaming::VideoCodec::kVp9;
    default:
      return std::nullopt;
  }
}

v1::ModelInfo ToProto(const engine::EngineInfo& info) {
  v1::ModelInfo to;
  to.set_bundle(info.bundle);
  to.set_language_model(info.language_model);
  to.set_audio_encoder(info.audio_encoder);
  to.set_vision_encoder(info.vision_encoder);
  to.set_speech_detector(info.speech_detector);
  to.set_arithmetic(info.arithmetic);
  return to;
}

v1::Code ToProto(streaming::CallCode code) {
  using streaming::CallCode;
  switch (code) {
    case CallCode::kInvalidSequence:
      return v1::INVALID_SEQUENCE;
    case CallCode::kInvalidMessage:
      return v1::INVALID_MESSAGE;
    case CallCode::kUndecodableAudio:
      return v1::UNDECODABLE_AUDIO;
    case CallCode::kTooLarge:
      return v1::TOO_LARGE;
    case CallCode::kAudioGap:
      return v1::AUDIO_GAP;
    case CallCode::kAudioOverlap:
      return v1::AUDIO_OVERLAP;
    case CallCode::kWrongMode:
      return v1::WRONG_MODE;
    case CallCode::kUnknownResponse:
      return v1::UNKNOWN_RESPONSE;
    case CallCode::kContextFull:
      return v1::CONTEXT_FULL;
    case CallCode::kEngineFailed:
      return v1::ENGINE_FAILED;
    case CallCode::kInternal:
      return v1::INTERNAL;
  }
  return v1::INTERNAL;
}

v1::ServerMessage ToProto(const Fault& fault, uint64_t client_seq) {
  v1::ServerMessage message;
  v1::Error& error = *message.mutable_error();
  error.set_code(fault.code);
  error.set_message(fault.message);
  error.set_client_seq(client_seq);
  error.set_fatal(fault.fatal);
  error.set_retryable(PolicyOf(fault.code).retryable);
  error.set_retry_after_ms(fault.retry_after_ms);
  return message;
}

v1::TurnMetrics ToProto(const streaming::TurnTimes& times, absl::Time first_write) {
  v1::TurnMetrics to;
  to.set_uplink_us(Microseconds(times.speech_captured, times.speech_end));
  to.set_endpoint_us(Microseconds(times.speech_end, times.end_decided));
  to.set_speech_queue_us(Microseconds(times.speech_queued, times.encode_start));
  to.set_speech_encode_us(Microseconds(times.encode_start, times.encode_end));
  to.set_prefill_queue_us(Microseconds(times.prefill_queued, times.prefill_start));
  to.set_prefill_us(Microseconds(times.prefill_start, times.prefill_end));
  to.set_first_token_us(Microseconds(times.prefill_end, times.first_token));
  const bool held = times.speculation == streaming::SpeculationOutcome::kHit &&
                    times.first_token != absl::InfinitePast() && times.first_token < times.end_decided;
  to.set_first_write_us(Microseconds(held ? times.end_decided : times.first_token, first_write));
  to.set_response_latency_us(Microseconds(times.end_decided, first_write));
  to.set_tokens_prefilled_early(Count(times.tokens_prefilled_early));
  to.set_tokens_prefilled(Count(times.tokens_prefilled));
  to.set_speech_ms(ToMilliseconds(times.speech));
  to.set_answer_tokens(Count(times.answer_tokens));
  to.set_generation_us(Microseconds(times.first_token, times.last_token));
  to.set_speculation(ToProto(times.speculation));
  to.set_speculations(Count(times.speculations));
  to.set_wasted_tokens(Count(times.wasted_tokens));
  to.set_transcript_tokens(Count(times.transcript_tokens));
  to.set_transcript_tokens_early(Count(times.transcript_tokens_early));
  if (held) to.set_held_us(Microseconds(times.first_token, times.end_decided));
  return to;
}

v1::ServerMessage ToProto(const streaming::CallEvent& event) {
  v1::ServerMessage to;
  to.set_epoch(event.epoch);
  to.set_turn_id(event.turn_id);
  to.set_response_id(event.response_id);
  std::visit(PayloadWriter{to}, event.payload);
  return to;
}

}  // namespace parley::server
