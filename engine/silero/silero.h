// Silero VAD, 16 kHz (https://github.com/snakers4/silero-vad, MIT): a spectrogram as a convolution, four
// convolutions and one LSTM cell. Plain memory and loops, no Torch: it runs on the detector thread beside the
// model thread, which owns the tensor library's threads.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/api/speech_detector.h"
#include "engine/bundle/safetensors.h"

namespace parley::engine::silero {

// Copies the weights (names as in silero_vad_16k.safetensors); `weights` may go afterwards. NOT_FOUND or
// INVALID_ARGUMENT naming the tensor that is missing or of another shape.
//
// A window's probability is the same bit for bit whatever else is in its batch. Samples that are not finite
// count as silence. Detect: INVALID_ARGUMENT for a window without state or not of kWindowSamples, with no
// state changed.
absl::StatusOr<std::unique_ptr<SpeechDetector>> Load(const bundle::Safetensors& weights);

}  // namespace parley::engine::silero
