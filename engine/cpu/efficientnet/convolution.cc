#include "engine/cpu/efficientnet/convolution.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/depthwise.h"

namespace parley::engine::cpu {
namespace {

constexpr double kBatchNormEpsilon = 1e-3;
constexpr int kVector = 16;        // channels are padded to a multiple
constexpr int kPixelsOfWork = 48;  // of one thread: whole blocks of the kernels

int Padded(int channels) { return (channels + kVector - 1) / kVector * kVector; }

// Pixels of zeros in front of a picture whose size is `size`.
int SamePadding(int size, int kernel, int stride) {
  const int out = (size + stride - 1) / stride;
  return std::max((out - 1) * stride + kernel - size, 0) / 2;
}

struct Folded {
  std::vector<float> weight;  // [outputs, rest]
  std::vector<float> bias;    // [outputs]
};

// A convolution's weights, [outputs, inputs, kernel, kernel], times its batch norm.
Folded ReadFolded(FloatReader* reader, const std::string& convolution, const std::string& norm, int outputs,
                  int inputs, int kernel) {
  Folded folded;
  folded.weight = reader->Read(convolution + ".weight", {outputs, inputs, kernel, kernel});
  folded.bias = reader->Read(norm + ".bias", {outputs});
  const std::vector<float> gamma = reader->Read(norm + ".weight", {outputs});
  const std::vector<float> mean = reader->Read(norm + ".running_mean", {outputs});
  const std::vector<float> variance = reader->Read(norm + ".running_var", {outputs});
  const size_t rest = folded.weight.size() / outputs;
  for (int o = 0; o < outputs; ++o) {
    const auto scale = static_cast<float>(gamma[o] / std::sqrt(variance[o] + kBatchNormEpsilon));
    for (size_t i = 0; i < rest; ++i) folded.weight[o * rest + i] *= scale;
    folded.bias[o] -= mean[o] * scale;
  }
  return folded;
}

}  // namespace

Pointwise::Pointwise(FloatReader* reader, const std::string& convolution, const std::string& norm,
                     int outputs, int inputs) {
  const Folded folded = ReadFolded(reader, convolution, norm, outputs, inputs, 1);
  linear_ = kernels::FloatLinear(folded.weight, folded.bias, outputs, inputs);
}

void Pointwise::Apply(kernels::ThreadTeam& team, const FeatureMap& x, kernels::FloatLinear::Bounds bounds,
                      FeatureMap& y) const {
  y.Resize(x.size, linear_.stride());
  team.For(x.pixels(), kPixelsOfWork, [&](int begin, int end) {
    linear_.Apply(x.values.data() + static_cast<int64_t>(begin) * x.channels, x.channels, end - begin, bounds,
                  y.values.data() + static_cast<int64_t>(begin) * y.channels);
  });
}

Depthwise::Depthwise(FloatReader* reader, const std::string& convolution, const std::string& norm,
                     int channels, int kernel, int stride)
    : kernel_(kernel), stride_(stride), bias_(Padded(channels)) {
  const Folded folded = ReadFolded(reader, convolution, norm, channels, 1, kernel);
  weights_.resize(static_cast<size_t>(kernel) * kernel * bias_.size());
  for (int c = 0; c < channels; ++c) {
    bias_[c] = folded.bias[c];
    for (int tap = 0; tap < kernel * kernel; ++tap) {
      weights_[tap * bias_.size() + c] = folded.weight[static_cast<size_t>(c) * kernel * kernel + tap];
    }
  }
}

void Depthwise::Apply(kernels::ThreadTeam& team, const FeatureMap& x, FeatureMap& y) const {
  y.Resize((x.size + stride_ - 1) / stride_, x.channels);
  team.For(y.size, 1, [&](int begin, int end) {
    kernels::ConvolveDepthwise({.x = x.values.data(),
                                .size = x.size,
                                .channels = x.channels,
                                .weights = weights_.data(),
                                .bias = bias_.data(),
                                .kernel = kernel_,
                                .stride = stride_,
                                .before = SamePadding(x.size, kernel_, stride_),
                                .low = kRelu6.low,
                                .high = kRelu6.high,
                                .y = y.values.data(),
                                .out_size = y.size,
                                .row_begin = begin,
                                .row_end = end});
  });
}

Stem::Stem(FloatReader* reader, const std::string& convolution, const std::string& norm, int outputs,
           int inputs)
    : inputs_(inputs) {
  const Folded folded = ReadFolded(reader, convolution, norm, outputs, inputs, 3);
  std::vector<float> taps_first(folded.weight.size());
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (int tap = 0; tap < 9; ++tap) {
        taps_first[(o * 9 + tap) * inputs + i] = folded.weight[(o * inputs + i) * 9 + tap];
      }
    }
  }
  linear_ = kernels::FloatLinear(taps_first, folded.bias, outputs, 9 * inputs);
}

void Stem::Apply(kernels::ThreadTeam& team, const float* x, int size, FeatureMap& y) {
  const int out = (size + 1) / 2;
  const int before = SamePadding(size, 3, 2);
  const int taps = 9 * inputs_;
  y.Resize(out, linear_.stride());
  neighbours_.Resize(static_cast<size_t>(y.pixels()) * taps);
  team.For(out, 1, [&](int begin, int end) {
    for (int row = begin; row < end; ++row) {
      float* to = neighbours_.data() + static_cast<int64_t>(row) * out * taps;
      for (int column = 0; column < out; ++column) {
        for (int ky = 0; ky < 3; ++ky) {
          for (int kx = 0; kx < 3; ++kx, to += inputs_) {
            const int from_y = row * 2 - before + ky, from_x = column * 2 - before + kx;
            const bool inside = from_y >= 0 && from_y < size && from_x >= 0 && from_x < size;
            for (int i = 0; i < inputs_; ++i) {
              to[i] = inside ? x[(static_cast<int64_t>(from_y) * size + from_x) * inputs_ + i] : 0;
            }
          }
        }
      }
    }
    linear_.Apply(neighbours_.data() + static_cast<int64_t>(begin) * out * taps, taps, (end - begin) * out,
                  kRelu6, y.values.data() + static_cast<int64_t>(begin) * out * y.channels);
  });
}

}  // namespace parley::engine::cpu
