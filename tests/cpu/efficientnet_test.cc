#include "engine/cpu/efficientnet/efficientnet.h"

#include <cmath>
#include <cstdlib>

#include "engine/bundle/mapped_file.h"
#include "engine/cpu/efficientnet/preprocessing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/photo.h"
#include "tests/reference/wav.h"

namespace parley::engine::cpu {
namespace {

using parley::testing::ReadPhoto;

constexpr size_t kPicture = static_cast<size_t>(3) * kEfficientNetSize * kEfficientNetSize;
constexpr const char* kPhotos[] = {"astronaut", "chelsea", "coffee", "motorcycle_left", "rocket"};

const EfficientNet& Network() {
  static const auto* network = [] {
    const char* folder = std::getenv("PARLEY_MODEL_DIR");
    const std::string encoder = std::string(folder != nullptr ? folder : "") + "/vision_encoder";
    const auto weights = bundle::Safetensors::OpenFolder(encoder);
    const auto labels = bundle::ReadTextFile(encoder + "/labels.json");
    EXPECT_TRUE(weights.ok() && labels.ok()) << weights.status() << labels.status();
    if (!weights.ok() || !labels.ok()) std::abort();
    auto loaded = EfficientNet::Load(*weights, *labels, /*threads=*/2);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (!loaded.ok()) std::abort();
    return loaded->release();
  }();
  return *network;
}

std::vector<float> Preprocess(const Image& image) {
  std::vector<float> pixels(kPicture);
  static kernels::ThreadTeam team(3);
  EXPECT_TRUE(PreprocessForEfficientNet(image, team, absl::MakeSpan(pixels)).ok());
  return pixels;
}

TEST(EfficientNet, LogitsOfFivePhotosAreTheReferences) {
  const std::vector<float> expected = parley::testing::ReadFloats("efficientnet_logits.f32");
  ASSERT_EQ(expected.size(), 5000u);
  for (int photo = 0; photo < 5; ++photo) {
    const std::vector<float> logits = Network().Logits(Preprocess(*ReadPhoto(kPhotos[photo])));
    for (int i = 0; i < 1000; ++i) ASSERT_NEAR(logits[i], expected[photo * 1000 + i], 1e-3) << kPhotos[photo];
  }
}

TEST(EfficientNet, ABatchSaysOfEachPictureWhatItSaysOfItAlone) {
  std::vector<ImagePtr> images;
  for (const char* photo : kPhotos) images.push_back(ReadPhoto(photo));
  const auto together = Network().Labels(images, 3);
  ASSERT_TRUE(together.ok()) << together.status();
  for (size_t i = 0; i < images.size(); ++i) {
    const auto alone = Network().Labels(absl::MakeConstSpan(images).subspan(i, 1), 3);
    ASSERT_TRUE(alone.ok()) << alone.status();
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ((*together)[i][k].label, alone->front()[k].label);
      EXPECT_EQ((*together)[i][k].probability, alone->front()[k].probability);  // bit for bit
    }
  }
}

TEST(EfficientNet, KnowsACatAndACupOfCoffee) {
  const std::vector<ImagePtr> images = {ReadPhoto("chelsea"), ReadPhoto("coffee")};
  const auto labels = Network().Labels(images);
  ASSERT_TRUE(labels.ok()) << labels.status();
  EXPECT_THAT((*labels)[0].front().label, ::testing::AnyOf("Egyptian cat", "tabby", "tiger cat"));
  EXPECT_EQ((*labels)[1].front().label, "espresso");
}

TEST(EfficientNet, RefusesAnImageWhosePixelsDoNotFitItsSize) {
  auto image = std::make_shared<Image>();
  image->width = 10;
  image->height = 10;
  image->pixels.resize(299);
  const std::vector<ImagePtr> images = {image};
  EXPECT_EQ(Network().Labels(images).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EfficientNet, TakesAnImageOfOnePixelAndALineOfPixels) {
  auto pixel = std::make_shared<Image>(Image{1, 1, {255, 0, 0}});
  auto line = std::make_shared<Image>(Image{3000, 1, std::vector<uint8_t>(9000, 7)});
  const std::vector<ImagePtr> images = {pixel, line};
  const auto labels = Network().Labels(images);
  ASSERT_TRUE(labels.ok()) << labels.status();
  EXPECT_TRUE(std::isfinite(labels->front().front().probability));
}

TEST(EfficientNetPreprocessing, ResizesAsTheReferenceDoes) {
  Image image{610, 485, {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>((x * 7 + y * 3) % 251));
      image.pixels.push_back(static_cast<uint8_t>((x * x + y) % 241));
      image.pixels.push_back(static_cast<uint8_t>(((x * 5) ^ (y * 11)) % 256));
    }
  }
  const std::vector<float> expected = parley::testing::ReadFloats("efficientnet_resize.f32");
  ASSERT_EQ(expected.size(), 3u * 14 * 14);
  const std::vector<float> pixels = Preprocess(image);
  for (int i = 0; i < 3 * 14 * 14; ++i) {
    const int channel = i / 196, row = i / 14 % 14 * 16, column = i % 14 * 16;
    ASSERT_NEAR(pixels[(row * 224 + column) * 3 + channel], expected[i], 1e-4) << "value " << i;
  }
}

bundle::BundleManifest::VisionBridge Bridge(int labels, float minimum) {
  return {.kind = "labels",
          .labels = labels,
          .minimum = minimum,
          .prompt_template = "The picture shows {labels}.",
          .otherwise = "Nothing."};
}

TEST(LabelsBridge, NamesTheLikeliestWithItsArticle) {
  EXPECT_EQ(DescribeLabels(Bridge(1, 0.1f), {{"Egyptian cat", 0.4f}, {"tabby", 0.2f}}),
            "The picture shows an Egyptian cat.");
  EXPECT_EQ(DescribeLabels(Bridge(1, 0.1f), {{"unicycle", 0.4f}}), "The picture shows a unicycle.");
  EXPECT_EQ(DescribeLabels(Bridge(1, 0.1f), {{"sunglasses", 0.4f}}), "The picture shows sunglasses.");
}

TEST(LabelsBridge, NamesNoMoreThanAskedAndNothingUnlikely) {
  EXPECT_EQ(DescribeLabels(Bridge(2, 0.1f), {{"cup", 0.4f}, {"espresso", 0.3f}, {"tray", 0.2f}}),
            "The picture shows a cup, an espresso.");
  EXPECT_EQ(DescribeLabels(Bridge(2, 0.1f), {{"cup", 0.4f}, {"espresso", 0.05f}}),
            "The picture shows a cup.");
  EXPECT_EQ(DescribeLabels(Bridge(2, 0.1f), {{"cup", 0.05f}}), "Nothing.");
  EXPECT_EQ(DescribeLabels(Bridge(2, 0.1f), {}), "Nothing.");
}

}  // namespace
}  // namespace parley::engine::cpu
