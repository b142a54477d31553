#include "engine/bundle/tensor.h"

#include <array>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace parley::engine::bundle {
namespace {

struct DTypeFacts {
  absl::string_view name;
  int64_t block_values;
  int64_t block_bytes;
};

// In the order of DType.
constexpr std::array<DTypeFacts, 18> kFacts = {{{"F32", 1, 4},
                                                {"F16", 1, 2},
                                                {"BF16", 1, 2},
                                                {"F64", 1, 8},
                                                {"I8", 1, 1},
                                                {"I16", 1, 2},
                                                {"I32", 1, 4},
                                                {"I64", 1, 8},
                                                {"U8", 1, 1},
                                                {"BOOL", 1, 1},
                                                {"Q4_0", 32, 18},
                                                {"Q4_1", 32, 20},
                                                {"Q5_0", 32, 22},
                                                {"Q5_1", 32, 24},
                                                {"Q8_0", 32, 34},
                                                {"Q4_K", 256, 144},
                                                {"Q5_K", 256, 176},
                                                {"Q6_K", 256, 210}}};

const DTypeFacts& Facts(DType dtype) { return kFacts[static_cast<size_t>(dtype)]; }

}  // namespace

absl::string_view DTypeName(DType dtype) { return Facts(dtype).name; }
int64_t BlockValues(DType dtype) { return Facts(dtype).block_values; }
int64_t BlockBytes(DType dtype) { return Facts(dtype).block_bytes; }

int64_t TensorView::values() const {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

absl::StatusOr<int64_t> TensorBytes(DType dtype, absl::Span<const int64_t> shape) {
  int64_t values = 1;
  for (int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(values, extent, &values)) {
      return absl::InvalidArgumentError(absl::StrCat("impossible shape [", absl::StrJoin(shape, ", "), "]"));
    }
  }
  const DTypeFacts& facts = Facts(dtype);
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (row % facts.block_values != 0) {
    return absl::InvalidArgumentError(absl::StrCat("rows of ", row, " values are no whole number of ",
                                                   facts.name, " blocks of ", facts.block_values));
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(values / facts.block_values, facts.block_bytes, &bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("impossible shape [", absl::StrJoin(shape, ", "), "]"));
  }
  return bytes;
}

}  // namespace parley::engine::bundle
