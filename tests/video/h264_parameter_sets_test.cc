// What is kept of a stream's parameter sets for decoders that did not see them.
#include "streaming/video/h264_parameter_sets.h"

#include <gtest/gtest.h>

#include <random>

#include "streaming/video/nal_units.h"
#include "tests/video/h264_headers.h"

namespace parley::streaming {
namespace {

using tests::Pps;
using tests::Sps;

constexpr int64_t kMaxPixels = 4096 * 4096;
const std::string kStart(kNalStartCode);
const std::string kSlice = kStart + "\x65\x88\x84\x21";

TEST(KeptParameterSets, TheLastOfEachIdentifierIsKeptSequenceSetsFirst) {
  KeptParameterSets kept(kMaxPixels);
  EXPECT_EQ(kept.message(), nullptr);
  kept.Take(kSlice);
  EXPECT_EQ(kept.message(), nullptr);
  kept.Take(kStart + Pps(3) + kStart + Sps({.width = 640}) + kSlice);
  ASSERT_NE(kept.message(), nullptr);
  EXPECT_EQ(*kept.message(), kStart + Sps({.width = 640}) + kStart + Pps(3));
  kept.Take(kStart + Sps({.width = 320}) + kStart + Pps(1) + kSlice);
  EXPECT_EQ(*kept.message(), kStart + Sps({.width = 320}) + kStart + Pps(1) + kStart + Pps(3));
}

TEST(KeptParameterSets, WhatIsHeldElsewhereStaysAsItWas) {
  KeptParameterSets kept(kMaxPixels);
  kept.Take(kStart + Pps(0));
  const auto before = kept.message();
  kept.Take(kStart + Pps(0) + kSlice);
  EXPECT_EQ(kept.message(), before) << "nothing is new";
  kept.Take(kStart + Pps(1));
  EXPECT_EQ(*before, kStart + Pps(0));
}

TEST(KeptParameterSets, WhatADecoderWouldRefuseIsLeftOut) {
  KeptParameterSets kept(kMaxPixels);
  const std::string too_large = Sps({.id = 1, .width = 8192, .height = 8192});
  const std::string too_long = Sps({.id = 2}) + std::string(5'000, '\x55');
  kept.Take(kStart + too_large + kStart + too_long + kStart + "\x68" + kStart + "\x67" + kStart + Pps(256) +
            kStart + Sps({}));
  EXPECT_EQ(*kept.message(), kStart + Sps({}));
  kept.Take("no start code, " + kStart + Pps(0));
  EXPECT_EQ(*kept.message(), kStart + Sps({}));
}

TEST(KeptParameterSets, AreBoundedWhateverComes) {
  KeptParameterSets kept(kMaxPixels);
  for (uint32_t id = 0; id < 256; ++id) {
    const std::string filler(4'000, '\x55');
    kept.Take(kStart + Sps({.id = id % 32}) + filler + kStart + Pps(id, id % 32) + filler);
  }
  EXPECT_LE(kept.message()->size(), H264ParameterSets::kMaxBytes);
  EXPECT_GT(kept.message()->size(), 90u * 4'000);
  // All of it is one message that a decoder takes.
  KeptParameterSets again(kMaxPixels);
  again.Take(*kept.message());
  EXPECT_EQ(*again.message(), *kept.message());
  std::string units;
  for (int i = 0; i < kMaxNalUnits; ++i) units += kStart;
  KeptParameterSets none(kMaxPixels);
  none.Take(units + kStart + Pps(0));
  EXPECT_EQ(none.message(), nullptr);
}

TEST(NalUnits, StartCodesAreFoundWhereverTheyAre) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string data(random() % 24, '\0');
    for (char& byte : data) byte = static_cast<char>(random() % 3);
    for (size_t from = 0; from <= data.size(); ++from)
      ASSERT_EQ(FindStartCode(data, from), data.find(kStart, from)) << i << " from " << from;
  }
}

}  // namespace
}  // namespace parley::streaming
