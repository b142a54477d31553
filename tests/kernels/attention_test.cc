#include "engine/kernels/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/aligned_buffer.h"

namespace parley::engine::kernels {
namespace {

// Pages that are all full but the last.
std::vector<uint8_t> FullPages(int tokens) {
  std::vector<uint8_t> counts(tokens / kPageTokens, kPageTokens);
  if (tokens % kPageTokens != 0) counts.push_back(tokens % kPageTokens);
  return counts;
}

// Pages as frames leave them: any of them may be partly filled.
std::vector<uint8_t> RaggedPages(int tokens) {
  std::vector<uint8_t> counts;
  for (int i = 0; tokens > 0; ++i) {
    const int count = std::min(tokens, (i * 7 + 3) % kPageTokens + 1);
    counts.push_back(static_cast<uint8_t>(count));
    tokens -= count;
  }
  return counts;
}

// The second head of a cache of two, written token by token, and the exact answer in double.
class Cache {
 public:
  Cache(KvFormat format, int tokens, int head_dim, uint32_t seed)
      : Cache(format, FullPages(tokens), head_dim, seed) {}
  Cache(KvFormat format, std::vector<uint8_t> counts, int head_dim, uint32_t seed)
      : format_(format), dim_(head_dim), counts_(std::move(counts)), memory_(counts_.size()) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    const int offset = PageBytes(format, head_dim);
    // Memory that was used before: what is past the end must not matter, whatever it holds (here NaN).
    for (AlignedBuffer<uint8_t>& page : memory_) {
      page.Resize(2 * offset);
      std::memset(page.data(), 0xff, page.size());
    }
    for (size_t page = 0; page < counts_.size(); ++page) {
      for (int slot = 0; slot < counts_[page]; ++slot) {
        const size_t at = keys_.size();
        for (int d = 0; d < head_dim; ++d) {
          keys_.push_back(normal(random));
          values_.push_back(normal(random));
        }
        WriteKeyValue(format, &keys_[at], &values_[at], dim_, slot, memory_[page].data() + offset);
      }
    }
    for (const auto& page : memory_) pages_.push_back(page.data());
  }

  std::vector<float> Run(const std::vector<float>& q, int rows, int group, int first_length, Isa isa,
                         bool causal = true) const {
    std::vector<float> out(q.size());
    Attend({.format = format_,
            .pages = pages_.data(),
            .counts = counts_.data(),
            .offset = PageBytes(format_, dim_),
            .head_dim = dim_,
            .scale = 1 / std::sqrt(static_cast<float>(dim_)),
            .q = q.data(),
            .out = out.data(),
            .rows = rows,
            .group = group,
            .row_stride = static_cast<int64_t>(group) * dim_,
            .first_length = first_length,
            .causal = causal},
           isa);
    return out;
  }

  std::vector<double> Exact(const float* q, int length) const {
    std::vector<double> weights(length);
    double largest = -1e30;
    for (int t = 0; t < length; ++t) {
      double score = 0;
      for (int d = 0; d < dim_; ++d)
        score += static_cast<double>(q[d]) * keys_[static_cast<size_t>(t) * dim_ + d];
      weights[t] = score / std::sqrt(static_cast<double>(dim_));
      largest = std::max(largest, weights[t]);
    }
    double total = 0;
    for (double& w : weights) total += w = std::exp(w - largest);
    std::vector<double> out(dim_);
    for (int t = 0; t < length; ++t) {
      for (int d = 0; d < dim_; ++d)
        out[d] += weights[t] / total * values_[static_cast<size_t>(t) * dim_ + d];
    }
    return out;
  }

 private:
  const KvFormat format_;
  const int dim_;
  const std::vector<uint8_t> counts_;
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<AlignedBuffer<uint8_t>> memory_;
  std::vector<const uint8_t*> pages_;
};

std::vector<float> Queries(int count, int dim, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> q(static_cast<size_t>(count) * dim);
  for (float& v : q) v = normal(random);
  return q;
}

struct Variant {
  const char* name;
  Isa isa;
  KvFormat format;
  double tolerance;  // to the exact answer, for keys and values of about 1
};

class Attention : public testing::TestWithParam<Variant> {
 protected:
  const Isa isa_ = GetParam().isa;
  const KvFormat format_ = GetParam().format;
  const double tolerance_ = GetParam().tolerance;
};
INSTANTIATE_TEST_SUITE_P(Variants, Attention,
                         testing::Values(Variant{"PortableFp32", Isa::kPortable, KvFormat::kFp32, 1e-5},
                                         Variant{"ThisProcessorsFp32", DetectIsa(), KvFormat::kFp32, 1e-5},
                                         Variant{"PortableFp16", Isa::kPortable, KvFormat::kFp16, 1e-3},
                                         Variant{"PortableInt8", Isa::kPortable, KvFormat::kInt8, 0.03},
                                         Variant{"ThisProcessorsFp16", DetectIsa(), KvFormat::kFp16, 1e-3},
                                         Variant{"ThisProcessorsInt8", DetectIsa(), KvFormat::kInt8, 0.03}),
                         [](const auto& info) { return info.param.name; });

TEST_P(Attention, EqualsThePlainSoftmaxSum) {
  for (int dim : {64, 128}) {
    for (int length : {1, 15, 16, 17, 100, 333}) {
      const Cache cache(format_, length, dim, length);
      const int group = 3;
      const std::vector<float> q = Queries(group, dim, dim);
      const std::vector<float> out = cache.Run(q, 1, group, length, isa_);
      for (int g = 0; g < group; ++g) {
        const std::vector<double> exact = cache.Exact(&q[static_cast<size_t>(g) * dim], length);
        for (int d = 0; d < dim; ++d) EXPECT_NEAR(out[g * dim + d], exact[d], tolerance_) << length;
      }
    }
  }
}

TEST_P(Attention, CountsThroughPagesThatArePartlyFilled) {
  const int dim = 64;
  const int group = 3;
  const int length = 150;
  const Cache cache(format_, RaggedPages(length), dim, 11);
  const std::vector<float> q = Queries(40 * group, dim, 12);
  const std::vector<float> chunk = cache.Run(q, 40, group, length - 39, isa_);
  for (int r = 0; r < 40; ++r) {
    const size_t at = static_cast<size_t>(r) * group * dim;
    const std::vector<float> mine(q.begin() + at, q.begin() + at + group * dim);
    // A query alone, with the pages it does not see left out, and in its chunk: the same bits.
    const std::vector<float> one = cache.Run(mine, 1, group, length - 39 + r, isa_);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), chunk.begin() + at));
    for (int g = 0; g < group; ++g) {
      const std::vector<double> exact = cache.Exact(&mine[static_cast<size_t>(g) * dim], length - 39 + r);
      for (int d = 0; d < dim; ++d) EXPECT_NEAR(one[g * dim + d], exact[d], tolerance_);
    }
  }
}

TEST_P(Attention, SeesNothingThatComesLater) {
  const int dim = 64;
  const int group = 3;
  const Cache cache(format_, 50, dim, 3);
  const std::vector<float> q = Queries(7 * group, dim, 4);
  const std::vector<float> chunk = cache.Run(q, 7, group, 44, isa_);
  for (int r = 0; r < 7; ++r) {
    for (int g = 0; g < group; ++g) {
      const size_t at = static_cast<size_t>(r * group + g) * dim;
      const std::vector<double> exact = cache.Exact(&q[at], 44 + r);
      for (int d = 0; d < dim; ++d) EXPECT_NEAR(chunk[at + d], exact[d], tolerance_);
    }
  }
}

TEST_P(Attention, SeesEverythingWhereItIsNotCausal) {
  const int dim = 64;
  const Cache cache(format_, 50, dim, 3);
  const std::vector<float> q = Queries(29, dim, 4);
  const std::vector<float> all = cache.Run(q, 29, 1, 50, isa_, /*causal=*/false);
  for (int r = 0; r < 29; ++r) {
    const std::vector<double> exact = cache.Exact(&q[static_cast<size_t>(r) * dim], 50);
    for (int d = 0; d < dim; ++d) EXPECT_NEAR(all[r * dim + d], exact[d], tolerance_);
  }
}

TEST_P(Attention, GivesAQueryTheSameBitsAloneAndInAChunk) {
  const int dim = 64;
  const int group = 3;
  const Cache cache(format_, 64, dim, 5);
  const std::vector<float> q = Queries(33 * group, dim, 6);
  const std::vector<float> chunk = cache.Run(q, 33, group, 20, isa_);
  for (int r = 0; r < 33; ++r) {
    const auto begin = q.begin() + static_cast<int64_t>(r) * group * dim;
    const std::vector<float> one =
        cache.Run(std::vector<float>(begin, begin + group * dim), 1, group, 20 + r, isa_);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), chunk.begin() + static_cast<int64_t>(r) * group * dim));
  }
}

TEST(AttentionVariants, AgreeTo1e4) {
  const int dim = 64;
  for (KvFormat format : {KvFormat::kFp32, KvFormat::kFp16, KvFormat::kInt8}) {
    for (const std::vector<uint8_t>& counts : {FullPages(200), RaggedPages(200)}) {
      const Cache cache(format, counts, dim, 7);
      const std::vector<float> q = Queries(4 * 3, dim, 8);
      const std::vector<float> plain = cache.Run(q, 4, 3, 190, Isa::kPortable);
      for (Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
        if (!HasIsa(isa)) continue;
        const std::vector<float> fast = cache.Run(q, 4, 3, 190, isa);
        for (size_t i = 0; i < fast.size(); ++i) EXPECT_NEAR(fast[i], plain[i], 1e-4) << IsaName(isa);
      }
    }
  }
}

TEST(KeysAndValues, AreWrittenTheSameOnEveryInstructionSet) {
  std::vector<float> key = Queries(1, 64, 1);
  std::vector<float> value = Queries(1, 64, 2);
  key[3] = std::numeric_limits<float>::infinity();
  value[5] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> zeros(64);
  for (const std::vector<float>& v : {value, zeros}) {
    const auto page = [&](Isa isa) {
      std::vector<uint8_t> bytes(PageBytes(KvFormat::kInt8, 64));
      WriteKeyValue(KvFormat::kInt8, key.data(), v.data(), 64, 5, bytes.data(), isa);
      return bytes;
    };
    EXPECT_EQ(page(DetectIsa()), page(Isa::kPortable));
  }
}

}  // namespace
}  // namespace parley::engine::kernels
