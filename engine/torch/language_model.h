// A language model on one of LibTorch's devices. The only header of this folder that others include: no Torch
// in it.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "engine/bundle/language_model_files.h"
#include "engine/model/language_model.h"
#include "engine/model/language_model_options.h"

namespace parley::engine::libtorch {

// On the processor, as the reference for the fast kernels of engine/cpu: as readable as slow.
// INVALID_ARGUMENT: an arithmetic or a KV format that LibTorch does not have here. Sets the process's number
// of tensor threads.
absl::StatusOr<std::unique_ptr<LanguageModel>> LoadOnCpu(
    std::shared_ptr<const bundle::LanguageModelFiles> files, const LanguageModelOptions& options);

}  // namespace parley::engine::libtorch
