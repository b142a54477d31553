// The convolutions of a mobile network in fp32, pictures as [size, size, channels] in plain memory, shared
// out among the threads of a team. Batch norms are folded in; padding is TensorFlow's "same", which puts the
// odd pixel last. Channels are padded to whole vectors; what pads them is zero.
#pragma once

#include <string>
#include <vector>

#include "engine/cpu/float_reader.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/float_linear.h"
#include "engine/kernels/thread_team.h"

namespace parley::engine::cpu {

// A square picture, or what a layer makes of one.
struct FeatureMap {
  int size = 0;      // pixels a side
  int channels = 0;  // floats a pixel
  kernels::AlignedBuffer<float> values;

  int pixels() const { return size * size; }
  void Resize(int new_size, int new_channels) {
    size = new_size;
    channels = new_channels;
    values.Resize(static_cast<size_t>(pixels()) * channels);
  }
};

// What every output is bounded by.
inline constexpr kernels::FloatLinear::Bounds kRelu6 = {0, 6};
inline constexpr kernels::FloatLinear::Bounds kNoBounds = {};

// Of one pixel.
class Pointwise {
 public:
  Pointwise() = default;
  Pointwise(FloatReader* reader, const std::string& convolution, const std::string& norm, int outputs,
            int inputs);

  void Apply(kernels::ThreadTeam& team, const FeatureMap& x, kernels::FloatLinear::Bounds bounds,
             FeatureMap& y) const;

 private:
  kernels::FloatLinear linear_;
};

// Of a square of pixels, each channel for itself; ReLU6 follows.
class Depthwise {
 public:
  Depthwise() = default;
  Depthwise(FloatReader* reader, const std::string& convolution, const std::string& norm, int channels,
            int kernel, int stride);

  void Apply(kernels::ThreadTeam& team, const FeatureMap& x, FeatureMap& y) const;

 private:
  int kernel_ = 0;
  int stride_ = 1;
  std::vector<float> weights_;  // [kernel, kernel, padded channels]
  std::vector<float> bias_;     // [padded channels]
};

// Of three by three pixels of few channels, to every second; ReLU6 follows.
class Stem {
 public:
  Stem() = default;
  Stem(FloatReader* reader, const std::string& convolution, const std::string& norm, int outputs, int inputs);

  // x: [size, size, inputs], without padding.
  void Apply(kernels::ThreadTeam& team, const float* x, int size, FeatureMap& y);

 private:
  int inputs_ = 0;
  kernels::FloatLinear linear_;               // inputs [3, 3, inputs]
  kernels::AlignedBuffer<float> neighbours_;  // [pixels of the output, 3, 3, inputs]
};

}  // namespace parley::engine::cpu
