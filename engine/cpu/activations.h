// How the activations that meet a linear layer are rounded; weights keep the file's precision.
#pragma once

namespace parley::engine::cpu {

enum class ActivationBits {
  k8,   // int8 in groups of 32
  k16,  // two int8 terms: within 1e-2 of fp32 scores, at up to twice the products
};

// Of a row, as engine/kernels/quantized_rows.h has them.
constexpr int Terms(ActivationBits bits) { return bits == ActivationBits::k16 ? 2 : 1; }

}  // namespace parley::engine::cpu
