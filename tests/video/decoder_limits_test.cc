// What one message can cost. Each case runs in a process of its own, whose peak of memory is measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "streaming/video/h264_stream.h"
#include "streaming/video/still_header.h"
#include "streaming/video/video_decoder.h"
#include "streaming/video/video_input.h"
#include "streaming/video/webp_lossless.h"
#include "tests/video/bit_writer.h"
#include "tests/video/hostile_media.h"
#include "tests/video/media_encoder.h"
#include "tests/video/png_writer.h"

namespace parley::streaming {
namespace {

using ::testing::HasSubstr;
using tests::BitWriter;
using tests::EncodeStream;

constexpr int64_t kMaxPixels = 4096 * 4096;

// AddressSanitizer keeps what is freed for a while, and surrounds what is allocated.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr long kOverhead = 4;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr long kOverhead = 4;
#else
constexpr long kOverhead = 1;
#endif
#else
constexpr long kOverhead = 1;
#endif

long PeakMegabytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

// By how many megabytes `work` raises the peak of its process; its status must be `expected`.
long PeakGrowth(const std::function<absl::Status()>& work, absl::StatusCode expected) {
  int pipes[2];
  if (pipe(pipes) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    const long before = PeakMegabytes();
    const absl::Status status = work();
    const long growth = PeakMegabytes() - before;
    if (status.code() != expected) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      _exit(1);
    }
    _exit(write(pipes[1], &growth, sizeof(growth)) == sizeof(growth) ? 0 : 1);
  }
  close(pipes[1]);
  long growth = -1;
  const bool complete = read(pipes[0], &growth, sizeof(growth)) == sizeof(growth);
  close(pipes[0]);
  int exit_status = 0;
  waitpid(child, &exit_status, 0);
  EXPECT_TRUE(complete && exit_status == 0) << "the process ended with " << exit_status;
  return growth;
}

absl::Status DecodeAll(VideoCodec codec, const std::vector<std::string>& messages,
                       int64_t max_pixels = kMaxPixels) {
  auto input = VideoInput::Create(codec, max_pixels);
  if (!input.ok()) return input.status();
  for (const std::string& message : messages) {
    const auto picture = (*input)->Decode(message, 0, true);
    if (!picture.ok()) return picture.status();
  }
  return absl::OkStatus();
}

TEST(DecoderLimitsTest, AMessageOfAMillionNalUnitsCostsNoMemory) {
  const std::string units = tests::H264OfUnits(4 << 20);
  EXPECT_LT(
      PeakGrowth([&] { return DecodeAll(VideoCodec::kH264, {units}); }, absl::StatusCode::kResourceExhausted),
      16 * kOverhead);
}

TEST(DecoderLimitsTest, AsManyNalUnitsAsAreTakenCostLittle) {
  std::string units;
  while (units.size() < 4 * (H264Stream::kMaxSlices - 1)) units += std::string("\0\0\1\x41", 4);
  const std::string frame = EncodeStream(VideoCodec::kH264, {.width = 64, .height = 64, .frames = 1})[0];
  EXPECT_LT(PeakGrowth([&] { return DecodeAll(VideoCodec::kH264, {frame + units}); },
                       absl::StatusCode::kInvalidArgument),
            32 * kOverhead);
}

TEST(DecoderLimitsTest, AnH264StreamThatKeepsMorePicturesThanAllowedIsRefused) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.width = 1024,
                                                       .height = 1024,
                                                       .frames = 20,
                                                       .key_interval = 100,
                                                       .x264 = "ref=16:bframes=0",
                                                       .deep_444 = true});
  constexpr int64_t kPixels = 1024 * 1024;
  EXPECT_LT(PeakGrowth([&] { return DecodeAll(VideoCodec::kH264, frames, kPixels); },
                       absl::StatusCode::kResourceExhausted),
            8 * kOverhead);
  // And where no header tells: the decoder alone.
  const auto decode = [&] {
    auto decoder = VideoDecoder::Open(VideoCodec::kH264, kPixels);
    if (!decoder.ok()) return decoder.status();
    for (const std::string& frame : frames) {
      const auto picture = (*decoder)->Decode({frame}, false);
      if (!picture.ok()) return picture.status();
    }
    return absl::OkStatus();
  };
  EXPECT_LT(PeakGrowth(decode, absl::StatusCode::kResourceExhausted), 64 * kOverhead);
}

TEST(DecoderLimitsTest, WhatCamerasSendPasses) {
  for (const auto& [width, height] : {std::pair{3840, 2160}, {1920, 1080}, {1280, 720}}) {
    for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9}) {
      const auto frames = EncodeStream(codec, {.width = width, .height = height, .frames = 3});
      const absl::Status status = DecodeAll(codec, frames);
      EXPECT_TRUE(status.ok()) << width << ' ' << status;
    }
  }
  const auto frames = EncodeStream(VideoCodec::kH264, {.width = 1920,
                                                       .height = 1080,
                                                       .frames = 10,
                                                       .key_interval = 100,
                                                       .b_frames = true,
                                                       .x264 = "ref=4:bframes=3:slices=8:threads=2"});
  const absl::Status status = DecodeAll(VideoCodec::kH264, frames);
  EXPECT_TRUE(status.ok()) << status;
}

struct Vp9Header {
  int profile = 0;
  int subsampling = 3;  // 3: 4:2:0, 0: 4:4:4
  bool intra_only = false;
  bool inter = false;
  int width = 64;
  int height = 64;
};

std::string Vp9Frame(const Vp9Header& header) {
  BitWriter bits;
  bits.Bits(2, 2).Bits(header.profile & 1, 1).Bits(header.profile >> 1, 1);
  if (header.profile == 3) bits.Bits(0, 1);
  bits.Bits(0, 1).Bits(header.inter || header.intra_only, 1).Bits(!header.intra_only, 1).Bits(0, 1);
  if (header.intra_only) bits.Bits(1, 1);
  if (header.inter || header.intra_only) bits.Bits(0, 2);
  if (!header.inter) {
    bits.Bits(0x498342, 24);
    if (!header.intra_only || header.profile > 0) {
      if (header.profile >= 2) bits.Bits(0, 1);
      bits.Bits(1, 3).Bits(0, 1);
      if (header.profile & 1) bits.Bits(header.subsampling, 2).Bits(0, 1);
    }
    if (header.intra_only) bits.Bits(0xff, 8);
  } else {
    bits.Bits(0, 8 + 12).Bits(0, 3);
  }
  return bits.Bits(header.width - 1, 16).Bits(header.height - 1, 16).Bytes() + std::string(16, '\x5a');
}

TEST(DecoderLimitsTest, EachSizeInAVp9StreamIsBounded) {
  const auto status = [](const std::string& data) {
    return ReadStreamHeader(VideoCodec::kVp9, data, kMaxPixels).status();
  };
  const auto exhausted = [&](const std::string& data, const char* what) {
    EXPECT_EQ(status(data).code(), absl::StatusCode::kResourceExhausted) << status(data);
    EXPECT_THAT(std::string(status(data).message()), HasSubstr(what));
  };
  EXPECT_TRUE(status(Vp9Frame({.width = 4096, .height = 4096})).ok());
  EXPECT_TRUE(status(Vp9Frame({.inter = true, .width = 4096, .height = 4096})).ok());
  EXPECT_TRUE(status(Vp9Frame({.profile = 3, .subsampling = 0, .width = 1920, .height = 1080})).ok());
  exhausted(Vp9Frame({.width = 50'000, .height = 50'000}), "50000 x 50000");
  exhausted(Vp9Frame({.inter = true, .width = 50'000, .height = 50'000}), "50000 x 50000");
  exhausted(Vp9Frame({.intra_only = true, .width = 50'000, .height = 50'000}), "50000 x 50000");
  exhausted(Vp9Frame({.profile = 3, .subsampling = 0, .width = 3840, .height = 2160}), "bytes are taken");
  exhausted(Vp9Frame({.profile = 1, .subsampling = 0, .intra_only = true, .width = 4096, .height = 4096}),
            "bytes are taken");

  // Inside a superframe, behind a frame that is small.
  const std::string small = Vp9Frame({});
  const std::string large = Vp9Frame({.width = 50'000, .height = 50'000});
  const std::string index = {static_cast<char>(0xc1), static_cast<char>(small.size()),
                             static_cast<char>(large.size()), static_cast<char>(0xc1)};
  exhausted(small + large + index, "50000 x 50000");
  std::string wrong = index;
  wrong[1] = '\xff';
  EXPECT_EQ(status(small + large + wrong).code(), absl::StatusCode::kInvalidArgument);
}

TEST(DecoderLimitsTest, StillsOfThousandsOfPartsAreRefused) {
  const auto code = [](VideoCodec codec, const std::string& data) {
    return ReadStillHeader(codec, data, kMaxPixels).status().code();
  };
  std::string png = tests::WritePng({}, {1, 2, 3});
  const std::string empty = tests::PngChunk("IDAT", "");
  std::string chunks;
  for (int i = 0; i < kMaxPngChunks; ++i) chunks += empty;
  EXPECT_EQ(code(VideoCodec::kPng, png.substr(0, 33) + chunks + png.substr(33)),
            absl::StatusCode::kResourceExhausted);

  const std::string jpeg = tests::EncodeStill(VideoCodec::kJpeg, tests::TestPicture(16, 16, 0));
  std::string tables;
  for (int i = 0; i < 40; ++i) tables += std::string("\xff\xdb\x08\x00", 4) + std::string(2'046, '\1');
  EXPECT_EQ(code(VideoCodec::kJpeg, jpeg.substr(0, 2) + tables + jpeg.substr(2)),
            absl::StatusCode::kResourceExhausted);
}

// A lossless WebP picture without transforms, whose blocks of four by four pixels all name the last of
// `groups` groups of codes. Each code of a group is `code`, bit by bit.
std::string WebpOfGroups(int side, int groups, const std::string& code) {
  std::string bits;
  const auto put = [&bits](uint32_t value, int count) {
    for (int i = 0; i < count; ++i) bits += static_cast<char>(value >> i & 1);
  };
  const auto put_code_of_one = [&put](uint32_t symbol) {
    put(1, 1);
    put(0, 1);
    put(1, 1);
    put(symbol, 8);
  };
  put(0x2f, 8);
  put(side - 1, 14);
  put(side - 1, 14);
  put(0, 4);  // no alpha, version
  put(0, 2);  // no transform, no colour cache
  put(1, 1);  // the blocks name their groups
  put(0, 3);  // four by four pixels
  put(0, 1);  // no colour cache
  put_code_of_one(static_cast<uint32_t>(groups - 1) & 0xff);
  put_code_of_one(static_cast<uint32_t>(groups - 1) >> 8);
  for (int i = 0; i < 3; ++i) put_code_of_one(0);
  for (int i = 0; i < 5 * groups; ++i) bits += code;
  bits.resize((bits.size() + 15) / 16 * 16);
  std::string image(bits.size() / 8, '\0');
  for (size_t i = 0; i < bits.size(); ++i) image[i / 8] |= static_cast<char>(bits[i] << i % 8);
  const auto little = [](size_t value) {
    std::string text;
    for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> 8 * i);
    return text;
  };
  return "RIFF" + little(image.size() + 12) + "WEBPVP8L" + little(image.size()) + image;
}

TEST(DecoderLimitsTest, PrefixCodesOfLosslessWebpAreBounded) {
  // The shortest code that has a table: not simple; five lengths of lengths, of which 18 and 1 take a bit;
  // the lengths of two symbols follow, both 1.
  const std::string code = {0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
                            1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
  const auto growth = [&code](int groups, absl::StatusCode expected) {
    const std::string data = WebpOfGroups(1'024, groups, code);
    return PeakGrowth([&data] { return DecodeAll(VideoCodec::kWebp, {data}); }, expected);
  };
  EXPECT_LT(growth(65'536, absl::StatusCode::kResourceExhausted), 8 * kOverhead);
  EXPECT_LT(growth(kMaxPrefixCodeGroups + 1, absl::StatusCode::kResourceExhausted), 8 * kOverhead);
  // As many as are taken; the pixels are missing.
  EXPECT_LT(growth(kMaxPrefixCodeGroups, absl::StatusCode::kInvalidArgument), 64 * kOverhead);
}

TEST(DecoderLimitsTest, ManyScansOfALargeJpegAreRefused) {
  const auto header = ReadStillHeader(VideoCodec::kJpeg, tests::JpegOfScans(), kMaxPixels);
  EXPECT_EQ(header.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(header.status().message()), HasSubstr("scans"));
}

}  // namespace
}  // namespace parley::streaming
