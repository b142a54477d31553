// Weights of a checkpoint as fp32 tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/bundle/safetensors.h"

namespace parley::engine::libtorch {

// Reads tensor after tensor and keeps the first error, so that an encoder's loading reads like its list of
// weights: check status() once at the end. After an error it gives zeros of the shape that was asked for.
class WeightReader {
 public:
  // `file` must outlive the reader.
  explicit WeightReader(const bundle::Safetensors* file) : file_(file) {}

  at::Tensor Read(const std::string& name, std::initializer_list<int64_t> shape);
  const absl::Status& status() const { return status_; }

 private:
  const bundle::Safetensors* file_;
  absl::Status status_;
};

}  // namespace parley::engine::libtorch
