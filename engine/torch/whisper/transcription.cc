#include "engine/torch/whisper/transcription.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/api/media.h"
#include "engine/text/utf8.h"

namespace parley::engine::whisper {
namespace {

constexpr int kSilenceSamples =
    kSampleRateHz;  // after the speech: with 0.3 s, 3 of 14 clips repeated themselves
constexpr int kSamplesPerPosition = 2 * LogMel::kHopSamples;
constexpr int kShortestSamples = kSampleRateHz / 10;
constexpr size_t kBlockSamples = kSampleRateHz / 20;  // over which loudness is taken
constexpr float kSilenceEnergy = 1e-6f;               // -60 dB of full scale
constexpr float kQuiet = 0.0025f;                     // -26 dB of the loudest: no more speech
constexpr int kStepsPerSlice = 4;
// Of the encoder: two layers of a 10 s window, one of a full one.
constexpr int kLayerPositionsPerSlice = 1000;
constexpr double kNoSpeechProbability = 0.6;  // both as in openai/whisper
constexpr double kNoSpeechLogProbability = -1.0;

// A transcript is text for people and for protocols: bytes that are no characters do not leave here.
std::string ValidUtf8(absl::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const text::Utf8Unit unit = text::NextUtf8Unit(bytes);
    if (unit.kind == text::Utf8Unit::kCharacter) absl::StrAppend(&out, bytes.substr(0, unit.size));
    bytes.remove_prefix(unit.size);
  }
  return out;
}

}  // namespace

WhisperTranscription::WhisperTranscription(const Whisper::Parts* parts, std::vector<float> samples)
    : parts_(*parts), samples_(std::move(samples)), language_(parts->language) {
  if (samples_.size() < kShortestSamples) Finish();
}

absl::StatusOr<bool> WhisperTranscription::Advance() {
  const c10::InferenceMode inference;
  try {
    switch (phase_) {
      case Phase::kWindow:
        BeginWindow();
        break;
      case Phase::kEncode:
        Encode();
        break;
      case Phase::kPrompt:
        Prompt();
        [[fallthrough]];
      case Phase::kDecode:
        Decode();
        break;
      case Phase::kDone:
        break;
    }
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("transcription: ", error.what()));
  }
  return phase_ == Phase::kDone;
}

bool WhisperTranscription::IsLastWindow() const {
  const size_t full = static_cast<size_t>(parts_.encoder.max_positions()) * kSamplesPerPosition;
  return samples_.size() - window_begin_ + kSilenceSamples <= full;
}

int WhisperTranscription::WindowSpeechSamples() const {
  const size_t full = static_cast<size_t>(parts_.encoder.max_positions()) * kSamplesPerPosition;
  return static_cast<int>(std::min(samples_.size() - window_begin_, full));
}

void WhisperTranscription::BeginWindow() {
  written_.clear();
  segment_text_.clear();
  window_text_.clear();
  last_segment_.clear();
  closed_at_seconds_ = 0;
  no_speech_probability_ = 0;
  log_probability_ = 0;
  if (LoudestBlock(0) < kSilenceEnergy) {  // in silence Whisper hears a "you"
    EndWindow();
    return;
  }
  const auto begin = samples_.begin() + static_cast<ptrdiff_t>(window_begin_);
  std::vector<float> audio(begin, begin + WindowSpeechSamples());
  if (IsLastWindow()) audio.resize(audio.size() + kSilenceSamples);
  audio.resize((audio.size() + kSamplesPerPosition - 1) / kSamplesPerPosition * kSamplesPerPosition);
  hidden_ = parts_.encoder.Begin(parts_.log_mel.Compute(audio));
  next_layer_ = 0;
  timestamps_ = static_cast<int>(hidden_.size(0)) + 1;
  phase_ = Phase::kEncode;
}

void WhisperTranscription::Encode() {
  const int64_t positions = hidden_.size(0);
  for (int64_t done = 0; next_layer_ < parts_.encoder.layers() && done < kLayerPositionsPerSlice;
       done += positions) {
    hidden_ = parts_.encoder.Layer(next_layer_++, hidden_);
  }
  if (next_layer_ == parts_.encoder.layers()) phase_ = Phase::kPrompt;
}

void WhisperTranscription::Prompt() {
  const SpecialTokens& tokens = parts_.tokens;
  cache_ = parts_.decoder.Begin(parts_.encoder.End(hidden_));
  hidden_ = at::Tensor();
  std::vector<TokenId> prompt = {tokens.start};
  at::Tensor rows = parts_.decoder.Step(&cache_, prompt);
  const at::Tensor first = parts_.decoder.Logits(rows)[0];
  no_speech_probability_ = tokens.no_speech < 0 ? 0 : at::softmax(first, 0)[tokens.no_speech].item<double>();
  TokenId next;
  if (tokens.languages.empty()) {
    next = Pick(first);
  } else {
    if (language_ < 0) language_ = DetectLanguage(first);
    for (const TokenId token : {language_, tokens.transcribe}) {
      rows = parts_.decoder.Step(&cache_, absl::MakeConstSpan(&token, 1));
    }
    next = Pick(parts_.decoder.Logits(rows)[0]);
  }
  phase_ = Phase::kDecode;
  if (Take(next)) EndWindow();
}

void WhisperTranscription::Decode() {
  for (int i = 0; i < kStepsPerSlice && phase_ == Phase::kDecode; ++i) {
    const TokenId last = written_.back();
    const at::Tensor rows = parts_.decoder.Step(&cache_, absl::MakeConstSpan(&last, 1));
    if (Take(Pick(parts_.decoder.Logits(rows)[0]))) EndWindow();
  }
}

TokenId WhisperTranscription::Pick(at::Tensor logits) {
  logits = logits.contiguous().clone();
  parts_.rules.Apply(written_, timestamps_, {logits.data_ptr<float>(), static_cast<size_t>(logits.numel())});
  const at::Tensor log_probabilities = at::log_softmax(logits, 0);
  const int64_t best = log_probabilities.argmax().item<int64_t>();
  log_probability_ += log_probabilities.data_ptr<float>()[best];
  return static_cast<TokenId>(best);
}

TokenId WhisperTranscription::DetectLanguage(const at::Tensor& logits) const {
  const at::Tensor scores = logits.contiguous();
  const float* values = scores.data_ptr<float>();
  TokenId best = parts_.tokens.languages.front().id;
  for (const SpecialTokens::Language& language : parts_.tokens.languages) {
    if (values[language.id] > values[best]) best = language.id;
  }
  return best;
}

double WhisperTranscription::TimestampSeconds(TokenId token) const {
  return (token - parts_.tokens.first_timestamp) * SpecialTokens::kTimestampSeconds;
}

float WhisperTranscription::LoudestBlock(double seconds) const {
  const size_t end = window_begin_ + WindowSpeechSamples();
  float loudest = 0;
  for (size_t begin = window_begin_ + static_cast<size_t>(seconds * kSampleRateHz);
       begin + kBlockSamples <= end; begin += kBlockSamples) {
    float energy = 0;
    for (size_t i = begin; i < begin + kBlockSamples; ++i) energy += samples_[i] * samples_[i];
    loudest = std::max(loudest, energy / kBlockSamples);
  }
  return loudest;
}

bool WhisperTranscription::Take(TokenId token) {
  if (token == parts_.tokens.end) return true;
  written_.push_back(token);
  if (!IsTimestamp(token)) {
    segment_text_.push_back(token);
    const int repeated = RepeatedTail(segment_text_);
    if (repeated > 0) {
      segment_text_.resize(segment_text_.size() - repeated);
      return true;
    }
  } else if (!segment_text_.empty()) {
    if (segment_text_.size() >= 3 && segment_text_ == last_segment_) {
      segment_text_.clear();
      return true;
    }
    closed_at_seconds_ = TimestampSeconds(token);
    window_text_.insert(window_text_.end(), segment_text_.begin(), segment_text_.end());
    last_segment_ = std::exchange(segment_text_, {});
    if (IsLastWindow() && LoudestBlock(closed_at_seconds_) < LoudestBlock(0) * kQuiet) return true;
  }
  return cache_.length + 1 >= parts_.decoder.max_positions() / 2;  // as openai/whisper: half is for a prompt
}

void WhisperTranscription::EndWindow() {
  cache_ = Decoder::Cache();
  const bool last_window = IsLastWindow();
  // In a full window an unfinished segment is said again in the next one, from where the last one closed.
  const bool unfinished = !segment_text_.empty() && !last_window && closed_at_seconds_ > 0;
  if (!unfinished) window_text_.insert(window_text_.end(), segment_text_.begin(), segment_text_.end());
  const double mean_log_probability = log_probability_ / static_cast<double>(written_.size() + 1);
  const bool silent =
      no_speech_probability_ > kNoSpeechProbability && mean_log_probability < kNoSpeechLogProbability;
  if (!silent) text_.insert(text_.end(), window_text_.begin(), window_text_.end());

  const bool began_another =
      written_.size() >= 2 && IsTimestamp(written_.back()) && IsTimestamp(written_[written_.size() - 2]);
  const size_t full = static_cast<size_t>(parts_.encoder.max_positions()) * kSamplesPerPosition;
  size_t advance = full;
  if (!silent && (unfinished || began_another) && closed_at_seconds_ > 1) {
    advance = std::min(full, static_cast<size_t>(closed_at_seconds_ * kSampleRateHz));
  }
  window_begin_ += advance;
  if (last_window || window_begin_ + kShortestSamples > samples_.size()) {
    Finish();
  } else {
    phase_ = Phase::kWindow;
  }
}

void WhisperTranscription::Finish() {
  const std::string words = ValidUtf8(parts_.tokenizer->DecodeAll(text_));
  result_.text = std::string(absl::StripAsciiWhitespace(words));
  result_.language = "en";
  for (const SpecialTokens::Language& language : parts_.tokens.languages) {
    if (language.id == language_) result_.language = language.code;
  }
  phase_ = Phase::kDone;
}

}  // namespace parley::engine::whisper
