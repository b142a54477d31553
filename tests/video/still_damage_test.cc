// A still whose container is whole, but not what is in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "streaming/video/still_header.h"
#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"
#include "tests/video/photos.h"
#include "tests/video/png_writer.h"

namespace parley::streaming {
namespace {

using std::string_view_literals::operator""sv;
using ::testing::HasSubstr;
using ::testing::Not;
using tests::DecodeWithFfmpeg;
using tests::Photo;
using tests::TestPicture;
using tests::WritePng;

constexpr int64_t kMaxPixels = 4096 * 4096;

absl::StatusOr<engine::ImagePtr> Decode(VideoCodec codec, std::string_view data) {
  auto input = VideoInput::Create(codec, kMaxPixels);
  if (!input.ok()) return input.status();
  return (*input)->Decode(data, 0, /*want=*/true);
}

// Refused as damaged, or whole to the last pixel.
void ExpectRefusedOrWhole(VideoCodec codec, const std::string& data, const engine::Image& whole,
                          const std::string& what) {
  const auto picture = Decode(codec, data);
  if (picture.ok()) {
    EXPECT_TRUE((*picture)->pixels == whole.pixels) << what << " shows another picture";
  } else {
    EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument)
        << what << ": " << picture.status();
  }
}

std::string Little32(size_t value) {
  std::string text;
  for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> 8 * i);
  return text;
}

const std::string kJpegs[] = {
    "cat_420.jpg",  "cat_444.jpg", "cat_progressive.jpg", "cat_grey.jpg",
    "cat_cmyk.jpg", "cat_odd.jpg", "cat_restart.jpg",     "cat_progressive_restart.jpg"};

TEST(JpegDamageTest, WholePicturesAreThoseOfLibavcodec) {
  for (const std::string& name : kJpegs) {
    const auto picture = Decode(VideoCodec::kJpeg, Photo(name));
    ASSERT_TRUE(picture.ok()) << name << ": " << picture.status();
    const auto expected = DecodeWithFfmpeg(VideoCodec::kJpeg, {Photo(name)});
    ASSERT_EQ(expected.size(), 1u);
    EXPECT_TRUE((*picture)->pixels == expected[0].pixels) << name;
  }
}

TEST(JpegDamageTest, CutAnywhereAndEndedProperlyIsDamage) {
  for (const std::string& name : kJpegs) {
    const std::string data = Photo(name);
    const auto whole = Decode(VideoCodec::kJpeg, data);
    ASSERT_TRUE(whole.ok());
    // The last bits of the last block may be lost unnoticed.
    for (size_t size = 2; size + 5 < data.size(); size += size + 200 < data.size() ? 5 : 1) {
      ExpectRefusedOrWhole(VideoCodec::kJpeg, data.substr(0, size) + "\xff\xd9", **whole,
                           name + " cut at " + std::to_string(size));
    }
  }
}

TEST(JpegDamageTest, WhatIsWrongIsSaidInWords) {
  std::string data = Photo("cat_420.jpg");
  const auto cut = Decode(VideoCodec::kJpeg, data.substr(0, data.size() / 2) + "\xff\xd9");
  EXPECT_EQ(std::string(cut.status().message()),
            "damaged picture: the data of an 8 x 8 block are wrong or missing");
  std::mt19937 random(1);
  for (const std::string& name : kJpegs) {
    for (int i = 0; i < 200; ++i) {
      data = Photo(name);
      for (int changes = 0; changes < 2; ++changes)
        data[random() % data.size()] = static_cast<char>(random());
      const std::string message(Decode(VideoCodec::kJpeg, data).status().message());
      if (message.find("damaged picture: ") == std::string::npos) continue;  // said before the decoder
      EXPECT_THAT(message, Not(testing::ContainsRegex("error |count|index|dqt|dc|[0-9]{6}"))) << name;
    }
  }
}

TEST(JpegDamageTest, AnIntervalThatIsCutShortOrMissingIsDamage) {
  for (const std::string name : {"cat_restart.jpg", "cat_progressive_restart.jpg"}) {
    const std::string data = Photo(name);
    const auto whole = Decode(VideoCodec::kJpeg, data);
    ASSERT_TRUE(whole.ok()) << whole.status();
    std::vector<size_t> markers;
    for (size_t at = data.find("\xff\xda"); at + 1 < data.size(); ++at) {
      if (data[at] == '\xff' && (data[at + 1] & 0xf8) == 0xd0) markers.push_back(at);
    }
    ASSERT_GE(markers.size(), 4u) << name;
    for (size_t i = 0; i + 1 < markers.size(); ++i) {
      const size_t length = markers[i + 1] - markers[i];
      // The whole interval with its marker, and parts of it without.
      const std::string missing = std::string(data).erase(markers[i], length);
      EXPECT_FALSE(Decode(VideoCodec::kJpeg, missing).ok()) << name << ' ' << i;
      for (size_t lost = 4; lost + 2 < length; lost += 3) {
        const std::string cut = std::string(data).erase(markers[i + 1] - lost, lost);
        ExpectRefusedOrWhole(VideoCodec::kJpeg, cut, **whole, name + " interval " + std::to_string(i));
      }
    }
  }
}

TEST(JpegDamageTest, MissingScansAreDamage) {
  const std::string data = Photo("cat_progressive.jpg");
  std::vector<size_t> scans;
  for (size_t at = 0; at + 1 < data.size(); ++at) {
    if (data[at] == '\xff' && data[at + 1] == '\xda') scans.push_back(at);
  }
  ASSERT_GE(scans.size(), 6u);
  for (size_t i = 1; i < scans.size(); ++i) {
    const auto picture = Decode(VideoCodec::kJpeg, data.substr(0, scans[i]) + "\xff\xd9");
    EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument) << i;
  }
}

TEST(JpegDamageTest, FormsThatAreNotTakenAreNamed) {
  std::string data = Photo("cat_420.jpg");
  const size_t frame = data.find("\xff\xc0");
  for (const auto& [marker, what] : {std::pair{'\xc9', "marker"}, {'\xc3', "marker"}, {'\xf7', "marker"}}) {
    std::string other = data;
    other[frame + 1] = marker;
    const auto picture = Decode(VideoCodec::kJpeg, other);
    EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(picture.status().message()), HasSubstr(what));
  }
  data[frame + 4] = 12;
  EXPECT_THAT(std::string(Decode(VideoCodec::kJpeg, data).status().message()), HasSubstr("8 bits"));
}

class EveryPng : public ::testing::TestWithParam<std::tuple<int, int, bool>> {};
INSTANTIATE_TEST_SUITE_P(Forms, EveryPng,
                         ::testing::Combine(::testing::Values(0, 2, 3, 4, 6), ::testing::Values(1, 8, 16),
                                            ::testing::Bool()));

TEST_P(EveryPng, RowsThatAreMissingAreDamage) {
  const auto [colour, depth, interlaced] = GetParam();
  const bool exists = colour == 0 || (colour == 3 ? depth <= 8 : depth >= 8);
  constexpr int kSamples[] = {1, 0, 3, 1, 2, 0, 4};
  tests::PngOptions options{
      .width = 13, .height = 11, .depth = depth, .colour = colour, .interlaced = interlaced};
  if (colour == 3) options.palette = std::string(depth == 1 ? 6 : 768, '\x55');
  std::vector<uint16_t> samples;
  for (int i = 0; i < 13 * 11 * kSamples[colour]; ++i) samples.push_back(static_cast<uint16_t>(i * 977));
  const auto whole = Decode(VideoCodec::kPng, WritePng(options, samples));
  ASSERT_EQ(whole.ok(), exists) << whole.status();
  if (!exists) return;
  for (int64_t bytes = 0; bytes < 4'000; ++bytes) {
    options.keep_bytes = bytes;
    const auto picture = Decode(VideoCodec::kPng, WritePng(options, samples));
    if (picture.ok()) {
      EXPECT_TRUE((*picture)->pixels == (*whole)->pixels) << bytes;
      EXPECT_GT(bytes, 13 * 11 * kSamples[colour] * depth / 8);
      break;
    }
    EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(picture.status().message()), HasSubstr("rows are missing")) << bytes;
  }
}

TEST(PngDamageTest, ARowWithAFilterThatPngDoesNotHaveIsDamage) {
  tests::PngOptions options{.width = 200, .height = 99};
  const std::vector<uint16_t> samples(200 * 99 * 3, 77);
  for (const bool interlaced : {false, true}) {
    options.interlaced = interlaced;
    for (const int row : {-1, 0, 1, 50, 98}) {
      options.filtered_row = row;
      for (const int filter : {0, 1, 2, 3, 4}) {
        options.filter = filter;
        EXPECT_TRUE(Decode(VideoCodec::kPng, WritePng(options, samples)).ok()) << row << ' ' << filter;
      }
      for (const int filter : {5, 7, 255}) {
        options.filter = filter;
        const auto picture = Decode(VideoCodec::kPng, WritePng(options, samples));
        EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument) << row << ' ' << filter;
        EXPECT_THAT(std::string(picture.status().message()), HasSubstr("filter")) << row << ' ' << filter;
      }
    }
  }
}

TEST(PngDamageTest, DataCutAnywhereWithChecksumsThatFitAreDamage) {
  for (const std::string name : {"cat.png", "cat_palette.png", "cat_grey16.png", "cat_alpha.png"}) {
    const std::string data = Photo(name);
    const auto whole = Decode(VideoCodec::kPng, data);
    ASSERT_TRUE(whole.ok());
    const size_t at = data.find("IDAT");
    const size_t length = static_cast<uint8_t>(data[at - 2]) << 8 | static_cast<uint8_t>(data[at - 1]);
    for (size_t size = 0; size < length; size += size + 40 < length ? 37 : 1) {
      const std::string cut = data.substr(0, at - 4) + tests::PngChunk("IDAT", data.substr(at + 4, size)) +
                              tests::PngChunk("IEND", "");
      ExpectRefusedOrWhole(VideoCodec::kPng, cut, **whole, name + " cut at " + std::to_string(size));
    }
  }
}

TEST(PngDamageTest, AChunkThatMustBeUnderstoodAndIsNotIsNamed) {
  std::string data = Photo("cat.png");
  data.insert(33, tests::PngChunk("ABCD", "x"));
  EXPECT_THAT(std::string(Decode(VideoCodec::kPng, data).status().message()), HasSubstr("not known"));
  data = Photo("cat.png");
  data.insert(33, tests::PngChunk("abCD", "x"));
  EXPECT_TRUE(Decode(VideoCodec::kPng, data).ok());
}

// The file with one chunk cut to `keep` bytes, lengths to fit.
std::string CutWebp(const std::string& data, const std::string& chunk, size_t keep) {
  std::string body;
  for (size_t at = 12; at + 8 <= data.size();) {
    const std::string type = data.substr(at, 4);
    const size_t length = static_cast<uint8_t>(data[at + 4]) | static_cast<uint8_t>(data[at + 5]) << 8;
    const size_t kept = type == chunk ? keep : length;
    body += type + Little32(kept) + data.substr(at + 8, kept) + std::string(kept % 2, '\0');
    at += 8 + length + length % 2;
  }
  return "RIFF" + Little32(4 + body.size()) + "WEBP" + body;
}

TEST(WebpDamageTest, ChunksCutAnywhereWithLengthsThatFitAreDamage) {
  const std::pair<std::string, std::string> cuts[] = {{"cat_lossy.webp", "VP8 "},
                                                      {"cat_lossless.webp", "VP8L"},
                                                      {"cat_alpha.webp", "ALPH"},
                                                      {"cat_alpha.webp", "VP8 "}};
  for (const auto& [name, chunk] : cuts) {
    const std::string data = Photo(name);
    const auto whole = Decode(VideoCodec::kWebp, data);
    ASSERT_TRUE(whole.ok()) << name << ": " << whole.status();
    const size_t at = data.find(chunk);
    const size_t length = static_cast<uint8_t>(data[at + 4]) | static_cast<uint8_t>(data[at + 5]) << 8;
    for (size_t size = 0; size < length; size += size + 300 < length ? 7 : 1) {
      ExpectRefusedOrWhole(VideoCodec::kWebp, CutWebp(data, chunk, size), **whole,
                           name + ' ' + chunk + " cut at " + std::to_string(size));
    }
  }
}

TEST(WebpDamageTest, EverySizeAndQualityThatIsWholeIsTakenAsLibavcodecTakesIt) {
  for (int size = 1; size < 60; ++size) {
    const std::string data = tests::EncodeStill(VideoCodec::kWebp, TestPicture(size, 61 - size, size));
    const auto picture = Decode(VideoCodec::kWebp, data);
    ASSERT_TRUE(picture.ok()) << size << ": " << picture.status();
    EXPECT_TRUE((*picture)->pixels == DecodeWithFfmpeg(VideoCodec::kWebp, {data})[0].pixels) << size;
  }
}

TEST(WebpDamageTest, AlphaThatIsNotUnderstoodIsRefused) {
  std::string data = Photo("cat_alpha.webp");
  data[data.find("ALPH") + 8] = 2;  // a compression that does not exist
  EXPECT_THAT(std::string(Decode(VideoCodec::kWebp, data).status().message()), HasSubstr("alpha"));
  data[data.find("ALPH") + 8] = 0;  // not compressed, and too few for that
  EXPECT_THAT(std::string(Decode(VideoCodec::kWebp, data).status().message()), HasSubstr("cut short"));
}

}  // namespace
}  // namespace parley::streaming
