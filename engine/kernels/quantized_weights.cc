#include "engine/kernels/quantized_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/kernels/half.h"
#include "engine/kernels/quantized_linear_internal.h"

namespace parley::engine::kernels {

static_assert(kTileOutputs == internal::kTile);

namespace {

// GGUF blocks of 32 weights.
constexpr int kQ4_0Bytes = 18;  // fp16 scale, 16 bytes: q[i] | q[i + 16] << 4; w = scale * (q - 8)
constexpr int kQ4_1Bytes = 20;  // fp16 scale, fp16 minimum, 16 bytes
constexpr int kQ8_0Bytes = 34;  // fp16 scale, 32 signed bytes

uint16_t ReadHalf(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, 2);
  return half;
}

absl::Status CheckShape(size_t bytes, int n, int k, int block_bytes) {
  if (n <= 0 || k <= 0 || k % kGroup != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a quantised matrix of ", n, " x ", k, ": inputs must be a multiple of ", kGroup));
  }
  const uint64_t want = static_cast<uint64_t>(n) * (k / kGroup) * block_bytes;
  if (bytes != want) {
    return absl::InvalidArgumentError(
        absl::StrCat("a quantised matrix of ", n, " x ", k, " takes ", want, " bytes, got ", bytes));
  }
  return absl::OkStatus();
}

}  // namespace

int QuantizedWeights::block_bytes() const {
  return format_ == WeightFormat::kQ4 ? internal::kQ4BlockBytes : internal::kQ8BlockBytes;
}

uint8_t* QuantizedWeights::block(int tile, int group) {
  return packed_.data() + (static_cast<int64_t>(tile) * (k_ / kGroup) + group) * block_bytes();
}

void QuantizedWeights::Reset(WeightFormat format, int n, int k) {
  format_ = format;
  n_ = n;
  k_ = k;
  packed_.Resize(static_cast<size_t>(tiles()) * (k / kGroup) * block_bytes());
}

// q: the group's 32 weights as bytes, in order of k.
void QuantizedWeights::SetGroup(int output, int group, const uint8_t* q, uint16_t scale_fp16,
                                uint16_t minimum_fp16) {
  uint8_t* const to = block(output / kTileOutputs, group);
  const int o = output % kTileOutputs;
  if (format_ == WeightFormat::kQ4) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 4; ++i) {
        to[j * 64 + o * 4 + i] = static_cast<uint8_t>(q[4 * j + i] | q[16 + 4 * j + i] << 4);
      }
    }
    std::memcpy(to + internal::kQ4Bytes + 2 * o, &scale_fp16, 2);
    std::memcpy(to + internal::kQ4Bytes + 2 * kTileOutputs + 2 * o, &minimum_fp16, 2);
  } else {
    for (int j = 0; j < 8; ++j) std::memcpy(to + j * 64 + o * 4, q + 4 * j, 4);
    std::memcpy(to + internal::kQ8Bytes + 2 * o, &scale_fp16, 2);
  }
}

absl::StatusOr<QuantizedWeights> QuantizedWeights::FromQ4_0(absl::Span<const uint8_t> bytes, int n, int k) {
  if (absl::Status status = CheckShape(bytes.size(), n, k, kQ4_0Bytes); !status.ok()) return status;
  QuantizedWeights weights;
  weights.Reset(WeightFormat::kQ4, n, k);
  const uint8_t* from = bytes.data();
  for (int output = 0; output < n; ++output) {
    for (int g = 0; g < k / kGroup; ++g, from += kQ4_0Bytes) {
      uint8_t q[kGroup];
      for (int i = 0; i < 16; ++i) {
        q[i] = from[2 + i] & 15;
        q[16 + i] = from[2 + i] >> 4;
      }
      const float scale = HalfToFloat(ReadHalf(from));
      const uint16_t minimum = FloatToHalf(-8 * scale);  // exact: a shift of the exponent
      if (HalfToFloat(minimum) != -8 * scale) {
        return absl::InvalidArgumentError(absl::StrCat("a Q4_0 scale of ", scale, " is out of range"));
      }
      weights.SetGroup(output, g, q, ReadHalf(from), minimum);
    }
  }
  return weights;
}

absl::StatusOr<QuantizedWeights> QuantizedWeights::FromQ4_1(absl::Span<const uint8_t> bytes, int n, int k) {
  if (absl::Status status = CheckShape(bytes.size(), n, k, kQ4_1Bytes); !status.ok()) return status;
  QuantizedWeights weights;
  weights.Reset(WeightFormat::kQ4, n, k);
  const uint8_t* from = bytes.data();
  for (int output = 0; output < n; ++output) {
    for (int g = 0; g < k / kGroup; ++g, from += kQ4_1Bytes) {
      uint8_t q[kGroup];
      for (int i = 0; i < 16; ++i) {
        q[i] = from[4 + i] & 15;
        q[16 + i] = from[4 + i] >> 4;
      }
      weights.SetGroup(output, g, q, ReadHalf(from), ReadHalf(from + 2));
    }
  }
  return weights;
}

absl::StatusOr<QuantizedWeights> QuantizedWeights::FromQ8_0(absl::Span<const uint8_t> bytes, int n, int k) {
  if (absl::Status status = CheckShape(bytes.size(), n, k, kQ8_0Bytes); !status.ok()) return status;
  QuantizedWeights weights;
  weights.Reset(WeightFormat::kQ8, n, k);
  const uint8_t* from = bytes.data();
  for (int output = 0; output < n; ++output) {
    for (int g = 0; g < k / kGroup; ++g, from += kQ8_0Bytes) {
      weights.SetGroup(output, g, from + 2, ReadHalf(from), 0);
    }
  }
  return weights;
}

absl::StatusOr<QuantizedWeights> QuantizedWeights::FromFloats(absl::Span<const float> w, int n, int k) {
  if (absl::Status status = CheckShape(w.size() * sizeof(float), n, k, kGroup * sizeof(float));
      !status.ok()) {
    return status;
  }
  QuantizedWeights weights;
  weights.Reset(WeightFormat::kQ8, n, k);
  const float* from = w.data();
  for (int output = 0; output < n; ++output) {
    for (int g = 0; g < k / kGroup; ++g, from += kGroup) {
      float largest = 0;
      for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(from[i]));
      if (!(largest < 65504.0f * 127)) {
        return absl::InvalidArgumentError(absl::StrCat("weight row ", output, " is not finite"));
      }
      const uint16_t scale = FloatToHalf(largest / 127.0f);
      const float step = HalfToFloat(scale);
      uint8_t q[kGroup];
      for (int i = 0; i < kGroup; ++i) {
        const float exact = step > 0 ? std::nearbyint(from[i] / step) : 0;
        q[i] = static_cast<uint8_t>(static_cast<int8_t>(std::clamp(exact, -127.0f, 127.0f)));
      }
      weights.SetGroup(output, g, q, scale, 0);
    }
  }
  return weights;
}

void QuantizedWeights::Multiply(const QuantizedRows& x, RowRange rows, int tile_begin, int tile_end, float* y,
                                int64_t y_stride, Isa isa) const {
  if (rows.count == 0) return;
  const int first_panel = rows.first * x.terms() / internal::kPanelTerms;
  const internal::LinearTask task = {
      .packed = packed_.data(),
      .groups = k_ / kGroup,
      .n = n_,
      .tile_begin = tile_begin,
      .tile_end = tile_end,
      .panels = x.panels(first_panel),
      .terms = rows.count * x.terms(),
      .terms_per_row = x.terms(),
      .rest_counts = x.rest_counts(first_panel),
      .rests = x.rests(first_panel),
      .y = y + rows.first * y_stride,
      .y_stride = y_stride,
  };
  const bool q4 = format_ == WeightFormat::kQ4;
  switch (isa) {
    case Isa::kPortable:
      return (q4 ? internal::MultiplyQ4Portable : internal::MultiplyQ8Portable)(task);
    case Isa::kAvx2:
      return (q4 ? internal::MultiplyQ4Avx2 : internal::MultiplyQ8Avx2)(task);
    case Isa::kAvxVnni:
      return (q4 ? internal::MultiplyQ4AvxVnni : internal::MultiplyQ8AvxVnni)(task);
    case Isa::kAvx512:
      return (q4 ? internal::MultiplyQ4Avx512 : internal::MultiplyQ8Avx512)(task);
    case Isa::kAmx:
      return (q4 ? internal::MultiplyQ4Amx : internal::MultiplyQ8Amx)(task);
  }
}

}  // namespace parley::engine::kernels
