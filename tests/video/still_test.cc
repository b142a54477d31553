#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"
#include "tests/video/photos.h"

namespace parley::streaming {
namespace {

using ::testing::HasSubstr;
using tests::Cat;
using tests::Difference;
using tests::EncodeStill;
using tests::Photo;
using tests::TestPicture;

constexpr int64_t kMaxPixels = 4096 * 4096;

engine::Image Grey(engine::Image image) {
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const int luma = (299 * image.pixels[i] + 587 * image.pixels[i + 1] + 114 * image.pixels[i + 2]) / 1000;
    std::fill_n(&image.pixels[i], 3, static_cast<uint8_t>(luma));
  }
  return image;
}

absl::StatusOr<engine::ImagePtr> Decode(VideoCodec codec, std::string_view data, int rotation = 0,
                                        int64_t max_pixels = kMaxPixels) {
  auto input = VideoInput::Create(codec, max_pixels);
  if (!input.ok()) return input.status();
  return (*input)->Decode(data, rotation, /*want=*/true);
}

void ExpectShows(const engine::Image& expected, VideoCodec codec, const std::string& photo,
                 double tolerance) {
  const auto picture = Decode(codec, Photo(photo));
  ASSERT_TRUE(picture.ok()) << photo << ": " << picture.status();
  EXPECT_LE(Difference(**picture, expected), tolerance) << photo;
}

TEST(StillTest, PhotosOfEveryFormShowTheSamePicture) {
  ExpectShows(Cat(), VideoCodec::kPng, "cat.png", 0);
  ExpectShows(Cat(), VideoCodec::kPng, "cat_palette.png", 4);
  ExpectShows(Cat(), VideoCodec::kJpeg, "cat_444.jpg", 3);
  ExpectShows(Cat(), VideoCodec::kJpeg, "cat_420.jpg", 4);
  ExpectShows(Cat(), VideoCodec::kJpeg, "cat_progressive.jpg", 4);
  ExpectShows(Cat(), VideoCodec::kJpeg, "cat_cmyk.jpg", 4);
  ExpectShows(Cat(), VideoCodec::kWebp, "cat_lossless.webp", 0);
  ExpectShows(Cat(), VideoCodec::kWebp, "cat_lossy.webp", 5);
}

TEST(StillTest, APhotoThatWasStoredTurnedIsShownUpright) {
  const auto picture = Decode(VideoCodec::kJpeg, Photo("cat_exif.jpg"));
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_EQ((*picture)->width, 64);
  EXPECT_EQ((*picture)->height, 96);
}

TEST(StillTest, GreyPhotosAreGrey) {
  ExpectShows(Grey(Cat()), VideoCodec::kPng, "cat_grey.png", 1);
  ExpectShows(Grey(Cat()), VideoCodec::kPng, "cat_grey16.png", 1);
  ExpectShows(Grey(Cat()), VideoCodec::kJpeg, "cat_grey.jpg", 3);
}

TEST(StillTest, TheLastColumnAndRowOfAnOddSizeAreRight) {
  const auto picture = Decode(VideoCodec::kJpeg, Photo("cat_odd.jpg"));
  ASSERT_TRUE(picture.ok()) << picture.status();
  ASSERT_EQ((*picture)->width, 95);
  ASSERT_EQ((*picture)->height, 63);
  const engine::Image cat = Cat();
  const auto difference = [&](int x, int y) {
    int sum = 0;
    for (int c = 0; c < 3; ++c)
      sum += std::abs((*picture)->pixels[(y * 95 + x) * 3 + c] - cat.pixels[(y * 96 + x) * 3 + c]);
    return sum / 3;
  };
  for (int y = 0; y < 63; ++y) EXPECT_LE(difference(94, y), 24) << "row " << y;
  for (int x = 0; x < 95; ++x) EXPECT_LE(difference(x, 62), 24) << "column " << x;
}

class EveryStill : public ::testing::TestWithParam<VideoCodec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, EveryStill,
                         ::testing::Values(VideoCodec::kJpeg, VideoCodec::kPng, VideoCodec::kWebp));

TEST_P(EveryStill, EverySizeIsWhole) {
  // Odd and tiny sizes take other paths through the decoder and the converter.
  for (const auto& [width, height] :
       {std::pair{1, 1}, {2, 3}, {7, 5}, {16, 16}, {17, 31}, {99, 101}, {321, 240}}) {
    const engine::Image source = TestPicture(width, height, 0);
    const auto picture = Decode(GetParam(), EncodeStill(GetParam(), source));
    ASSERT_TRUE(picture.ok()) << width << " x " << height << ": " << picture.status();
    ASSERT_EQ((*picture)->width, width);
    ASSERT_EQ((*picture)->height, height);
    // Quarters with hard edges on shared chroma samples blur.
    EXPECT_LE(Difference(**picture, source), std::min(width, height) < 8 ? 60 : 12)
        << width << " x " << height;
  }
}

TEST_P(EveryStill, RotationBringsThePictureUpright) {
  const engine::Image source = TestPicture(64, 32, 0);
  const std::string data = EncodeStill(GetParam(), source);
  for (const int rotation : {90, 180, 270}) {
    engine::Image expected = source;
    for (int turned = 0; turned < rotation; turned += 90) {  // a quarter clockwise: (x, y) -> (h - 1 - y, x)
      engine::Image next{expected.height, expected.width, std::vector<uint8_t>(expected.pixels.size())};
      for (int y = 0; y < expected.height; ++y) {
        for (int x = 0; x < expected.width; ++x) {
          std::copy_n(&expected.pixels[(size_t(y) * expected.width + x) * 3], 3,
                      &next.pixels[(size_t(x) * next.width + expected.height - 1 - y) * 3]);
        }
      }
      expected = next;
    }
    const auto picture = Decode(GetParam(), data, rotation);
    ASSERT_TRUE(picture.ok()) << picture.status();
    EXPECT_LE(Difference(**picture, expected), 12) << rotation;
  }
  EXPECT_EQ(Decode(GetParam(), data, 45).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(EveryStill, NothingIsDecodedWhenNotWanted) {
  auto input = VideoInput::Create(GetParam(), kMaxPixels);
  ASSERT_TRUE(input.ok());
  EXPECT_TRUE((*input)->independent_frames());
  const auto picture = (*input)->Decode(EncodeStill(GetParam(), TestPicture(32, 32, 0)), 0, /*want=*/false);
  ASSERT_TRUE(picture.ok());
  EXPECT_EQ(*picture, nullptr);
}

TEST_P(EveryStill, TruncatedAnywhereIsAnError) {
  const std::string data = EncodeStill(GetParam(), TestPicture(80, 60, 0));
  auto input = VideoInput::Create(GetParam(), kMaxPixels);
  ASSERT_TRUE(input.ok());
  for (size_t size = 0; size < data.size(); size += size < 64 || size + 64 > data.size() ? 1 : 29) {
    const auto picture = (*input)->Decode(std::string_view(data).substr(0, size), 0, true);
    EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument) << size << " of " << data.size();
  }
  // And the input is as good as new.
  EXPECT_TRUE((*input)->Decode(data, 0, true).ok());
}

TEST_P(EveryStill, RandomBytesGiveAStatus) {
  std::mt19937 random(1);
  const std::string good = EncodeStill(GetParam(), TestPicture(80, 60, 0));
  auto input = VideoInput::Create(GetParam(), 80 * 60);
  ASSERT_TRUE(input.ok());
  for (int i = 0; i < 400; ++i) {
    std::string data = good;
    if (i % 4 == 0) {  // nothing but noise
      data.resize(random() % 2'000);
      for (char& byte : data) byte = static_cast<char>(random());
      EXPECT_EQ((*input)->Decode(data, 0, true).status().code(), absl::StatusCode::kInvalidArgument);
      continue;
    }
    for (unsigned n = 1 + random() % 20; n > 0; --n)
      data[random() % data.size()] = static_cast<char>(random());
    const auto picture = (*input)->Decode(data, 0, true);
    if (picture.ok()) {
      EXPECT_LE((*picture)->width * (*picture)->height, 80 * 60);
      EXPECT_EQ((*picture)->pixels.size(), size_t{3} * (*picture)->width * (*picture)->height);
    } else {
      EXPECT_THAT(picture.status().code(),
                  ::testing::AnyOf(absl::StatusCode::kInvalidArgument, absl::StatusCode::kResourceExhausted))
          << picture.status();
    }
  }
}

TEST_P(EveryStill, OnePixelOverTheLimitIsRefused) {
  const std::string data = EncodeStill(GetParam(), TestPicture(40, 30, 0));
  EXPECT_TRUE(Decode(GetParam(), data, 0, 1'200).ok());
  EXPECT_EQ(Decode(GetParam(), data, 0, 1'199).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(StillTest, AnotherFormatIsNamedInTheError) {
  const auto as_jpeg = Decode(VideoCodec::kJpeg, Photo("cat.png"));
  EXPECT_EQ(as_jpeg.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(as_jpeg.status().message()), HasSubstr("not a JPEG picture: the bytes are PNG"));
  EXPECT_THAT(std::string(Decode(VideoCodec::kPng, Photo("cat_420.jpg")).status().message()),
              HasSubstr("JPEG"));
  EXPECT_THAT(std::string(Decode(VideoCodec::kPng, Photo("cat_lossy.webp")).status().message()),
              HasSubstr("WebP"));
  EXPECT_THAT(std::string(Decode(VideoCodec::kWebp, "GIF89a").status().message()), HasSubstr("GIF"));
}

TEST(StillTest, AnAnimationIsRefused) {
  const auto picture = Decode(VideoCodec::kWebp, Photo("animated.webp"));
  EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(picture.status().message()), HasSubstr("animated"));
}

TEST(StillTest, NothingOfFFmpegsLogReachesStderr) {
  ::testing::internal::CaptureStderr();
  std::string data = Photo("cat_420.jpg");
  for (size_t at = 700; at + 2 < data.size(); at += 40) data[at] = '\x55';
  (void)Decode(VideoCodec::kJpeg, data);
  std::string png = Photo("cat.png");
  png[5'000] = static_cast<char>(~png[5'000]);
  EXPECT_FALSE(Decode(VideoCodec::kPng, png).ok());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace parley::streaming
