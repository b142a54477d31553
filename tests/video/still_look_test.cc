// What a still shows beside its pixels: what is transparent, and which way is up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "streaming/video/exif.h"
#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"
#include "tests/video/photos.h"
#include "tests/video/png_writer.h"

namespace parley::streaming {
namespace {

using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;
using tests::Cat;
using tests::Difference;
using tests::Photo;
using tests::PngOptions;
using tests::TestPicture;
using tests::WritePng;

constexpr int kGrey = 128;

engine::ImagePtr Decode(VideoCodec codec, std::string_view data, int rotation = 0) {
  auto input = VideoInput::Create(codec, 4096 * 4096);
  EXPECT_TRUE(input.ok());
  auto picture = (*input)->Decode(data, rotation, /*want=*/true);
  EXPECT_TRUE(picture.ok()) << picture.status();
  return picture.ok() ? *picture : std::make_shared<engine::Image>();
}

uint8_t Over(int colour, int alpha, int whole = 255) {
  return static_cast<uint8_t>((colour * alpha + kGrey * (whole - alpha) + whole / 2) / whole);
}

// The cat with an alpha that the caller chooses for each pixel.
template <typename Alpha>
engine::Image CatOver(const Alpha& alpha) {
  engine::Image image = Cat();
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = Over(image.pixels[i], alpha(static_cast<int>(i / 3)));
  }
  return image;
}

int Ramp(int pixel) { return pixel % 96 * 255 / 95; }

std::vector<uint16_t> Samples(const std::vector<uint8_t>& rgb, int (*alpha)(int), int scale = 1) {
  std::vector<uint16_t> samples;
  for (size_t i = 0; i < rgb.size(); ++i) {
    samples.push_back(static_cast<uint16_t>(rgb[i] * scale));
    if (alpha != nullptr && i % 3 == 2) {
      samples.push_back(static_cast<uint16_t>(alpha(static_cast<int>(i / 3)) * scale));
    }
  }
  return samples;
}

class EveryOrder : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Interlaced, EveryOrder, ::testing::Bool());

TEST_P(EveryOrder, NothingOfWhatLiesUnderTransparentPixelsIsSeen) {
  const auto invisible = [](int) { return 0; };
  const auto picture =
      Decode(VideoCodec::kPng, WritePng({.width = 96, .height = 64, .colour = 6, .interlaced = GetParam()},
                                        Samples(Cat().pixels, invisible)));
  EXPECT_THAT(picture->pixels, ::testing::Each(kGrey));
}

TEST_P(EveryOrder, AlphaOfEveryFormOfPngIsLaidOverGrey) {
  const PngOptions options{.width = 96, .height = 64, .interlaced = GetParam()};
  PngOptions png = options;
  png.colour = 6;
  EXPECT_EQ(Decode(VideoCodec::kPng, WritePng(png, Samples(Cat().pixels, &Ramp)))->pixels,
            CatOver(&Ramp).pixels);
  png.depth = 16;
  EXPECT_LE(
      Difference(*Decode(VideoCodec::kPng, WritePng(png, Samples(Cat().pixels, &Ramp, 257))), CatOver(&Ramp)),
      1);

  // Grey with alpha: the cat's red.
  std::vector<uint8_t> grey;
  for (size_t i = 0; i < Cat().pixels.size(); i += 3) grey.push_back(Cat().pixels[i]);
  engine::Image expected = Cat();
  for (size_t i = 0; i < expected.pixels.size(); ++i) {
    expected.pixels[i] = Over(grey[i / 3], Ramp(static_cast<int>(i / 3)));
  }
  for (const int depth : {8, 16}) {
    std::vector<uint16_t> samples;
    for (size_t i = 0; i < grey.size(); ++i) {
      samples.push_back(static_cast<uint16_t>(grey[i] * (depth == 16 ? 257 : 1)));
      samples.push_back(static_cast<uint16_t>(Ramp(static_cast<int>(i)) * (depth == 16 ? 257 : 1)));
    }
    png = options;
    png.colour = 4;
    png.depth = depth;
    EXPECT_LE(Difference(*Decode(VideoCodec::kPng, WritePng(png, samples)), expected), depth == 16 ? 1 : 0)
        << depth;
  }
}

TEST_P(EveryOrder, ColoursThatPngNamesTransparentAreGrey) {
  // Four colours in a palette of 2 bits, the second half and the third not transparent at all.
  PngOptions png{.width = 5, .height = 3, .depth = 2, .colour = 3, .interlaced = GetParam()};
  png.palette = "\xc8\x01\x02\x0a\xd2\x14\x1e\x28\xfa\x05\x06\x07"s;
  png.transparency = "\x00\x80"s;
  std::vector<uint16_t> samples;
  for (int i = 0; i < 15; ++i) samples.push_back(static_cast<uint16_t>(i % 4));
  auto picture = Decode(VideoCodec::kPng, WritePng(png, samples));
  const uint8_t palette[4][4] = {
      {0xc8, 1, 2, 0}, {0x0a, 0xd2, 0x14, 0x80}, {0x1e, 0x28, 0xfa, 255}, {5, 6, 7, 255}};
  for (int i = 0; i < 45; ++i) {
    const uint8_t* entry = palette[i / 3 % 4];
    EXPECT_EQ(picture->pixels[i], Over(entry[i % 3], entry[3])) << i;
  }

  // One colour of RGB, and one of grey.
  png = {.width = 4,
         .height = 4,
         .colour = 2,
         .interlaced = GetParam(),
         .transparency = std::string("\0\x0a\0\x14\0\x1e", 6)};
  samples.clear();
  for (int i = 0; i < 16; ++i) {
    const bool key = i % 3 == 0;
    for (const int value : {10, 20, key ? 30 : 31}) samples.push_back(static_cast<uint16_t>(value));
  }
  picture = Decode(VideoCodec::kPng, WritePng(png, samples));
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(picture->pixels[3 * i], i % 3 == 0 ? kGrey : 10) << i;
    EXPECT_EQ(picture->pixels[3 * i + 2], i % 3 == 0 ? kGrey : 31) << i;
  }
  for (const int depth : {8, 16}) {
    const int scale = depth == 16 ? 257 : 1;
    png = {.width = 4, .height = 4, .depth = depth, .colour = 0, .interlaced = GetParam()};
    png.transparency = depth == 16 ? "\x28\x28"s : std::string("\0\x28", 2);
    samples.clear();
    for (int i = 0; i < 16; ++i) samples.push_back(static_cast<uint16_t>((40 + i % 3) * scale));
    picture = Decode(VideoCodec::kPng, WritePng(png, samples));
    for (int i = 0; i < 16; ++i)
      EXPECT_EQ(picture->pixels[3 * i], i % 3 == 0 ? kGrey : 40 + i % 3) << depth << ' ' << i;
  }
}

// Two bytes, as tRNS has a sample of any depth.
std::string Big16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

// Section 11.3.2.1: the sample as the file has it, and of its two bytes the bits that a sample has.
TEST_P(EveryOrder, TheTransparentGreyOfEveryDepthIsThatOne) {
  for (const int depth : {1, 2, 4, 8, 16}) {
    const int most = (1 << depth) - 1;
    const int step = depth == 16 ? 257 : 1;
    for (const int key : {0, step, (most / 2) / step * step, most}) {
      for (const int high_bits : depth < 16 ? std::vector<int>{0, 0x1200} : std::vector<int>{0}) {
        PngOptions png{.width = 37, .height = 11, .depth = depth, .colour = 0, .interlaced = GetParam()};
        png.transparency = Big16(high_bits | key);
        std::vector<uint16_t> samples;
        for (int i = 0; i < 37 * 11; ++i)
          samples.push_back(static_cast<uint16_t>(7 * i * step % (most + step)));
        samples[5] = static_cast<uint16_t>(key);
        const auto picture = Decode(VideoCodec::kPng, WritePng(png, samples));
        ASSERT_EQ(picture->pixels.size(), 3 * samples.size());
        for (size_t i = 0; i < picture->pixels.size(); ++i) {
          const int sample = samples[i / 3];
          // libswscale rounds 16 bits up, or down.
          ASSERT_NEAR(picture->pixels[i], sample == key ? kGrey : sample * 255 / most, depth == 16 ? 1 : 0)
              << depth << " bits, transparent " << key << ", pixel " << i / 3 << ": " << sample;
        }
      }
    }
  }
}

TEST(TransparencyTest, APictureWhoseHeaderOrTransparencyIsDamagedIsRefused) {
  auto input = VideoInput::Create(VideoCodec::kPng, 4096 * 4096);
  ASSERT_TRUE(input.ok());
  for (const int depth : {1, 2, 4, 8, 16}) {
    PngOptions png{.width = 2, .height = 1, .depth = depth, .colour = 0, .transparency = Big16(1)};
    const std::string whole = WritePng(png, {0, 1});
    EXPECT_TRUE((*input)->Decode(whole, 0, true).ok()) << depth;
    // Their checksums are 13 and 2 bytes behind.
    for (const size_t at : {whole.find("IHDR") + 4 + 13, whole.find("tRNS") + 4 + 2}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(~damaged[at]);
      EXPECT_TRUE(absl::IsInvalidArgument((*input)->Decode(damaged, 0, true).status())) << depth << ' ' << at;
    }
  }
}

TEST_P(EveryOrder, TheTransparentColourOfEveryDepthIsThatOne) {
  for (const int depth : {8, 16}) {
    const int most = (1 << depth) - 1;
    const int step = depth == 16 ? 257 : 1;
    const std::vector<int> key = {0x14 * step, most, 0};
    for (const int high_bits : depth < 16 ? std::vector<int>{0, 0x1200} : std::vector<int>{0}) {
      PngOptions png{.width = 19, .height = 5, .depth = depth, .colour = 2, .interlaced = GetParam()};
      for (const int sample : key) png.transparency += Big16(high_bits | sample);
      std::vector<uint16_t> samples;
      for (int i = 0; i < 19 * 5; ++i) {
        for (int channel = 0; channel < 3; ++channel) {
          // Every fourth pixel is the colour, each of the others differs in one channel.
          const int other = key[channel] == 0 ? step : key[channel] - step;
          samples.push_back(static_cast<uint16_t>(i % 4 == channel ? other : key[channel]));
        }
      }
      const auto picture = Decode(VideoCodec::kPng, WritePng(png, samples));
      ASSERT_EQ(picture->pixels.size(), samples.size());
      for (size_t i = 0; i < samples.size(); ++i) {
        // libswscale rounds 16 bits up, or down.
        ASSERT_NEAR(picture->pixels[i], i / 3 % 4 == 3 ? kGrey : samples[i] / step, depth == 16 ? 1 : 0)
            << depth << " bits, " << i;
      }
    }
  }
}

TEST_P(EveryOrder, PalettesOfEveryDepthHaveTheirAlpha) {
  for (const int depth : {1, 2, 4, 8}) {
    PngOptions png{.width = 23, .height = 9, .depth = depth, .colour = 3, .interlaced = GetParam()};
    const int colours = 1 << depth;
    const auto colour = [](int index, int channel) { return (index * 5 + channel * 80) % 256; };
    const auto alpha = [colours](int index) {
      return index == 0 ? 0 : index < colours / 2 ? 255 - index : 255;
    };
    for (int i = 0; i < colours; ++i) {
      for (int channel = 0; channel < 3; ++channel) png.palette += static_cast<char>(colour(i, channel));
      if (i < colours / 2) png.transparency += static_cast<char>(alpha(i));
    }
    std::vector<uint16_t> samples;
    for (int i = 0; i < 23 * 9; ++i) samples.push_back(static_cast<uint16_t>(i % colours));
    const auto picture = Decode(VideoCodec::kPng, WritePng(png, samples));
    ASSERT_EQ(picture->pixels.size(), 3 * samples.size());
    for (size_t i = 0; i < picture->pixels.size(); ++i) {
      const int index = samples[i / 3];
      ASSERT_EQ(picture->pixels[i], Over(colour(index, static_cast<int>(i % 3)), alpha(index)))
          << depth << " bits, " << i;
    }
  }
}

TEST(TransparencyTest, PhotosWithAlphaAreLaidOverGrey) {
  // Their alpha is the cat's luma, as the script that made them computes it.
  const engine::Image cat = Cat();
  const engine::Image expected = CatOver([&cat](int pixel) {
    const uint8_t* rgb = &cat.pixels[size_t(pixel) * 3];
    return (rgb[0] * 19'595 + rgb[1] * 38'470 + rgb[2] * 7'471 + 0x8000) >> 16;
  });
  EXPECT_LE(Difference(*Decode(VideoCodec::kPng, Photo("cat_alpha.png")), expected), 0);
  EXPECT_LE(Difference(*Decode(VideoCodec::kWebp, Photo("cat_alpha.webp")), expected), 5);
}

TEST(TransparencyTest, AlphaOfWebpIsLaidOverGrey) {
  for (const bool lossless : {false, true}) {
    const engine::Image cat = Cat();
    const auto invisible = Decode(VideoCodec::kWebp, tests::EncodeWebp(
                                                         cat, [](int) { return 0; }, lossless));
    EXPECT_THAT(invisible->pixels, ::testing::Each(kGrey));
    const auto ramp = Decode(VideoCodec::kWebp, tests::EncodeWebp(cat, &Ramp, lossless));
    EXPECT_LE(Difference(*ramp, CatOver(&Ramp)), lossless ? 0 : 5) << lossless;
  }
}

// ---- which way is up

// A TIFF file with one directory of three entries, the second the orientation.
std::string Exif(int orientation, bool little) {
  const auto number = [little](uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * (little ? i : bytes - 1 - i));
    return text;
  };
  const auto entry = [&](uint32_t tag, uint32_t value) {
    return number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + number(0, 2);
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(3, 2) + entry(0x0100, 7) +
         entry(0x0112, orientation) + entry(0x0128, 2) + number(0, 4);
}

std::string WithExif(VideoCodec codec, const std::string& data, const std::string& exif) {
  if (codec == VideoCodec::kJpeg) {
    const std::string body = std::string("Exif\0\0", 6) + exif;
    const std::string length = {static_cast<char>((body.size() + 2) >> 8),
                                static_cast<char>(body.size() + 2)};
    return data.substr(0, 2) + "\xff\xe1" + length + body + data.substr(2);
  }
  if (codec == VideoCodec::kPng) return data.substr(0, 33) + tests::PngChunk("eXIf", exif) + data.substr(33);
  const auto little = [](size_t value) {
    std::string text;
    for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> 8 * i);
    return text;
  };
  const std::string body =
      data.substr(8) + "EXIF" + little(exif.size()) + exif + std::string(exif.size() % 2, '\0');
  return "RIFF" + little(body.size()) + body;
}

// What a picture stored with this orientation shows, as EXIF defines it: where its first row and column are.
engine::Image Upright(const engine::Image& stored, int orientation) {
  const int w = stored.width;
  const int h = stored.height;
  engine::Image image = stored;
  if (orientation >= 5) std::swap(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::pair<int, int> from[] = {{x, y}, {w - 1 - x, y}, {w - 1 - x, h - 1 - y}, {x, h - 1 - y},
                                          {y, x}, {y, h - 1 - x}, {w - 1 - y, h - 1 - x}, {w - 1 - y, x}};
      const auto [from_x, from_y] = from[orientation - 1];
      std::copy_n(&stored.pixels[(size_t(from_y) * w + from_x) * 3], 3,
                  &image.pixels[(size_t(y) * image.width + x) * 3]);
    }
  }
  return image;
}

class EveryStill : public ::testing::TestWithParam<VideoCodec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, EveryStill,
                         ::testing::Values(VideoCodec::kJpeg, VideoCodec::kPng, VideoCodec::kWebp));

TEST_P(EveryStill, EachOrientationOfExifIsShownUpright) {
  const std::string plain = tests::EncodeStill(GetParam(), TestPicture(65, 34, 1));
  const engine::Image stored = *Decode(GetParam(), plain);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool little : {false, true}) {
      const auto picture = Decode(GetParam(), WithExif(GetParam(), plain, Exif(orientation, little)));
      const engine::Image expected = Upright(stored, orientation);
      EXPECT_EQ(picture->width, expected.width) << orientation;
      EXPECT_EQ(picture->pixels, expected.pixels) << orientation << (little ? " little" : " big");
    }
  }
}

TEST_P(EveryStill, AFrameThatNamesItsOwnRotationIsTurnedByThatAlone) {
  const std::string plain = tests::EncodeStill(GetParam(), TestPicture(65, 34, 1));
  const std::string turned = WithExif(GetParam(), plain, Exif(6, true));
  for (const int rotation : {90, 180, 270}) {
    EXPECT_EQ(Decode(GetParam(), turned, rotation)->pixels, Decode(GetParam(), plain, rotation)->pixels);
  }
}

TEST_P(EveryStill, MalformedExifIsAsIfItWereNotThere) {
  const std::string plain = tests::EncodeStill(GetParam(), TestPicture(65, 34, 1));
  const auto expected = Decode(GetParam(), plain);
  const std::string good = Exif(6, true);
  std::vector<std::string> malformed = {
      "", "II", "garbage that is long enough", Exif(0, true), Exif(9, true), Exif(0xffff, false)};
  for (size_t size = 0; size < 22; ++size) malformed.push_back(good.substr(0, size));
  std::string far = good;
  far.replace(4, 4, "\xff\xff\xff\xff");  // the directory's place
  malformed.push_back(far);
  std::string typed = good;
  typed[8 + 2 + 12 + 2] = 4;  // a long
  malformed.push_back(typed);
  std::string many = good;
  many[8 + 2 + 12 + 4] = 2;  // two of them
  malformed.push_back(many);
  for (const std::string& exif : malformed) {
    if (exif.size() > 65'000) continue;
    EXPECT_EQ(Decode(GetParam(), WithExif(GetParam(), plain, exif))->pixels, expected->pixels);
  }
  std::string entries = good;
  entries.replace(8, 2, "\xff\xff");  // more entries than there are: those that are there count
  EXPECT_EQ(Decode(GetParam(), WithExif(GetParam(), plain, entries))->width, 34);
}

TEST(ExifTest, AnyBytesAtAllGiveAnOrientation) {
  const std::string good = Exif(6, false);
  for (size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string exif = good;
      exif[at] = static_cast<char>(value);
      for (size_t size = 0; size <= exif.size(); size += 3) {
        const int orientation = ExifOrientation(std::string_view(exif).substr(0, size));
        ASSERT_GE(orientation, 1);
        ASSERT_LE(orientation, 8);
      }
    }
  }
  EXPECT_EQ(ExifOrientation("Exif\0\0"sv), 1);
  EXPECT_EQ(ExifOrientation(std::string("Exif\0\0", 6) + good), 6);
}

}  // namespace
}  // namespace parley::streaming
