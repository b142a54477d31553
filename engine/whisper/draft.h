// What was written of an utterance before all of it had been heard: a guess at what will be written now that
// there is more of it. It is checked many tokens at a time, and what does not hold is written anew, so it
// changes how long a transcription takes and never what it says (speculative decoding: Leviathan et al.,
// 2022, arXiv:2211.17192, with the model's own earlier words for a draft).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/encoder.h"
#include "engine/text/token.h"
#include "engine/whisper/review.h"

namespace parley::engine::whisper {

struct WhisperDraft final : SpeechDraft {
  struct Window {
    size_t begin = 0;              // of its audio, in samples
    std::vector<TokenId> written;  // after the prompt
    // A full window that more audio follows is the same however much more there is: it is not done again.
    bool settled = false;
    // Of a settled one:
    uint64_t audio_hash = 0;
    TokenId language = -1;
    double no_speech_probability = 0;
    double log_probability = 0;
    Review review;
    // How many skips of the audio just before it there were: as many as may be limit its own.
    int skips_before = 0;
  };
  std::vector<Window> windows;  // in order

  // Null: none begins there.
  const Window* WindowAt(size_t begin) const;
  size_t tokens() const;
};

// Follows a window's draft while the window is written.
class DraftFollower {
 public:
  DraftFollower() = default;
  // The draft must outlive it. Tokens from `first_timestamp` on are timestamps, `vocabulary` tokens there
  // are.
  DraftFollower(absl::Span<const TokenId> draft, TokenId first_timestamp, int vocabulary)
      : draft_(draft), first_timestamp_(first_timestamp), last_timestamp_(vocabulary - 1) {}

  // Returns whether it is what came next.
  bool Wrote(TokenId token);
  // Appends what comes next by the draft, at most `most` tokens.
  void Propose(int most, std::vector<TokenId>& tokens) const;

 private:
  TokenId Next(size_t at) const;
  bool IsTimestamp(TokenId token) const { return token >= first_timestamp_; }

  absl::Span<const TokenId> draft_;
  TokenId first_timestamp_ = 0;
  TokenId last_timestamp_ = 0;
  size_t at_ = 0;      // what comes next
  TokenId shift_ = 0;  // by which the timestamps have moved
};

}  // namespace parley::engine::whisper
