// Block layouts are GGML's (ggml/src/ggml-common.h); the arithmetic is checked against the `gguf` package in
// tests/bundle.
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/bundle/tensor.h"

namespace parley::engine::bundle {
namespace {

using Byte = uint8_t;

template <typename T>
T Load(const Byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu;
  const uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t bits =
      exponent == 31 ? 0x7F800000u | (mantissa << 13) : ((exponent + 112) << 23) | (mantissa << 13);
  return std::bit_cast<float>(sign | bits);
}

float Half(const Byte* from) { return HalfToFloat(Load<uint16_t>(from)); }

// Each block function reads one block and writes its BlockValues() floats.

void BlockQ4_0(const Byte* block, float* out) {
  const float scale = Half(block);
  const Byte* nibbles = block + 2;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((nibbles[i] & 15) - 8) * scale;
    out[i + 16] = static_cast<float>((nibbles[i] >> 4) - 8) * scale;
  }
}

void BlockQ4_1(const Byte* block, float* out) {
  const float scale = Half(block);
  const float minimum = Half(block + 2);
  const Byte* nibbles = block + 4;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(nibbles[i] & 15) * scale + minimum;
    out[i + 16] = static_cast<float>(nibbles[i] >> 4) * scale + minimum;
  }
}

void BlockQ5_0(const Byte* block, float* out) {
  const float scale = Half(block);
  const uint32_t high = Load<uint32_t>(block + 2);
  const Byte* nibbles = block + 6;
  for (int i = 0; i < 16; ++i) {
    const int low_half = (nibbles[i] & 15) | static_cast<int>(((high >> i) & 1) << 4);
    const int high_half = (nibbles[i] >> 4) | static_cast<int>(((high >> (i + 16)) & 1) << 4);
    out[i] = static_cast<float>(low_half - 16) * scale;
    out[i + 16] = static_cast<float>(high_half - 16) * scale;
  }
}

void BlockQ5_1(const Byte* block, float* out) {
  const float scale = Half(block);
  const float minimum = Half(block + 2);
  const uint32_t high = Load<uint32_t>(block + 4);
  const Byte* nibbles = block + 8;
  for (int i = 0; i < 16; ++i) {
    const int low_half = (nibbles[i] & 15) | static_cast<int>(((high >> i) & 1) << 4);
    const int high_half = (nibbles[i] >> 4) | static_cast<int>(((high >> (i + 16)) & 1) << 4);
    out[i] = static_cast<float>(low_half) * scale + minimum;
    out[i + 16] = static_cast<float>(high_half) * scale + minimum;
  }
}

void BlockQ8_0(const Byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * scale;
}

// Q4_K and Q5_K: eight groups of 32 values, each with a 6-bit scale and a 6-bit minimum packed in 12 bytes.
struct GroupScale {
  float scale;
  float minimum;
};
GroupScale KGroup(const Byte* packed, int group, float scale, float minimum) {
  int s = 0;
  int m = 0;
  if (group < 4) {
    s = packed[group] & 63;
    m = packed[group + 4] & 63;
  } else {
    s = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4);
    m = (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4);
  }
  return {scale * static_cast<float>(s), minimum * static_cast<float>(m)};
}

void BlockQ4_K(const Byte* block, float* out) {
  const float scale = Half(block);
  const float minimum = Half(block + 2);
  const Byte* packed = block + 4;
  const Byte* nibbles = block + 16;
  for (int pair = 0; pair < 4; ++pair) {
    const GroupScale low = KGroup(packed, 2 * pair, scale, minimum);
    const GroupScale high = KGroup(packed, 2 * pair + 1, scale, minimum);
    for (int i = 0; i < 32; ++i) {
      const Byte both = nibbles[32 * pair + i];
      out[64 * pair + i] = low.scale * static_cast<float>(both & 15) - low.minimum;
      out[64 * pair + 32 + i] = high.scale * static_cast<float>(both >> 4) - high.minimum;
    }
  }
}

void BlockQ5_K(const Byte* block, float* out) {
  const float scale = Half(block);
  const float minimum = Half(block + 2);
  const Byte* packed = block + 4;
  const Byte* fifth_bits = block + 16;
  const Byte* nibbles = block + 48;
  for (int pair = 0; pair < 4; ++pair) {
    const GroupScale low = KGroup(packed, 2 * pair, scale, minimum);
    const GroupScale high = KGroup(packed, 2 * pair + 1, scale, minimum);
    for (int i = 0; i < 32; ++i) {
      const Byte both = nibbles[32 * pair + i];
      const int low_bit = (fifth_bits[i] >> (2 * pair)) & 1;
      const int high_bit = (fifth_bits[i] >> (2 * pair + 1)) & 1;
      out[64 * pair + i] = low.scale * static_cast<float>((both & 15) | (low_bit << 4)) - low.minimum;
      out[64 * pair + 32 + i] = high.scale * static_cast<float>((both >> 4) | (high_bit << 4)) - high.minimum;
    }
  }
}

// Two halves of 128 values; a half's four runs of 32 share the bytes of `high_bits`, two bits each.
void BlockQ6_K(const Byte* block, float* out) {
  const float scale = Half(block + 208);
  for (int half = 0; half < 2; ++half) {
    const Byte* low_bits = block + 64 * half;
    const Byte* high_bits = block + 128 + 32 * half;
    const Byte* scales = block + 192 + 8 * half;
    for (int run = 0; run < 4; ++run) {
      for (int i = 0; i < 32; ++i) {
        const Byte both = low_bits[(run % 2) * 32 + i];
        const int low = run < 2 ? both & 15 : both >> 4;
        const int high = (high_bits[i] >> (2 * run)) & 3;
        const float group = scale * static_cast<float>(static_cast<int8_t>(scales[2 * run + i / 16]));
        out[128 * half + 32 * run + i] = group * static_cast<float>((low | (high << 4)) - 32);
      }
    }
  }
}

void BlockF16(const Byte* value, float* out) { *out = Half(value); }
void BlockBF16(const Byte* value, float* out) {
  *out = std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(value)) << 16);
}
void BlockF64(const Byte* value, float* out) { *out = static_cast<float>(Load<double>(value)); }

template <void (*Block)(const Byte*, float*)>
void EveryBlock(const Byte* from, int64_t blocks, int64_t block_bytes, int64_t block_values, float* out) {
  for (int64_t i = 0; i < blocks; ++i) Block(from + i * block_bytes, out + i * block_values);
}

}  // namespace

absl::Status Dequantize(const TensorView& view, absl::Span<float> out) {
  const absl::StatusOr<int64_t> bytes = TensorBytes(view.dtype, view.shape);
  if (!bytes.ok()) return bytes.status();
  if (*bytes != static_cast<int64_t>(view.bytes.size()) ||
      view.values() != static_cast<int64_t>(out.size())) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", view.name, "': ", view.bytes.size(),
                                                   " bytes for ", view.values(), " values of ",
                                                   DTypeName(view.dtype), " into ", out.size(), " floats"));
  }
  const Byte* from = reinterpret_cast<const Byte*>(view.bytes.data());
  const int64_t block_values = BlockValues(view.dtype);
  const int64_t block_bytes = BlockBytes(view.dtype);
  const int64_t blocks = view.values() / block_values;
  const auto run = [&](auto every_block) {
    every_block(from, blocks, block_bytes, block_values, out.data());
  };
  switch (view.dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), from, out.size() * sizeof(float));
      break;
    case DType::kF16:
      run(EveryBlock<BlockF16>);
      break;
    case DType::kBF16:
      run(EveryBlock<BlockBF16>);
      break;
    case DType::kF64:
      run(EveryBlock<BlockF64>);
      break;
    case DType::kQ4_0:
      run(EveryBlock<BlockQ4_0>);
      break;
    case DType::kQ4_1:
      run(EveryBlock<BlockQ4_1>);
      break;
    case DType::kQ5_0:
      run(EveryBlock<BlockQ5_0>);
      break;
    case DType::kQ5_1:
      run(EveryBlock<BlockQ5_1>);
      break;
    case DType::kQ8_0:
      run(EveryBlock<BlockQ8_0>);
      break;
    case DType::kQ4_K:
      run(EveryBlock<BlockQ4_K>);
      break;
    case DType::kQ5_K:
      run(EveryBlock<BlockQ5_K>);
      break;
    case DType::kQ6_K:
      run(EveryBlock<BlockQ6_K>);
      break;
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kBool:
      return absl::UnimplementedError(
          absl::StrCat("tensor '", view.name, "': ", DTypeName(view.dtype), " is not read as weights"));
  }
  return absl::OkStatus();
}

}  // namespace parley::engine::bundle
