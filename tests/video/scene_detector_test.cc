#include "streaming/video/scene_detector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace parley::streaming {
namespace {

engine::Image Filled(int width, int height, uint8_t value) {
  return {width, height, std::vector<uint8_t>(size_t{3} * width * height, value)};
}

void AddNoise(engine::Image* image, int amplitude, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> noise(-amplitude, amplitude);
  for (uint8_t& value : image->pixels)
    value = static_cast<uint8_t>(std::clamp(value + noise(random), 0, 255));
}

TEST(SceneDetectorTest, TheFirstPictureIsAChange) {
  SceneDetector scene;
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0.02f));
  EXPECT_FALSE(scene.Changed(Filled(64, 48, 100), 0.02f));
}

TEST(SceneDetectorTest, NoiseIsNoChange) {
  SceneDetector scene;
  engine::Image first = Filled(640, 480, 100);
  engine::Image second = first;
  AddNoise(&first, 30, 1);
  AddNoise(&second, 30, 2);
  EXPECT_TRUE(scene.Changed(first, 0.02f));
  EXPECT_FALSE(scene.Changed(second, 0.02f));
}

TEST(SceneDetectorTest, SomethingThatFillsATenthOfThePictureIsAChange) {
  SceneDetector scene;
  engine::Image image = Filled(640, 480, 60);
  EXPECT_TRUE(scene.Changed(image, 0.02f));
  std::fill_n(image.pixels.begin(), image.pixels.size() / 10, uint8_t{200});
  EXPECT_TRUE(scene.Changed(image, 0.02f));
  EXPECT_FALSE(scene.Changed(image, 0.02f));
}

TEST(SceneDetectorTest, ASlowChangeAddsUp) {
  SceneDetector scene;
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0.02f));  // 0.02 is 5.1 steps of luma
  int changes = 0;
  for (uint8_t value = 101; value <= 112; ++value) changes += scene.Changed(Filled(64, 48, value), 0.02f);
  EXPECT_EQ(changes, 2);
}

TEST(SceneDetectorTest, AThresholdOfZeroKeepsAll) {
  SceneDetector scene;
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0));
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0));
}

TEST(SceneDetectorTest, AnotherSizeIsAChange) {
  SceneDetector scene;
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0.02f));
  EXPECT_TRUE(scene.Changed(Filled(48, 64, 100), 0.02f));
}

TEST(SceneDetectorTest, AfterAResetThePictureIsNew) {
  SceneDetector scene;
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0.02f));
  scene.Reset();
  EXPECT_TRUE(scene.Changed(Filled(64, 48, 100), 0.02f));
}

TEST(SceneDetectorTest, EverySizeFromOnePixelUpIsCompared) {
  for (const auto& [width, height] :
       {std::pair{1, 1}, {3, 2}, {15, 17}, {4096, 2}, {2, 4096}, {1999, 1001}}) {
    SceneDetector scene;
    EXPECT_TRUE(scene.Changed(Filled(width, height, 0), 0.02f));
    EXPECT_FALSE(scene.Changed(Filled(width, height, 0), 0.02f));
    EXPECT_TRUE(scene.Changed(Filled(width, height, 255), 1.0f));
  }
}

}  // namespace
}  // namespace parley::streaming
