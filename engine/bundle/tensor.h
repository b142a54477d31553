// A tensor as it lies in a file: a typed view into mapped bytes, and its reading as floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley::engine::bundle {

// Element types. The quantised ones are GGML's: blocks of 32 values (Q4_0 to Q8_0) or 256 (the K types) along
// the last dimension.
enum class DType {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

absl::string_view DTypeName(DType dtype);
// Values a block holds (1 for plain types), and the bytes it takes.
int64_t BlockValues(DType dtype);
int64_t BlockBytes(DType dtype);

// Points into its reader's file, which must outlive it. The bytes need not be aligned to the element.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;         // row-major, outermost first
  absl::Span<const std::byte> bytes;  // exactly what dtype and shape take

  int64_t values() const;
};

// Bytes that `shape` takes as `dtype`; INVALID_ARGUMENT on a negative or overflowing shape, or rows that are
// no whole number of blocks.
absl::StatusOr<int64_t> TensorBytes(DType dtype, absl::Span<const int64_t> shape);

// Writes the tensor's values as floats. REQUIRES: out.size() == view.values() (else INVALID_ARGUMENT).
// UNIMPLEMENTED for integer and boolean types: they are no weights.
absl::Status Dequantize(const TensorView& view, absl::Span<float> out);

}  // namespace parley::engine::bundle
