// Attention of a tower over everything there is, by the CPU kernels: keys and values in half precision, read
// once for a dozen queries. What an encoder's layer and a decoder's cross attention do in integer
// arithmetics.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/aligned_buffer.h"

namespace parley::engine {

// Keys and values of one sequence. Used by one thread at a time; its loops run on LibTorch's threads.
class HalfAttention {
 public:
  // Whether the kernels take heads of this width.
  static bool Supports(int64_t head_dim);

  // keys, values: [tokens, heads * head_dim] fp32, `stride` floats from token to token. What was held is
  // gone.
  void Fill(const float* keys, const float* values, int64_t stride, int64_t tokens, int64_t heads,
            int64_t head_dim);
  // q: [rows, heads * head_dim], `stride` floats from row to row; each row attends to every token, and its
  // result takes its place. REQUIRES: something is held.
  void Attend(float* q, int64_t stride, int64_t rows) const;

 private:
  int tokens_ = 0;
  int heads_ = 0;
  int head_dim_ = 0;
  kernels::AlignedBuffer<uint8_t> memory_;  // [heads][pages], each as engine/kernels/attention.h has it
  std::vector<const uint8_t*> pages_;       // of the first head
  std::vector<uint8_t> counts_;
};

}  // namespace parley::engine
