// What tests of other folders rely on.
#include "engine/fake/fake_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::engine {
namespace {

using ::testing::ElementsAre;

ImagePtr Colour(uint8_t red, uint8_t green, uint8_t blue) {
  auto image = std::make_shared<Image>();
  image->width = image->height = 1;
  for (const uint8_t channel : {red, green, blue}) image->pixels.push_back(channel);
  return image;
}

TEST(FakeModelTest, PicturesAreDescribedByTheirMeanColour) {
  auto model = MakeFakeModel({});
  const std::vector<ImagePtr> images = {Colour(240, 10, 10), Colour(5, 5, 9), Colour(255, 130, 10)};
  EXPECT_THAT(*model->DescribeImages(images),
              ElementsAre("a red picture", "a black picture", "an orange picture"));
}

TEST(FakeModelTest, SpeechIsDescribedByItsLengthOneSliceASecond) {
  auto model = MakeFakeModel({});
  auto transcription = model->StartTranscription(std::vector<float>(51'200), nullptr).value();
  for (int slice = 0; slice < 3; ++slice) EXPECT_FALSE(*transcription->Advance());
  EXPECT_TRUE(*transcription->Advance());
  EXPECT_EQ(transcription->result().text, "3.2 seconds of speech");
  EXPECT_EQ(transcription->result().language, "en");
}

TEST(FakeModelTest, ARowsScoresDependOnItsHistoryOnly) {
  auto model = MakeFakeModel({});
  auto alone = model->NewSequence().value();
  auto other = model->NewSequence().value();
  auto batched = model->NewSequence().value();
  const std::vector<TokenId> tokens = {1, 2, 3, 4};
  std::vector<float> expected, got, ignored;
  StepEntry one{alone.get(), tokens, &expected};
  ASSERT_TRUE(model->Step({&one, 1}).ok());
  std::vector<StepEntry> first = {{batched.get(), absl::MakeSpan(tokens).subspan(0, 1), nullptr},
                                  {other.get(), tokens, &ignored}};
  ASSERT_TRUE(model->Step(absl::MakeSpan(first)).ok());
  std::vector<StepEntry> rest = {{other.get(), tokens, &ignored},
                                 {batched.get(), absl::MakeSpan(tokens).subspan(1), &got}};
  ASSERT_TRUE(model->Step(absl::MakeSpan(rest)).ok());
  EXPECT_EQ(got, expected);
  EXPECT_NE(ignored, expected);
  EXPECT_EQ(static_cast<int>(got.size()), model->vocabulary());
  batched->Truncate(2);
  StepEntry again{batched.get(), absl::MakeSpan(tokens).subspan(2), &got};
  ASSERT_TRUE(model->Step({&again, 1}).ok());
  EXPECT_EQ(got, expected);
}

TEST(FakeModelTest, AFailedStepLeavesEverySequenceAsItWas) {
  FakeOptions options;
  options.faults = std::make_shared<FakeFaults>();
  options.context_tokens = 5;
  auto model = MakeFakeModel(options);
  auto a = model->NewSequence().value();
  auto b = model->NewSequence().value();
  const std::vector<TokenId> few = {1, 2, 3}, many = {1, 2, 3, 4, 5, 6};
  std::vector<StepEntry> step = {{a.get(), few, nullptr}, {b.get(), many, nullptr}};
  EXPECT_FALSE(model->Step(absl::MakeSpan(step)).ok());  // past the context
  options.faults->FailNextStep(absl::InternalError("once"));
  EXPECT_EQ(model->Step(absl::MakeSpan(step).subspan(0, 1)), absl::InternalError("once"));
  EXPECT_EQ(a->length(), 0);
  EXPECT_EQ(b->length(), 0);
  EXPECT_TRUE(model->Step(absl::MakeSpan(step).subspan(0, 1)).ok());
  EXPECT_EQ(a->length(), 3);
}

TEST(FakeSpeechDetectorTest, LoudWindowsAreSpeechAndQuietOnesAreNot) {
  auto detector = MakeFakeSpeechDetector();
  auto state = detector->NewState();
  std::vector<float> loud(SpeechDetector::kWindowSamples, 0.1f),
      quiet(SpeechDetector::kWindowSamples, 0.001f);
  std::vector<SpeechDetector::Window> windows = {{state.get(), loud}, {state.get(), quiet}};
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(windows)).ok());
  EXPECT_EQ(windows[0].probability, 1);
  EXPECT_EQ(windows[1].probability, 0);
}

}  // namespace
}  // namespace parley::engine
