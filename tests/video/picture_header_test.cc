// Sizes are read, and refused, before anything of their size exists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "streaming/video/still_header.h"
#include "streaming/video/video_input.h"
#include "tests/video/bit_writer.h"
#include "tests/video/png_writer.h"

namespace parley::streaming {
namespace {

using tests::Big32;
using tests::BitWriter;
using tests::PngChunk;

std::string Big16(uint32_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i);
  return text;
}

std::string Jpeg(uint32_t width, uint32_t height) {
  return "\xff\xd8\xff\xc0" + Big16(17) + "\x08" + Big16(height) + Big16(width) +
         std::string("\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01", 10) +
         std::string("\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00\x12\x34\xff\xd9", 18);
}

std::string Png(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1a\n" +
         PngChunk("IHDR", Big32(width) + Big32(height) + std::string("\x08\x02\x00\x00\x00", 5)) +
         PngChunk("IDAT", "x") + PngChunk("IEND", "");
}

std::string Webp(const std::string& type, const std::string& data) {
  const std::string body = "WEBP" + type + Little(data.size(), 4) + data;
  return "RIFF" + Little(body.size(), 4) + body;
}

std::string WebpExtended(uint32_t width, uint32_t height) {
  return Webp("VP8X", std::string(4, '\0') + Little(width - 1, 3) + Little(height - 1, 3));
}

std::string H264(uint32_t width, uint32_t height) {
  BitWriter sps;
  sps.Bits(66, 8).Bits(0, 8).Bits(51, 8).Golomb(0).Golomb(0).Golomb(2).Golomb(1).Bits(0, 1);
  sps.Golomb(width / 16 - 1).Golomb(height / 16 - 1).Bits(1, 1).Bits(1, 1).Bits(0, 1).Bits(0, 1).Bits(1, 1);
  BitWriter pps;
  pps.Golomb(0).Golomb(0).Bits(0, 2).Golomb(0).Golomb(0).Golomb(0).Bits(0, 3).Golomb(0).Golomb(0).Golomb(0);
  pps.Bits(0, 3).Bits(1, 1);
  const std::string start("\0\0\0\1", 4);
  return start + "\x67" + sps.Bytes() + start + "\x68" + pps.Bytes() + start + "\x65\x88\x84\x21\x43\x65\x87";
}

std::string Vp8(uint32_t width, uint32_t height) {
  return std::string("\x10\x02\x00\x9d\x01\x2a", 6) + Little(width, 2) + Little(height, 2) +
         std::string(64, '\x5a');
}

std::string Vp9(uint32_t width, uint32_t height) {
  BitWriter bits;
  bits.Bits(2, 2)
      .Bits(0, 2)
      .Bits(0, 1)
      .Bits(0, 1)
      .Bits(1, 1)
      .Bits(0, 1)
      .Bits(0x498342, 24)
      .Bits(1, 3)
      .Bits(0, 1);
  bits.Bits(width - 1, 16).Bits(height - 1, 16);
  return bits.Bytes() + std::string(64, '\x5a');
}

long PeakKilobytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void ExpectRefused(VideoCodec codec, const std::string& data) {
  auto input = VideoInput::Create(codec, int64_t{4096} * 4096);
  ASSERT_TRUE(input.ok());
  const long before = PeakKilobytes();
  const auto picture = (*input)->Decode(data, 0, true);
  EXPECT_EQ(picture.status().code(), absl::StatusCode::kResourceExhausted) << picture.status();
  EXPECT_THAT(std::string(picture.status().message()), ::testing::HasSubstr("50000 x 50000"));
  EXPECT_LT(PeakKilobytes() - before, 16 << 10);
}

TEST(PictureHeaderTest, APictureOf50000By50000IsRefusedWithoutAllocatingIt) {
  ExpectRefused(VideoCodec::kJpeg, Jpeg(50'000, 50'000));
  ExpectRefused(VideoCodec::kPng, Png(50'000, 50'000));
  ExpectRefused(VideoCodec::kWebp, WebpExtended(50'000, 50'000));
  ExpectRefused(VideoCodec::kH264, H264(50'000, 50'000));
  ExpectRefused(VideoCodec::kVp9, Vp9(50'000, 50'000));
}

TEST(PictureHeaderTest, TheLargestSizesThatFitTheirFieldsDoNotOverflow) {
  const std::pair<VideoCodec, std::string> pictures[] = {{VideoCodec::kJpeg, Jpeg(65'535, 65'535)},
                                                         {VideoCodec::kPng, Png(0xffffffff, 0xffffffff)},
                                                         {VideoCodec::kWebp, WebpExtended(1 << 24, 1 << 24)},
                                                         {VideoCodec::kH264, H264(0xfffffff0, 0xfffffff0)},
                                                         {VideoCodec::kVp8, Vp8(0x3fff, 0x3fff)},
                                                         {VideoCodec::kVp9, Vp9(65'536, 65'536)}};
  for (const auto& [codec, data] : pictures) {
    auto input = VideoInput::Create(codec, int64_t{4096} * 4096);
    ASSERT_TRUE(input.ok());
    EXPECT_EQ((*input)->Decode(data, 0, true).status().code(), absl::StatusCode::kResourceExhausted)
        << CodecName(codec);
  }
}

TEST(PictureHeaderTest, ASmallCanvasDoesNotHideALargeWebpFrame) {
  const std::string lossless =
      std::string("\x2f") + Little(16'383 | 16'383 << 14, 4) + std::string(64, '\x11');
  const std::string extended = std::string(4, '\0') + Little(15, 3) + Little(15, 3);
  const std::string body = "WEBPVP8X" + Little(extended.size(), 4) + extended + "VP8L" +
                           Little(lossless.size(), 4) + lossless + std::string(1, '\0');
  auto input = VideoInput::Create(VideoCodec::kWebp, 1 << 20);
  ASSERT_TRUE(input.ok());
  const long before = PeakKilobytes();
  EXPECT_FALSE((*input)->Decode("RIFF" + Little(body.size(), 4) + body, 0, true).ok());
  EXPECT_LT(PeakKilobytes() - before, 16 << 10);
}

TEST(PictureHeaderTest, ACompressedTextThatUnpacksToGigabytesNeverReachesTheDecoder) {
  std::string png = tests::WritePng({.width = 1, .height = 1}, {1, 2, 3});
  png.insert(33, PngChunk("zTXt", "bomb") + PngChunk("iCCP", "bomb"));
  const auto header = ReadStillHeader(VideoCodec::kPng, png, 1 << 20);
  ASSERT_TRUE(header.ok()) << header.status();
  for (const std::string_view piece : header->pieces) EXPECT_EQ(piece.find("bomb"), std::string_view::npos);
}

TEST(PictureHeaderTest, AJpegOfAThousandScansIsRefused) {
  std::string jpeg = Jpeg(64, 64);
  jpeg.resize(jpeg.size() - 2);
  for (int i = 0; i < 1'000; ++i) jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x55", 11);
  jpeg += "\xff\xd9";
  const auto header = ReadStillHeader(VideoCodec::kJpeg, jpeg, 1 << 20);
  EXPECT_EQ(header.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(header.status().message()), ::testing::HasSubstr("scans"));
}

}  // namespace
}  // namespace parley::streaming
