#include "bench/machine_limits.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "bench/harness.h"
#include "engine/kernels/amx_tiles.h"
#include "engine/kernels/cpu_features.h"

namespace parley::bench {
namespace {

using engine::kernels::DetectIsa;
using engine::kernels::Isa;
using engine::kernels::IsaName;

constexpr int kTries = 7;
constexpr int kSums = 12;  // independent chains: as many as keep two multipliers busy, and fit the registers
constexpr int kSumsOfTwoSteps = 8;  // the same where each product takes a register of its own
constexpr int64_t kProductLoops = 2'000'000;
constexpr size_t kBytesPerThread = size_t{192} << 20;

// The work of one thread; the result is looked at, so that none of it is optimised away.
using Work = std::function<uint64_t(int thread)>;

// Seconds that all threads take together, the best of kTries.
double Time(int threads, const Work& work) {
  static std::atomic<uint64_t> sink;
  double best = 1e9;
  for (int i = 0; i < kTries; ++i) {
    std::atomic<int> ready = 0;
    std::vector<std::thread> helpers;
    const auto meet = [&] {
      ready.fetch_add(1);
      while (ready.load() < threads) std::this_thread::yield();
    };
    for (int t = 1; t < threads; ++t) {
      helpers.emplace_back([&, t] {
        meet();
        sink += work(t);
      });
    }
    meet();
    const double start = Now();
    sink += work(0);
    for (std::thread& helper : helpers) helper.join();
    best = std::min(best, Now() - start);
  }
  return best;
}

double MeasureReads(int threads) {
  constexpr size_t kWords = kBytesPerThread / sizeof(uint64_t);
  const std::unique_ptr<uint64_t[]> memory(new uint64_t[kWords * threads]);
  std::fill_n(memory.get(), kWords * threads, 1);
  const double seconds = Time(threads, [&](int thread) {
    const uint64_t* words = memory.get() + thread * kWords;
    uint64_t sums[8] = {};
    for (size_t i = 0; i < kWords; i += 8) {
      for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
    }
    uint64_t sum = 0;
    for (uint64_t lane : sums) sum += lane;
    return sum;
  });
  return static_cast<double>(kBytesPerThread) * threads / seconds;
}

// Each microkernel goes round `loops` times over kSums registers of sums. An operand passes through an empty
// asm each time, so that no product is taken for another.

__attribute__((target("avx2,fma"))) uint64_t MultiplyFp32Avx2(int64_t loops) {
  __m256 sums[kSums] = {};
  __m256 a = _mm256_set1_ps(1.5f);
  const __m256 b = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < loops; ++i) {
    for (__m256& sum : sums) {
      asm volatile("" : "+x"(a));
      sum = _mm256_fmadd_ps(a, b, sum);
    }
  }
  for (const __m256& sum : sums) a = _mm256_add_ps(a, sum);
  return static_cast<uint64_t>(a[0]);
}

__attribute__((target("avx512f"))) uint64_t MultiplyFp32Avx512(int64_t loops) {
  __m512 sums[kSums] = {};
  __m512 a = _mm512_set1_ps(1.5f);
  const __m512 b = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < loops; ++i) {
    for (__m512& sum : sums) {
      asm volatile("" : "+v"(a));
      sum = _mm512_fmadd_ps(a, b, sum);
    }
  }
  for (const __m512& sum : sums) a = _mm512_add_ps(a, sum);
  return static_cast<uint64_t>(a[0]);
}

// vpmaddubsw into sums of 16 bits: what a group's products take before they are widened.
__attribute__((target("avx2"))) uint64_t MultiplyInt8Avx2(int64_t loops) {
  __m256i sums[kSumsOfTwoSteps] = {};
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-2);
  for (int64_t i = 0; i < loops; ++i) {
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(a));
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
    }
  }
  for (const __m256i& sum : sums) a = _mm256_add_epi16(a, sum);
  return static_cast<uint64_t>(a[0]);
}

__attribute__((target("avx2,avxvnni"))) uint64_t MultiplyInt8AvxVnni(int64_t loops) {
  __m256i sums[kSums] = {};
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-2);
  for (int64_t i = 0; i < loops; ++i) {
    for (__m256i& sum : sums) {
      asm volatile("" : "+x"(a));
      sum = _mm256_dpbusd_avx_epi32(sum, a, b);
    }
  }
  for (const __m256i& sum : sums) a = _mm256_add_epi32(a, sum);
  return static_cast<uint64_t>(a[0]);
}

__attribute__((target("avx512f,avx512vnni"))) uint64_t MultiplyInt8Avx512Vnni(int64_t loops) {
  __m512i sums[kSums] = {};
  __m512i a = _mm512_set1_epi32(0x03030303);
  const __m512i b = _mm512_set1_epi32(-2);
  for (int64_t i = 0; i < loops; ++i) {
    for (__m512i& sum : sums) {
      asm volatile("" : "+v"(a));
      sum = _mm512_dpbusd_epi32(sum, a, b);
    }
  }
  for (const __m512i& sum : sums) a = _mm512_add_epi32(a, sum);
  return static_cast<uint64_t>(a[0]);
}

// tdpbsud on full tiles, 16 x 64 by 64 x 16: six sums, as many as leave two tiles for operands.
constexpr int kTileSums = 6;
constexpr int kTileProducts = 16 * 64 * 16;
uint64_t MultiplyInt8Amx(int64_t loops) {
  using namespace engine::kernels::internal;
  TileConfig config;
  std::fill_n(config.row_bytes, 8, uint16_t{64});
  std::fill_n(config.rows, 8, uint8_t{16});
  alignas(64) int32_t sums[16 * 16] = {3, 1, 2};
  ConfigureTiles(config);
  ZeroTile<0>();
  ZeroTile<1>();
  ZeroTile<2>();
  ZeroTile<3>();
  ZeroTile<4>();
  ZeroTile<5>();
  LoadTile<6>(sums, 64);
  LoadTile<7>(sums, 64);
  for (int64_t i = 0; i < loops; ++i) {
    DotTiles<false, 0, 6, 7>();
    DotTiles<false, 1, 6, 7>();
    DotTiles<false, 2, 6, 7>();
    DotTiles<false, 3, 6, 7>();
    DotTiles<false, 4, 6, 7>();
    DotTiles<false, 5, 6, 7>();
  }
  StoreTile<0>(sums, 64);
  ReleaseTiles();
  return static_cast<uint64_t>(sums[0]);
}

uint64_t MultiplyFp32Plain(int64_t loops) {
  volatile float a = 1.5f;
  float sums[kSums] = {};
  for (int64_t i = 0; i < loops; ++i) {
    const float factor = a;
    for (float& sum : sums) sum += factor * 0.5f;
  }
  float total = 0;
  for (float sum : sums) total += sum;
  return static_cast<uint64_t>(total);
}

double Products(int threads, uint64_t (*kernel)(int64_t), int lanes, int sums = kSums) {
  const double seconds = Time(threads, [kernel](int) { return kernel(kProductLoops); });
  return static_cast<double>(kProductLoops) * sums * lanes * threads / seconds;
}

}  // namespace

MachineLimits MeasureMachine(int threads) {
  MachineLimits limits;
  limits.read_bytes_per_s = MeasureReads(threads);
  const Isa isa = DetectIsa();
  switch (isa) {
    case Isa::kAvx512:
    case Isa::kAmx:
      limits.fp32_instructions = "avx512";
      limits.fp32_products_per_s = Products(threads, MultiplyFp32Avx512, 16);
      limits.int8_products_per_s = isa == Isa::kAmx
                                       ? Products(threads, MultiplyInt8Amx, kTileProducts, kTileSums)
                                       : Products(threads, MultiplyInt8Avx512Vnni, 64);
      break;
    case Isa::kAvxVnni:
    case Isa::kAvx2:
      limits.fp32_instructions = "avx2";
      limits.fp32_products_per_s = Products(threads, MultiplyFp32Avx2, 8);
      limits.int8_products_per_s = isa == Isa::kAvxVnni
                                       ? Products(threads, MultiplyInt8AvxVnni, 32)
                                       : Products(threads, MultiplyInt8Avx2, 32, kSumsOfTwoSteps);
      break;
    case Isa::kPortable:  // no instructions for it: integers go as fast as floats
      limits.fp32_instructions = "plain";
      limits.fp32_products_per_s = Products(threads, MultiplyFp32Plain, 1);
      limits.int8_products_per_s = limits.fp32_products_per_s;
      break;
  }
  limits.int8_instructions = IsaName(isa);
  return limits;
}

}  // namespace parley::bench
