// Activations as the quantised linear layers take them: int8 in groups of 32 along the row, each group with a
// scale of its own (symmetric, largest / 127).
//
// A row is one term, or two: what the first term leaves over is quantised in steps 256 times finer, and the
// two add up to the row with twice the bits. That is for those who want fp32's answers; it takes twice the
// products. With one term the few groups of a row with much larger values than the others have their rest,
// too: an outlier costs its group its precision, and such a group decides how far the row is off.
#pragma once

#include <cstdint>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {

inline constexpr int kGroup = 32;         // values that share a scale, along k
inline constexpr int kRowsTogether = 16;  // rows from a multiple of this on can be multiplied alone

namespace internal {
struct Panel;
struct Rest;
struct RestPanel;
}  // namespace internal

// Reused between steps: memory is taken only where it must grow.
class QuantizedRows {
 public:
  // Rows of k values, a multiple of kGroup, in `terms` (1 or 2) terms each; what was held is gone.
  void Reset(int rows, int k, int terms = 1);
  // Quantises x [k] into a row; every row once. Threads may set different rows at once. A row's bits depend
  // on x alone; values that are not finite count as zeros, so that garbage in one row stays in that row.
  void Set(int row, const float* x, Isa isa = DetectIsa());
  // Reset, then Set of every row: x [rows, k], `stride` floats from row to row.
  void Assign(const float* x, int rows, int k, int64_t stride, int terms = 1, Isa isa = DetectIsa());

  int rows() const { return rows_; }
  int k() const { return k_; }
  int terms() const { return terms_; }
  // Memory of a row; sixteen rows of one term, or eight of two, lie together.
  int64_t row_bytes() const;
  // From a panel on; see LinearTask. Null rests with two terms.
  const internal::Panel* panels(int panel) const;
  const internal::RestPanel* rests(int panel) const;
  const int* rest_counts(int panel) const { return terms_ == 2 ? nullptr : rest_counts_.data() + panel; }

 private:
  // With one term: how many rows a panel holds, and the place for a row's rests.
  int RowsOf(int panel) const;
  internal::Rest* RestsOf(int row);
  // Brings the rests of a panel's rows together, group by group.
  void JoinRests(int panel);

  int rows_ = 0;
  int k_ = 0;
  int terms_ = 1;
  AlignedBuffer<uint8_t> panels_;  // [ceil(rows x terms / kPanelTerms), k / kGroup] of Panel
  // With one term:
  AlignedBuffer<uint8_t> row_rests_;  // [rows, MostRests] of Rest
  AlignedBuffer<int> row_rest_counts_;
  AlignedBuffer<int> unset_;        // of each panel: its rows that are not set yet
  AlignedBuffer<uint8_t> rests_;    // as panels_, of RestPanel
  AlignedBuffer<int> rest_counts_;  // of each panel
};

}  // namespace parley::engine::kernels
