// A depthwise convolution in fp32 over a picture of channels last: each channel with its own square kernel.
//
// Plain memory, no threads of its own: the caller splits rows of the output among threads.
#pragma once

#include <cstdint>

#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {

struct DepthwiseTask {
  const float* x;  // [size, size, channels]
  int size;
  int channels;          // a multiple of 16
  const float* weights;  // [kernel, kernel, channels]
  const float* bias;     // [channels]
  int kernel;
  int stride;
  int before;  // pixels of zeros in front of a row, and above the picture
  float low;   // of what is written
  float high;
  float* y;  // [out_size, out_size, channels]
  int out_size;
  int row_begin;  // of the output
  int row_end;
};

void ConvolveDepthwise(const DepthwiseTask& task, Isa isa = DetectIsa());

}  // namespace parley::engine::kernels
