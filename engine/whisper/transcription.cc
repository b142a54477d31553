#include "engine/whisper/transcription.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/api/media.h"
#include "engine/text/largest.h"
#include "engine/text/utf8.h"

namespace parley::engine::whisper {
namespace {

constexpr int kSilenceSamples =
    kSampleRateHz;  // after the speech: with 0.3 s, 3 of 14 clips repeated themselves
constexpr int kShortestSamples = kSampleRateHz / 10;
constexpr size_t kBlockSamples = kSampleRateHz / 20;  // over which loudness is taken
constexpr double kBlockSeconds = static_cast<double>(kBlockSamples) / kSampleRateHz;
constexpr double kMostRepeatedTokensASecond =
    8;                                   // people say "no, no, no" at five a second, and five is six tokens
constexpr float kSilenceEnergy = 1e-6f;  // -60 dB of full scale
constexpr float kQuiet = 0.0025f;        // -26 dB of the loudest: no more speech
constexpr int kStepsPerPass = 4;
constexpr int kRowsPerPass = 16;  // with the draft's tokens
constexpr int kMostProposed = 16;
constexpr int kFewestProposed = 2;
// Of the encoder: two layers of a 10 s window, one of a full one.
constexpr int kLayerPositionsPerPass = 1000;
constexpr int kPromptTokens = 3;              // start, language, task
constexpr int kLeastWordsWon = 2;             // by writing anew what comes after a skip
constexpr int kMostSkips = 3;                 // that are written anew in so much audio as a window holds
constexpr double kLeastAdvanceSeconds = 1;    // from one window to the next
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

// log of the probability that softmax gives to one of the scores.
double LogProbability(absl::Span<const float> scores, TokenId token) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(score - largest);
  return scores[token] - largest - std::log(sum);
}

uint64_t HashOf(absl::Span<const float> samples) {
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(samples.data()), samples.size() * sizeof(float)});
}

}  // namespace

WhisperTranscription::WhisperTranscription(const Whisper::Parts* parts, SpeechInput input)
    : parts_(*parts),
      samples_(std::move(input.samples)),
      measures_(input.measure_confidence),
      language_(parts->language),
      draft_(std::static_pointer_cast<const WhisperDraft>(std::move(input.draft))) {
  if (samples_.size() < kShortestSamples) Finish();
}

std::vector<absl::StatusOr<bool>> WhisperTranscription::Advance(
    absl::Span<WhisperTranscription* const> transcriptions) {
  const absl::Status status =
      transcriptions.size() == 1 ? transcriptions.front()->AdvanceAlone() : Decode(transcriptions);
  std::vector<absl::StatusOr<bool>> done;
  for (const WhisperTranscription* each : transcriptions) done.push_back(each->IsDone(status));
  return done;
}

absl::Status WhisperTranscription::AdvanceAlone() {
  WhisperTranscription* const alone = this;
  switch (phase_) {
    case Phase::kWindow:
      BeginWindow();
      return phase_ == Phase::kEncode ? OpenWindow() : absl::OkStatus();
    case Phase::kEncode:
      return Encode();
    case Phase::kDecode:
      return Decode({&alone, 1});
    case Phase::kDone:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> WhisperTranscription::IsDone(const absl::Status& status) const {
  if (!status.ok()) return absl::InternalError(absl::StrCat("transcription: ", status.message()));
  return phase_ == Phase::kDone;
}

Encoded WhisperTranscription::Take() {
  Encoded encoded = {.part = transcript_.text, .heard = !transcript_.text.empty()};
  encoded.transcript = std::move(transcript_);
  return encoded;
}

bool WhisperTranscription::MaybeSilent() const { return no_speech_probability_ > kNoSpeechProbability; }

size_t WhisperTranscription::FullWindowSamples() const {
  return static_cast<size_t>(parts_.config.max_encoder_positions) * kSamplesPerPosition;
}

bool WhisperTranscription::IsLastWindow() const {
  return samples_.size() - window_begin_ + kSilenceSamples <= FullWindowSamples();
}

bool WhisperTranscription::IsSettled() const {
  return !IsLastWindow() && samples_.size() - window_begin_ >= FullWindowSamples();
}

int WhisperTranscription::WindowSpeechSamples() const {
  return static_cast<int>(std::min(samples_.size() - window_begin_, FullWindowSamples()));
}

void WhisperTranscription::BeginWindow() {
  written_.clear();
  segment_text_.clear();
  closed_at_seconds_ = 0;
  no_speech_probability_ = 0;
  log_probability_ = 0;
  sums_before_ = sums_;
  if (LoudestBlock(0) < kSilenceEnergy) {  // in silence Whisper hears a "you"
    EndWindow(Review());
  } else if (const WhisperDraft::Window* const settled = TakeSettledWindow(); settled != nullptr) {
    EndWindow(settled->review);
  } else {
    phase_ = Phase::kEncode;
  }
}

const WhisperDraft::Window* WhisperTranscription::WindowOfDraft() const {
  return draft_ == nullptr ? nullptr : draft_->WindowAt(window_begin_);
}

const WhisperDraft::Window* WhisperTranscription::TakeSettledWindow() {
  const WhisperDraft::Window* const settled = WindowOfDraft();
  if (settled == nullptr || !settled->settled || !IsSettled()) return nullptr;
  const auto audio = absl::MakeConstSpan(samples_).subspan(window_begin_, WindowSpeechSamples());
  if (HashOf(audio) != settled->audio_hash || RecentSkips() != settled->skips_before) return nullptr;
  language_ = settled->language;
  no_speech_probability_ = settled->no_speech_probability;
  log_probability_ = settled->log_probability;
  decoded_ = 0;
  for (const TokenId token : settled->written) {
    ++sums_.early_tokens;
    if (Take(token)) break;
  }
  return settled;
}

absl::Status WhisperTranscription::OpenWindow() {
  const auto begin = samples_.begin() + static_cast<ptrdiff_t>(window_begin_);
  std::vector<float> audio(begin, begin + WindowSpeechSamples());
  if (IsLastWindow()) audio.resize(padded_ ? FullWindowSamples() : audio.size() + kSilenceSamples);
  audio.resize((audio.size() + kSamplesPerPosition - 1) / kSamplesPerPosition * kSamplesPerPosition);
  auto window = parts_.networks->Begin(audio);
  if (!window.ok()) return window.status();
  window_ = *std::move(window);
  positions_ = static_cast<int>(audio.size()) / kSamplesPerPosition;
  timestamps_ = positions_ + 1;
  layers_done_ = 0;
  return absl::OkStatus();
}

absl::Status WhisperTranscription::Encode() {
  for (int done = 0; layers_done_ < parts_.config.encoder_layers && done < kLayerPositionsPerPass;
       done += positions_) {
    if (absl::Status status = parts_.networks->EncodeLayer(*window_); !status.ok()) return status;
    ++layers_done_;
  }
  if (layers_done_ < parts_.config.encoder_layers) return absl::OkStatus();
  const SpecialTokens& tokens = parts_.tokens;
  const WhisperDraft::Window* const draft = WindowOfDraft();
  follower_ = draft == nullptr
                  ? DraftFollower()
                  : DraftFollower(draft->written, tokens.first_timestamp, parts_.config.vocabulary);
  most_proposed_ = kMostProposed;
  decoded_ = 0;
  if (language_ >= 0) {
    SetNext({tokens.start, language_, tokens.transcribe});
  } else if (tokens.languages.empty()) {
    SetNext({tokens.start});
  } else {
    next_ = {tokens.start};
    proposed_ = 0;
  }
  phase_ = Phase::kDecode;
  return parts_.networks->EndEncoding(*window_);
}

absl::Status WhisperTranscription::Decode(absl::Span<WhisperTranscription* const> transcriptions) {
  Networks& networks = *transcriptions.front()->parts_.networks;
  std::vector<Networks::Entry> entries;
  int rows = 0;
  for (int i = 0; i < kStepsPerPass && rows < kRowsPerPass; ++i) {
    entries.clear();
    int most_rows = 0;
    for (WhisperTranscription* each : transcriptions) {
      if (each->phase_ != Phase::kDecode) continue;  // its window has ended
      entries.push_back({each->window_.get(), each->next_,
                         each->decoded_ == 0 ? &each->after_first_ : nullptr, &each->after_last_,
                         each->proposed_ + 1});
      most_rows = std::max(most_rows, static_cast<int>(each->next_.size()));
    }
    rows += most_rows;
    if (entries.empty()) break;
    if (absl::Status status = networks.Decode(entries); !status.ok()) return status;
    for (WhisperTranscription* each : transcriptions) {
      if (each->phase_ != Phase::kDecode) continue;
      if (absl::Status status = each->TakeScores(); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status WhisperTranscription::TakeScores() {
  const SpecialTokens& tokens = parts_.tokens;
  if (decoded_ == 0 && tokens.no_speech >= 0) {
    no_speech_probability_ = std::exp(LogProbability(after_first_, tokens.no_speech));
  }
  decoded_ += static_cast<int>(next_.size()) - proposed_;
  if (language_ < 0 && !tokens.languages.empty()) {
    language_ = DetectLanguage(after_first_);
    SetNext({language_, tokens.transcribe});
    return absl::OkStatus();
  }
  const auto scores = absl::MakeSpan(after_last_);
  const size_t vocabulary = scores.size() / (proposed_ + 1);
  for (int held = 0;; ++held) {
    const TokenId token = Pick(scores.subspan(held * vocabulary, vocabulary));
    sums_.early_tokens += follower_.Wrote(token) ? 1 : 0;
    if (Take(token)) {
      if (repeats_) {
        PadWindow();
        return absl::OkStatus();
      }
      const absl::StatusOr<Review> review = ReviewWindow();
      if (review.ok()) EndWindow(*review);
      return review.status();
    }
    if (held < proposed_ && next_[next_.size() - proposed_ + held] == token) {
      ++decoded_;
      continue;
    }
    const int refuted = proposed_ - held;
    if (refuted > 0) parts_.networks->TakeBack(*window_, refuted);
    most_proposed_ = refuted > 0 ? kFewestProposed : std::min(most_proposed_ * 2, kMostProposed);
    SetNext({token});
    return absl::OkStatus();
  }
}

void WhisperTranscription::SetNext(std::vector<TokenId> tokens) {
  next_ = std::move(tokens);
  const int given = static_cast<int>(next_.size());
  follower_.Propose(std::min(most_proposed_, parts_.config.max_decoder_positions - decoded_ - given), next_);
  proposed_ = static_cast<int>(next_.size()) - given;
}

TokenId WhisperTranscription::Pick(absl::Span<float> scores) {
  parts_.rules.Apply(written_, timestamps_, scores);
  const auto best = static_cast<TokenId>(text::IndexOfLargest(scores));
  const bool measured_word = measures_ && best < parts_.tokens.end;
  if (!MaybeSilent() && !measured_word) return best;
  const double log_probability = LogProbability(scores, best);
  if (MaybeSilent()) log_probability_ += log_probability;
  if (measured_word) {
    sums_.log_probability += log_probability;
    ++sums_.words_measured;
  }
  return best;
}

TokenId WhisperTranscription::DetectLanguage(absl::Span<const float> scores) const {
  TokenId best = parts_.tokens.languages.front().id;
  for (const SpecialTokens::Language& language : parts_.tokens.languages) {
    if (scores[language.id] > scores[best]) best = language.id;
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
    loudest = std::max(loudest, BlockEnergy(begin));
  }
  return loudest;
}

float WhisperTranscription::BlockEnergy(size_t begin) const {
  float energy = 0;
  for (size_t i = begin; i < begin + kBlockSamples; ++i) energy += samples_[i] * samples_[i];
  return energy / kBlockSamples;
}

bool WhisperTranscription::Take(TokenId token) {
  if (token == parts_.tokens.end) return true;
  written_.push_back(token);
  ++sums_.tokens;
  if (!IsTimestamp(token)) {
    segment_text_.push_back(token);
    // More of the same words than fit into the time: the decoder has lost its place in a short sound.
    const int repeated = RepeatedTail(segment_text_);
    if (repeated > 0 && MayBePadded()) {
      repeats_ = true;
      return true;
    }
    if (repeated > 0 && repeated > ActiveSeconds() * kMostRepeatedTokensASecond) {
      segment_text_.resize(segment_text_.size() - static_cast<size_t>(repeated));
      written_.resize(written_.size() - static_cast<size_t>(repeated));
      sums_.tokens -= repeated;
      sums_.early_tokens = std::min(sums_.early_tokens, sums_.tokens);
      return true;
    }
  } else if (!segment_text_.empty()) {
    closed_at_seconds_ = TimestampSeconds(token);
    segment_text_.clear();
    if (IsLastWindow() && !SpeechGoesOnAfter(closed_at_seconds_)) return true;
  }
  return PositionsAreUsedUp();
}

void WhisperTranscription::PadWindow() {
  window_.reset();
  sums_ = sums_before_;
  repeats_ = false;
  padded_ = true;
  phase_ = Phase::kWindow;
}

double WhisperTranscription::ActiveSeconds() const {
  const float loudest = LoudestBlock(0);
  const double seconds = WindowSpeechSamples() / static_cast<double>(kSampleRateHz);
  double active = 0;
  for (double at = 0; at + kBlockSeconds <= seconds; at += kBlockSeconds) {
    if (BlockEnergy(window_begin_ + static_cast<size_t>(at * kSampleRateHz)) >= loudest * kQuiet)
      active += kBlockSeconds;
  }
  return active;
}

bool WhisperTranscription::PositionsAreUsedUp() const {
  // As openai/whisper: half of the positions is for a prompt.
  return written_.size() + kPromptTokens >= static_cast<size_t>(parts_.config.max_decoder_positions) / 2;
}

bool WhisperTranscription::SpeechGoesOnAfter(double seconds) const {
  return LoudestBlock(seconds) >= LoudestBlock(0) * kQuiet;
}

WhisperDraft::Window WhisperTranscription::DraftOfWindow() const {
  return {.begin = window_begin_, .written = written_};
}

std::shared_ptr<const SpeechDraft> WhisperTranscription::draft() const {
  auto draft = std::make_shared<WhisperDraft>();
  draft->windows = done_;
  if (phase_ == Phase::kDecode) draft->windows.push_back(DraftOfWindow());
  // One that was stopped early knows less than what it was given.
  if (draft_ != nullptr && phase_ != Phase::kDone && draft->tokens() < draft_->tokens()) return draft_;
  return draft;
}

absl::StatusOr<Review> WhisperTranscription::ReviewWindow() const {
  if (std::all_of(written_.begin(), written_.end(), [&](TokenId token) { return IsTimestamp(token); }))
    return Review();
  if (parts_.config.alignment_heads.empty()) return Review();
  const auto tokens = static_cast<int>(written_.size());
  const int prompt = parts_.tokens.languages.empty() ? 1 : kPromptTokens;
  // A token is heard while the one before it is run.
  const auto attention = parts_.networks->Alignment(*window_, prompt - 1, tokens);
  if (!attention.ok()) return attention.status();
  std::vector<WrittenToken> written;
  for (const TokenId token : written_) {
    WrittenToken& next = written.emplace_back();
    if (IsTimestamp(token)) continue;
    next.text = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts_.tokenizer->DecodeAll({token})));
    next.kind = KindOfText(next.text);
  }
  Locate(*attention, positions_, absl::MakeSpan(written));
  Review review = ReviewTokens(written, WindowEnergies());
  if (RecentSkips() >= kMostSkips) review.skip.reset();
  return review;
}

Energies WhisperTranscription::WindowEnergies() const {
  Energies energies(WindowSpeechSamples() / kSamplesPerPosition);
  const float* sample = samples_.data() + window_begin_;
  for (float& energy : energies) {
    for (int i = 0; i < kSamplesPerPosition; ++i, ++sample) energy += *sample * *sample;
  }
  return energies;
}

int WhisperTranscription::RecentSkips() const {
  return static_cast<int>(std::count_if(skips_.begin(), skips_.end(), [&](size_t begin) {
    return begin + FullWindowSamples() > window_begin_;
  }));
}

std::vector<TokenId> WhisperTranscription::TextWithoutEchoes(const Review& review, size_t begin,
                                                             size_t end) const {
  std::vector<TokenId> text;
  auto echo = review.echoes.begin();
  for (size_t i = begin; i < end; ++i) {
    while (echo != review.echoes.end() && i >= echo->second) ++echo;
    const bool echoes = echo != review.echoes.end() && i >= echo->first;
    if (!echoes && !IsTimestamp(written_[i])) text.push_back(written_[i]);
  }
  return text;
}

bool WhisperTranscription::IsSilent() const {
  const double mean_log_probability = log_probability_ / static_cast<double>(written_.size() + 1);
  return MaybeSilent() && mean_log_probability < kNoSpeechLogProbability;
}

WhisperTranscription::Outcome WhisperTranscription::OutcomeOfWindow() const {
  const bool cut_short = PositionsAreUsedUp() && closed_at_seconds_ >= kLeastAdvanceSeconds &&
                         SpeechGoesOnAfter(closed_at_seconds_);
  const bool last_window = IsLastWindow() && !cut_short;
  // Where another window follows, an unfinished segment is said again in it, from where the last one closed.
  const bool unfinished = !segment_text_.empty() && !last_window && closed_at_seconds_ > 0;
  const bool began_another =
      written_.size() >= 2 && IsTimestamp(written_.back()) && IsTimestamp(written_[written_.size() - 2]);
  size_t advance = FullWindowSamples();
  if (!IsSilent() && (unfinished || began_another || cut_short) &&
      closed_at_seconds_ >= kLeastAdvanceSeconds) {
    advance = std::min(advance, static_cast<size_t>(closed_at_seconds_ * kSampleRateHz));
  }
  return {.tokens = IsSilent()   ? 0
                    : unfinished ? written_.size() - segment_text_.size()
                                 : written_.size(),
          .next_begin = window_begin_ + advance,
          .last = last_window};
}

void WhisperTranscription::EndWindow(const Review& review) {
  window_.reset();
  padded_ = false;
  WhisperDraft::Window& draft = done_.emplace_back(DraftOfWindow());
  if (IsSettled()) {
    draft.settled = true;
    draft.audio_hash = HashOf(absl::MakeConstSpan(samples_).subspan(window_begin_, WindowSpeechSamples()));
    draft.language = language_;
    draft.no_speech_probability = no_speech_probability_;
    draft.log_probability = log_probability_;
    draft.review = review;
    draft.skips_before = RecentSkips();
  }
  Outcome outcome = OutcomeOfWindow();
  std::vector<TokenId> text;
  const std::optional<Rest> rest = std::exchange(rest_, std::nullopt);
  if (rest.has_value() &&
      !(review.heard >= rest->heard + kLeastWordsWon && 2 * review.heard >= review.words)) {
    text = rest->text;
    outcome = {.next_begin = rest->next_begin, .last = rest->last};
  } else if (review.skip.has_value() && review.skip->tokens <= outcome.tokens) {
    const Review::Skip& skip = *review.skip;
    text = TextWithoutEchoes(review, 0, skip.tokens);
    rest_ = {TextWithoutEchoes(review, skip.tokens, outcome.tokens), skip.heard_after, outcome.next_begin,
             outcome.last};
    outcome = {.next_begin = window_begin_ + static_cast<size_t>(skip.position) * kSamplesPerPosition};
    skips_.push_back(outcome.next_begin);
  } else {
    text = TextWithoutEchoes(review, 0, outcome.tokens);
  }
  text_.insert(text_.end(), text.begin(), text.end());
  window_begin_ = outcome.next_begin;
  if (outcome.last || window_begin_ + kShortestSamples > samples_.size()) {
    Finish();
  } else {
    phase_ = Phase::kWindow;
  }
}

void WhisperTranscription::Finish() {
  const std::string words = ValidUtf8(parts_.tokenizer->DecodeAll(text_));
  transcript_.text = std::string(absl::StripAsciiWhitespace(words));
  transcript_.tokens = sums_.tokens;
  transcript_.early_tokens = sums_.early_tokens;
  if (sums_.words_measured > 0)
    transcript_.mean_log_probability = sums_.log_probability / sums_.words_measured;
  transcript_.language = "en";
  for (const SpecialTokens::Language& language : parts_.tokens.languages) {
    if (language.id == language_) transcript_.language = language.code;
  }
  phase_ = Phase::kDone;
}

}  // namespace parley::engine::whisper
