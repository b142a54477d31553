// Whisper's encoder and decoder in one arithmetic; engine/cpu implements them.
//
// Called by the model thread only.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/token.h"

namespace parley::engine::whisper {

inline constexpr int kSamplesPerPosition = 320;  // of the encoder: two frames of its log-mel spectrogram

class Networks {
 public:
  // One window of audio on its way through the encoder, then what the decoder keeps of it and of the tokens
  // so far. Of the networks that made it, which must outlive it.
  class Window {
   public:
    virtual ~Window() = default;
  };

  virtual ~Networks() = default;

  // samples: mono at kSampleRateHz, whole positions (kSamplesPerPosition), at least two and no more than the
  // encoder has.
  virtual absl::StatusOr<std::unique_ptr<Window>> Begin(absl::Span<const float> samples) = 0;
  // The encoder's next layer. REQUIRES: there is one left.
  virtual absl::Status EncodeLayer(Window& window) = 0;
  // What the decoder needs of the audio. REQUIRES: every layer was run. Once.
  virtual absl::Status EndEncoding(Window& window) = 0;

  // Tokens of one window to be run after those it has.
  struct Entry {
    Window* window = nullptr;
    absl::Span<const TokenId> tokens;  // at least one
    // Where the scores of what follows the first of them go: [vocabulary]. Null: not asked.
    std::vector<float>* after_first = nullptr;
    // And of what follows each of the last `scored`: [scored, vocabulary].
    std::vector<float>* after_last = nullptr;
    int scored = 1;
  };
  // Runs windows that are all different and whose encoding has ended. What one gets does not depend on the
  // others. REQUIRES: their tokens fit the decoder's positions.
  virtual absl::Status Decode(absl::Span<const Entry> entries) = 0;
  // How much tokens [first, first + tokens) that a window has had attended to each position of its audio:
  // [tokens, positions], each row's sum one, the mean of Config::alignment_heads. The same bit for bit
  // whatever tokens and windows were run together. REQUIRES: there are such heads, and at least one token.
  virtual absl::StatusOr<std::vector<float>> Alignment(const Window& window, int first, int tokens) = 0;
  // As if the last `tokens` that a window has had had not been run.
  virtual void TakeBack(Window& window, int tokens) = 0;
};

}  // namespace parley::engine::whisper
