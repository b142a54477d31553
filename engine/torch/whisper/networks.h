// Whisper's networks in LibTorch, in fp32 or bf16: for shapes that engine/cpu's kernels do not take.
#pragma once

#include <memory>

#include "engine/bundle/safetensors.h"
#include "engine/torch/linear.h"
#include "engine/whisper/config.h"
#include "engine/whisper/networks.h"

namespace parley::engine::whisper {

// Reads the weights, which may go afterwards. INVALID_ARGUMENT, NOT_FOUND: what is missing or wrong, by name.
absl::StatusOr<std::unique_ptr<Networks>> LoadTorchNetworks(const bundle::Safetensors& weights,
                                                            const Config& config, Arithmetic arithmetic);

}  // namespace parley::engine::whisper
