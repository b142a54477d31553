// What tests of other folders rely on.
#include "engine/fake/fake_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/encodings.h"
#include "tests/model/steps.h"

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
  const Model model = MakeFakeModel({});
  std::vector<std::unique_ptr<Encoding>> pictures;
  std::vector<Encoding*> pass;
  for (const ImagePtr& image : {Colour(240, 10, 10), Colour(5, 5, 9), Colour(255, 130, 10)}) {
    pictures.push_back(model.frame_encoder->Start(image).value());
    pass.push_back(pictures.back().get());
  }
  for (const absl::StatusOr<bool>& done : model.frame_encoder->Advance(pass)) EXPECT_TRUE(*done);
  std::vector<std::string> words;
  for (const auto& picture : pictures) words.push_back(std::get<std::string>(picture->Take().part));
  EXPECT_THAT(words, ElementsAre("a red picture", "a black picture", "an orange picture"));
}

TEST(FakeModelTest, SpeechIsDescribedByItsLengthOnePassASecond) {
  const Model model = MakeFakeModel({});
  SpeechEncoder& encoder = *model.speech_encoder;
  const auto speech = encoder.Start({.samples = std::vector<float>(51'200)}).value();
  for (int pass = 0; pass < 3; ++pass) EXPECT_FALSE(*AdvanceAlone(encoder, *speech));
  EXPECT_TRUE(*AdvanceAlone(encoder, *speech));
  const Encoded encoded = speech->Take();
  EXPECT_EQ(std::get<std::string>(encoded.part), "3.2 seconds of speech");
  EXPECT_TRUE(encoded.heard);
  EXPECT_EQ(encoded.transcript.text, "3.2 seconds of speech");
  EXPECT_EQ(encoded.transcript.language, "en");
}

TEST(FakeModelTest, ARowsScoresDependOnItsHistoryOnly) {
  const Model fake = MakeFakeModel({});
  LanguageModel* const model = fake.language_model.get();
  auto alone = model->NewSequence().value();
  auto other = model->NewSequence().value();
  auto batched = model->NewSequence().value();
  const std::vector<TokenId> tokens = {1, 2, 3, 4};
  std::vector<float> expected, got, ignored;
  Chunk one{alone.get(), tokens, &expected};
  ASSERT_TRUE(RunStep(*model, {one}).ok());
  std::vector<Chunk> first = {{batched.get(), absl::MakeSpan(tokens).subspan(0, 1), nullptr},
                              {other.get(), tokens, &ignored}};
  ASSERT_TRUE(RunStep(*model, first).ok());
  std::vector<Chunk> rest = {{other.get(), tokens, &ignored},
                             {batched.get(), absl::MakeSpan(tokens).subspan(1), &got}};
  ASSERT_TRUE(RunStep(*model, rest).ok());
  EXPECT_EQ(got, expected);
  EXPECT_NE(ignored, expected);
  EXPECT_EQ(static_cast<int>(got.size()), model->vocabulary());
  batched->Truncate(2);
  Chunk again{batched.get(), absl::MakeSpan(tokens).subspan(2), &got};
  ASSERT_TRUE(RunStep(*model, {again}).ok());
  EXPECT_EQ(got, expected);
}

TEST(FakeModelTest, AFailedStepLeavesEverySequenceAsItWas) {
  FakeOptions options;
  options.faults = std::make_shared<FakeFaults>();
  options.context_tokens = 5;
  const Model fake = MakeFakeModel(options);
  LanguageModel* const model = fake.language_model.get();
  auto a = model->NewSequence().value();
  auto b = model->NewSequence().value();
  const std::vector<TokenId> few = {1, 2, 3}, many = {1, 2, 3, 4, 5, 6};
  std::vector<Chunk> step = {{a.get(), few, nullptr}, {b.get(), many, nullptr}};
  EXPECT_FALSE(RunStep(*model, step).ok());  // past the context
  options.faults->FailNextStep(absl::InternalError("once"));
  EXPECT_EQ(RunStep(*model, {step[0]}), absl::InternalError("once"));
  EXPECT_EQ(a->length(), 0);
  EXPECT_EQ(b->length(), 0);
  EXPECT_TRUE(RunStep(*model, {step[0]}).ok());
  EXPECT_EQ(a->length(), 3);
}

TEST(FakeModelTest, AStepShowsOnlyWhenItIsComplete) {
  FakeOptions options;
  options.faults = std::make_shared<FakeFaults>();
  const Model fake = MakeFakeModel(options);
  LanguageModel* const model = fake.language_model.get();
  const auto sequence = model->NewSequence().value();
  const std::vector<TokenId> tokens = {1, 2, 3};
  std::vector<float> scores;
  const RowRequest request = {.row = 2, .scores = &scores};
  const StepEntry entry = {.sequence = sequence.get(), .tokens = tokens, .requests = {&request, 1}};
  ASSERT_TRUE(model->Submit({&entry, 1}).ok());
  EXPECT_EQ(sequence->length(), 0);
  EXPECT_TRUE(scores.empty());
  ASSERT_TRUE(model->Complete().ok());
  EXPECT_EQ(sequence->length(), 3);
  EXPECT_FALSE(scores.empty());
  // What goes wrong on a device shows then, too.
  options.faults->FailNextStep(absl::InternalError("once"));
  ASSERT_TRUE(model->Submit({&entry, 1}).ok());
  EXPECT_EQ(model->Complete(), absl::InternalError("once"));
  EXPECT_EQ(sequence->length(), 3);
}

TEST(FakeModelTest, AFeaturesValuesCountAndTheTokenInItsPlaceDoesNot) {
  const Model fake = MakeFakeModel({});
  LanguageModel* const model = fake.language_model.get();
  const auto scores_of = [&](float value, TokenId token) {
    auto values = std::make_shared<std::vector<float>>(model->hidden(), value);
    const Features features = {{values, values->data()}, 1, model->hidden(), {}};
    const std::vector<FeatureRows> rows = {{.row = 1, .features = &features, .begin = 0, .count = 1}};
    const auto sequence = model->NewSequence().value();
    const std::vector<TokenId> tokens = {1, token, 3};
    std::vector<float> scores;
    EXPECT_TRUE(RunStep(*model, {{sequence.get(), tokens, &scores, {}, rows}}).ok());
    return scores;
  };
  EXPECT_EQ(scores_of(0.5f, 2), scores_of(0.5f, -1));
  EXPECT_NE(scores_of(0.5f, 2), scores_of(0.25f, 2));
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
