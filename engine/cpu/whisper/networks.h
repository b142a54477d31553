// Whisper's networks on our own kernels, without LibTorch.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/bundle/safetensors.h"
#include "engine/model/arithmetic.h"
#include "engine/whisper/config.h"
#include "engine/whisper/networks.h"

namespace parley::engine::cpu {

// Reads the weights, which may go afterwards; the integers take them in 8 bits. Widths that the kernels do
// not take as they are get padded. INVALID_ARGUMENT, NOT_FOUND: what is missing or wrong, by name.
absl::StatusOr<std::unique_ptr<whisper::Networks>> LoadWhisperNetworks(const bundle::Safetensors& weights,
                                                                       const whisper::Config& config,
                                                                       Arithmetic arithmetic, int threads);

}  // namespace parley::engine::cpu
