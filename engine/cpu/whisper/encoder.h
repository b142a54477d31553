// Whisper's encoder on our own kernels: two convolutions over the log-mel frames, positions, transformer
// layers. engine/torch/whisper_encoder.h is the same in plain tensor operations.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "engine/cpu/whisper/key_values.h"
#include "engine/cpu/whisper/layer_runner.h"
#include "engine/cpu/whisper/layers.h"
#include "engine/cpu/whisper/log_mel.h"
#include "engine/whisper/config.h"

namespace parley::engine::cpu {

// One thread at a time.
class WhisperEncoder {
 public:
  WhisperEncoder(LayerReader* reader, const whisper::Config& config, LayerRunner* runner);

  // See whisper::Networks::Begin. Writes x: [positions, width]; returns the positions.
  int Begin(absl::Span<const float> samples, Floats& x);
  // x: [positions, width], in place.
  void Layer(int index, int positions, float* x);
  // The last norm, in place.
  void End(int positions, float* x) const;

 private:
  struct LayerWeights {
    AttentionLayer attention;
    FeedForwardLayer feed_forward;
  };

  // The log-mel frames of the samples, in mel_.
  void Hear(absl::Span<const float> samples, int frames);

  LayerRunner* const runner_;
  const LayerWidths widths_;
  const int width_;           // as the buffers have it
  const int attended_width_;  // of all heads
  const int heads_;
  const int mel_stride_;  // mel_bins rounded up to whole groups
  const LogMel log_mel_;
  Dense conv1_, conv2_;           // inputs [3, mel_stride] and [3, width]
  std::vector<float> positions_;  // [max positions, width]
  std::vector<LayerWeights> layers_;
  Norm norm_;

  KeyValues attended_;          // of the layer under way
  std::vector<float> loudest_;  // of each piece of frames
  Floats mel_;                  // [frames + 2, mel_stride]: a frame of zeros before and after
  Floats frames_;               // [frames + 2, width], likewise
  Floats q_, k_, v_;            // [positions, attended_width]
};

}  // namespace parley::engine::cpu
