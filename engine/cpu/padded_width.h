// A dimension of a model padded to what the kernels take.
//
// The kernels multiply whole groups of 32 values and attend with heads of whole vectors. Where a model's
// dimension does not fill them, its values are laid out in runs of equal length, each followed by zeros. The
// padding adds zeros to sums, so it changes no result but the last bits of a mean.
#pragma once

#include <vector>

namespace parley::engine::cpu {

struct PaddedWidth {
  int runs = 1;
  int run = 0;     // values of a run
  int stride = 0;  // from the beginning of one run to the next

  // One run, padded to a multiple of `multiple`.
  static PaddedWidth Of(int width, int multiple);

  int size() const { return runs * run; }
  int padded() const { return runs * stride; }
  bool is_padded() const { return run != stride; }
  // Where value i lies.
  int Place(int i) const { return i / run * stride + i % run; }
};

// The head width that the kernels are given: all `heads` vectors together are the input of a product.
int PaddedHeadDim(int heads, int head_dim);
// How the vectors of some heads lie side by side.
PaddedWidth PaddedHeads(int heads, int head_dim, int padded_head_dim);
// The same where positions are rotary: value i of a head's first half turns with value i of its second half,
// so each half is a run.
PaddedWidth PaddedRotaryHeads(int heads, int head_dim, int padded_head_dim);

// values: [width.size()] -> [width.padded()]
std::vector<float> Pad(std::vector<float> values, const PaddedWidth& width);
// matrix: [outputs.size(), inputs.size()] -> [outputs.padded(), inputs.padded()]
std::vector<float> Pad(std::vector<float> matrix, const PaddedWidth& outputs, const PaddedWidth& inputs);

}  // namespace parley::engine::cpu
