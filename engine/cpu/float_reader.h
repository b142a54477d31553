// Weights of a checkpoint as floats.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/bundle/safetensors.h"

namespace parley::engine::cpu {

// Reads tensor after tensor and keeps the first error, so that loading reads like the list of weights: check
// status() once at the end. After an error it gives zeros.
class FloatReader {
 public:
  // `file` must outlive the reader.
  explicit FloatReader(const bundle::Safetensors* file) : file_(file) {}

  std::vector<float> Read(const std::string& name, std::initializer_list<int64_t> shape);
  // Another error of the tensor `name`.
  void Fail(const std::string& name, const absl::Status& status);
  const absl::Status& status() const { return status_; }

 private:
  const bundle::Safetensors* file_;
  absl::Status status_;
};

}  // namespace parley::engine::cpu
