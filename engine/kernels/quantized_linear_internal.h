// What the instruction-set variants of the quantised linear layer share: the packed layouts and one task.
// Kept free of the standard library: the variants are compiled with other flags than the rest, and an inline
// function that both instantiate could run where its instructions do not exist.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels::internal {

// One tile's share of one group of weights, for outputs o = 0..15 and k = 0..31 of the group:
//   kQ4: 256 bytes, byte [j * 64 + o * 4 + i] = q[o][4j + i] | q[o][16 + 4j + i] << 4   (j = 0..3, i = 0..3)
//        16 fp16 scales, 16 fp16 minimums
//   kQ8: 512 bytes, byte [j * 64 + o * 4 + i] = q[o][4j + i]                            (j = 0..7)
//        16 fp16 scales
// So 4 activations broadcast to every 32-bit lane meet 4 weights of each output.
inline constexpr int kTile = 16;
inline constexpr int kQ4Bytes = 256;
inline constexpr int kQ8Bytes = 512;
inline constexpr int kQ4BlockBytes = kQ4Bytes + 4 * kTile;
inline constexpr int kQ8BlockBytes = kQ8Bytes + 2 * kTile;
// Those of a block, and of the weights in it, which stand first; kSigned: of kQ8.
template <bool kSigned>
inline constexpr int64_t kBlockBytes = kSigned ? kQ8BlockBytes : kQ4BlockBytes;
template <bool kSigned>
inline constexpr int kPackedBytes = kSigned ? kQ8Bytes : kQ4Bytes;

// A row of two terms is scale x (kTermRatio x first + second), so their products join as integers: those of
// 4-bit weights, 32 x 15 x 127 x 257 at most, are exact in a float, too.
inline constexpr int kTermRatioBits = 8;
inline constexpr int kTermRatio = 1 << kTermRatioBits;

// What makes floats of the integers of a term's group.
struct GroupScale {
  float scale;
  float sum;      // scale x total
  int32_t total;  // sum of the term's values
};

// Sixteen terms of quantised activations, one group of each. A row is one term, or two that follow each
// other. Terms of a panel stand side by side: a kernel reads one stream, and they are one operand of AMX.
inline constexpr int kPanelTerms = 16;
struct alignas(64) Panel {
  int8_t values[kPanelTerms][32];  // -127 to 127
  GroupScale scales[kPanelTerms];  // of a row of two terms, its first has the row's scale and sum
};

// What a term leaves over of an outlier among a row's groups, quantised in steps kTermRatio times finer. A
// row of two terms has that of every group and no rests.
struct Rest {
  int8_t values[32];
  GroupScale scale;
  int32_t group;
};
// A group is an outlier when its largest value is so many times the mean of the groups' largest values: one
// in a hundred, but they decide how far the whole row is off. (In SwiGLU's product of a first token a few
// values are a thousand times the others; every later token attends to what comes of them.)
inline constexpr float kOutlier = 4;
constexpr int MostRests(int groups) { return groups / 4 + 1; }

// The rests of one group, of all rows of a panel: rows that have none there add zeros. Outliers stand where
// they stand in other rows, too, so that the rows of a panel have hardly more such groups than one of them.
struct RestPanel {
  Panel panel;
  int32_t group;
};

struct LinearTask {
  const uint8_t* packed;  // of the first tile of the weights
  int groups;             // k / 32
  int n;                  // outputs
  int tile_begin;
  int tile_end;
  const Panel* panels;  // [ceil(terms / kPanelTerms), groups]
  int terms;            // in all: rows x terms_per_row
  int terms_per_row;    // 1 or 2
  // With one term a row, of each panel: how many groups have rests, and `groups` places for them.
  const int* rest_counts;
  const RestPanel* rests;
  float* y;  // [rows, y_stride]
  int64_t y_stride;
};

void MultiplyQ4Portable(const LinearTask& task);
void MultiplyQ8Portable(const LinearTask& task);
void MultiplyQ4Avx2(const LinearTask& task);
void MultiplyQ8Avx2(const LinearTask& task);
void MultiplyQ4AvxVnni(const LinearTask& task);
void MultiplyQ8AvxVnni(const LinearTask& task);
void MultiplyQ4Avx512(const LinearTask& task);
void MultiplyQ8Avx512(const LinearTask& task);
// The first use of AMX in a process takes the operating system's leave: HasIsa(Isa::kAmx) asks for it.
void MultiplyQ4Amx(const LinearTask& task);
void MultiplyQ8Amx(const LinearTask& task);

// x: [groups * 32]. Writes term `slot` of `panels` [groups]; with `terms` 2 also slot + 1, which holds
// what the first leaves over. With `terms` 1 that goes to `rests` for the outliers; returns how many there
// are.
int QuantizeRowPortable(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests);
int QuantizeRowAvx2(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests);
int QuantizeRowAvx512(const float* x, int groups, int slot, int terms, Panel* panels, Rest* rests);

// Below this a group counts as zeros: 127 / largest must stay finite.
inline constexpr float kSmallest = 1e-30f;

}  // namespace parley::engine::kernels::internal
