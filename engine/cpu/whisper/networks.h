// Whisper's networks on our own kernels, without LibTorch.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/bundle/safetensors.h"
#include "engine/cpu/arithmetic.h"
#include "engine/whisper/config.h"
#include "engine/whisper/networks.h"

namespace parley::engine::cpu {

// Whether the kernels take this shape: INVALID_ARGUMENT says what they do not.
absl::Status SupportsWhisper(const whisper::Config& config);

// Reads the weights, which may go afterwards; the integers take them in 8 bits. INVALID_ARGUMENT, NOT_FOUND:
// what is missing or wrong, by name.
absl::StatusOr<std::unique_ptr<whisper::Networks>> LoadWhisperNetworks(const bundle::Safetensors& weights,
                                                                       const whisper::Config& config,
                                                                       Arithmetic arithmetic, int threads);

}  // namespace parley::engine::cpu
