// AMX's tiles. In assembly, because GCC's intrinsics take the number of a tile as a literal only, and its
// loads do not tell the compiler that they read memory. Include it where HasIsa(Isa::kAmx) was asked, and
// nowhere else; includes nothing that has inline code.
#pragma once

#include <stdint.h>

namespace parley::engine::kernels::internal {
namespace {

// What LDTILECFG takes: of each tile so many rows of so many bytes. Of the sixteen places eight are tiles.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

inline void ConfigureTiles(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }

inline void ReleaseTiles() { asm volatile("tilerelease"); }

template <int kTile>
inline void ZeroTile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

// `stride`: bytes from row to row.
template <int kTile>
inline void LoadTile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
}

template <int kTile>
inline void StoreTile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
}

// c[m][n] += the sum over k and i of a[m][4k + i] * b[k][4n + i]: a's bytes are signed, b's where kSigned.
template <bool kSigned, int kC, int kA, int kB>
inline void DotTiles() {
  if constexpr (kSigned) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  } else {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
}

}  // namespace
}  // namespace parley::engine::kernels::internal
