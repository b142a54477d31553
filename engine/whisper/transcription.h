// One utterance on its way to text, window by window.
//
// A window holds up to 30 s. The last one is trimmed: the speech that is left and one second of silence. Its
// text ends with the timestamp that closes the last of the speech, or at the end-of-text token. A full
// window's text ends at the end-of-text token, and the next window begins at its last closing timestamp. So
// does the next window after one whose text fills the decoder's positions while there is more speech to come.
//
// Where the same words stand three times in a row in a trimmed window, it is written anew with silence up to
// 30 s, which is what Whisper was trained on: in a short window it more often loses its place in such speech.
// Of 112 clips with repeated words, 1,512 words, it then gets 11.2 % wrong instead of 18.6 %.
//
// Where the decoder attended tells whether the text is what was said (review.h). What it wrote twice of one
// stretch of speech counts once. Where it left speech out the window ends, and another one begins there; what
// was first written after that place is taken if no more than that is written anew.
//
// Tokens that a draft proposes are run together with the last one written, and count when they are what would
// have been written; those after the first that is not are taken back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/encoder.h"
#include "engine/whisper/draft.h"
#include "engine/whisper/parts.h"

namespace parley::engine::whisper {

class WhisperTranscription final : public Encoding {
 public:
  // `parts` must outlive it.
  WhisperTranscription(const Whisper::Parts* parts, SpeechInput input);

  // The decoder runs several windows together.
  bool batchable() const override { return phase_ == Phase::kDecode; }
  std::shared_ptr<const SpeechDraft> draft() const override;
  Encoded Take() override;
  // See Encoder. A pass is the encoder's layers over a bounded number of positions, or a few decoder steps.
  static std::vector<absl::StatusOr<bool>> Advance(absl::Span<WhisperTranscription* const> transcriptions);

 private:
  enum class Phase { kWindow, kEncode, kDecode, kDone };

  // Its next pass, of whatever phase.
  absl::Status AdvanceAlone();
  void BeginWindow();
  // What the draft has of the window under way; null: nothing.
  const WhisperDraft::Window* WindowOfDraft() const;
  // Writes a window that its draft has settled, which it returns; null: there is none.
  const WhisperDraft::Window* TakeSettledWindow();
  // Of the window under way.
  WhisperDraft::Window DraftOfWindow() const;
  absl::Status OpenWindow();
  absl::Status Encode();
  static absl::Status Decode(absl::Span<WhisperTranscription* const> transcriptions);
  absl::StatusOr<bool> IsDone(const absl::Status& status) const;
  // Of the decoder's run over next_.
  absl::Status TakeScores();
  // What the decoder runs next: `tokens`, then what the draft proposes.
  void SetNext(std::vector<TokenId> tokens);
  // Takes one token; true when the window is done.
  bool Take(TokenId token);
  bool MayBePadded() const { return !padded_ && IsLastWindow(); }
  // Begins the window under way again, with silence up to a full one.
  void PadWindow();
  bool PositionsAreUsedUp() const;
  bool SpeechGoesOnAfter(double seconds) const;
  // How much of the window's speech is loud enough to be some.
  double ActiveSeconds() const;
  void EndWindow(const Review& review);
  void Finish();
  // Of the window's text against its audio.
  absl::StatusOr<Review> ReviewWindow() const;
  Energies WindowEnergies() const;
  // Skips that were written anew in the last so much audio as a full window holds.
  int RecentSkips() const;
  // What becomes of a window once it is written, and where the next one begins.
  struct Outcome {
    size_t tokens = 0;  // written ones that count
    size_t next_begin = 0;
    bool last = false;
  };
  Outcome OutcomeOfWindow() const;
  bool IsSilent() const;
  // The text of written tokens [begin, end), without echoes.
  std::vector<TokenId> TextWithoutEchoes(const Review& review, size_t begin, size_t end) const;

  // The best token after what was written; changes the scores.
  TokenId Pick(absl::Span<float> scores);
  TokenId DetectLanguage(absl::Span<const float> scores) const;
  bool MaybeSilent() const;
  size_t FullWindowSamples() const;
  bool IsLastWindow() const;
  bool IsSettled() const;
  int WindowSpeechSamples() const;
  // Mean energy of the loudest 50 ms of the window's speech from `seconds` on.
  float LoudestBlock(double seconds) const;
  float BlockEnergy(size_t begin) const;
  bool IsTimestamp(TokenId token) const { return token >= parts_.tokens.first_timestamp; }
  double TimestampSeconds(TokenId token) const;

  const Whisper::Parts& parts_;
  const std::vector<float> samples_;
  const bool measures_;  // its confidence
  Transcript transcript_;
  Phase phase_ = Phase::kWindow;
  TokenId language_;
  std::vector<TokenId> text_;  // of the windows so far
  const std::shared_ptr<const WhisperDraft> draft_;
  std::vector<WhisperDraft::Window> done_;  // windows
  std::vector<size_t> skips_;               // where something left out is written anew, in samples_
  // What was written after the last of them, to be taken if no more than that is written anew.
  struct Rest {
    std::vector<TokenId> text;
    int heard = 0;  // words of it
    size_t next_begin = 0;
    bool last = false;
  };
  std::optional<Rest> rest_;

  // The window under way.
  size_t window_begin_ = 0;  // in samples_
  bool padded_ = false;
  bool repeats_ = false;  // its text, so far: it is to be padded
  int timestamps_ = 0;    // there are in it
  int positions_ = 0;
  int layers_done_ = 0;
  std::unique_ptr<Networks::Window> window_;
  std::vector<TokenId> next_;  // what the decoder runs next
  int proposed_ = 0;           // the last so many of them are the draft's
  int most_proposed_ = 0;      // fewer while the draft does not hold
  DraftFollower follower_;
  int decoded_ = 0;                    // tokens it has run, and that count
  std::vector<float> after_first_;     // scores of the token after the first of the prompt
  std::vector<float> after_last_;      // and after the last that was not proposed, and those after it
  std::vector<TokenId> written_;       // after the prompt
  std::vector<TokenId> segment_text_;  // since the last timestamp
  double closed_at_seconds_ = 0;       // the last closing timestamp
  double no_speech_probability_ = 0;
  double log_probability_ = 0;  // sum over written_, where silence is possible
  // Of the windows so far.
  struct Sums {
    int tokens = 0;
    int early_tokens = 0;
    double log_probability = 0;  // of words, where they are measured
    int words_measured = 0;
  };
  Sums sums_;
  Sums sums_before_;  // the window under way
};

}  // namespace parley::engine::whisper
