#include "engine/silero/silero.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "engine/bundle/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/wav.h"

namespace parley::engine {
namespace {

constexpr int kWindow = SpeechDetector::kWindowSamples;

std::unique_ptr<SpeechDetector> LoadDetector() {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  auto weights =
      bundle::Safetensors::Open(std::string(folder ? folder : "") + "/speech_detector/model.safetensors");
  EXPECT_TRUE(weights.ok()) << weights.status();
  if (!weights.ok()) return nullptr;
  auto detector = silero::Load(*weights);
  EXPECT_TRUE(detector.ok()) << detector.status();
  return detector.ok() ? *std::move(detector) : nullptr;
}

// What tests/reference/silero.py feeds the reference.
std::vector<float> ReferenceAudio() {
  std::vector<float> audio(8000, 0.0f);
  for (float sample : testing::ReadClip("slt_breakfast")) audio.push_back(sample);
  audio.insert(audio.end(), 8000, 0.0f);
  for (float sample : testing::ReadClip("rms_color")) audio.push_back(sample);
  audio.resize(audio.size() / kWindow * kWindow);
  return audio;
}

std::vector<float> DetectAlone(SpeechDetector& detector, const std::vector<float>& audio) {
  auto state = detector.NewState();
  std::vector<float> probabilities;
  for (size_t i = 0; i < audio.size(); i += kWindow) {
    SpeechDetector::Window window{state.get(), absl::MakeConstSpan(audio).subspan(i, kWindow)};
    EXPECT_TRUE(detector.Detect(absl::MakeSpan(&window, 1)).ok());
    probabilities.push_back(window.probability);
  }
  return probabilities;
}

TEST(Silero, GivesTheReferencesProbabilitiesOverAWholeClip) {
  auto detector = LoadDetector();
  ASSERT_NE(detector, nullptr);
  const std::vector<float> expected = testing::ReadNumbers("silero.txt");
  const std::vector<float> actual = DetectAlone(*detector, ReferenceAudio());
  ASSERT_EQ(actual.size(), expected.size());
  ASSERT_GT(actual.size(), 150u);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-3) << "window " << i;
}

TEST(Silero, AWindowsProbabilityDoesNotDependOnItsBatch) {
  auto detector = LoadDetector();
  ASSERT_NE(detector, nullptr);
  const std::vector<float> audio = ReferenceAudio();
  const std::vector<float> alone = DetectAlone(*detector, audio);
  const size_t windows = audio.size() / kWindow;
  // Eleven calls, each that many windows further on in the same audio, in batches of 1 to 11.
  constexpr size_t kCalls = 11;
  std::vector<std::unique_ptr<SpeechDetector::State>> states;
  for (size_t call = 0; call < kCalls; ++call) states.push_back(detector->NewState());
  for (size_t step = 0; step < windows + kCalls; ++step) {
    std::vector<SpeechDetector::Window> batch;
    std::vector<size_t> index;
    for (size_t call = 0; call < kCalls; ++call) {
      if (step < call || step - call >= windows) continue;
      index.push_back(step - call);
      batch.push_back(
          {states[call].get(), absl::MakeConstSpan(audio).subspan((step - call) * kWindow, kWindow)});
    }
    ASSERT_TRUE(detector->Detect(absl::MakeSpan(batch)).ok());
    for (size_t i = 0; i < batch.size(); ++i)
      ASSERT_EQ(batch[i].probability, alone[index[i]]) << "step " << step;
  }
}

TEST(Silero, ResetForgetsWhatWasHeard) {
  auto detector = LoadDetector();
  ASSERT_NE(detector, nullptr);
  const std::vector<float> clip = testing::ReadClip("slt_capital");
  auto state = detector->NewState();
  SpeechDetector::Window window{state.get(), absl::MakeConstSpan(clip).subspan(4000, kWindow)};
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(&window, 1)).ok());
  const float first = window.probability;
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(&window, 1)).ok());
  EXPECT_NE(window.probability, first);
  state->Reset();
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(&window, 1)).ok());
  EXPECT_EQ(window.probability, first);
}

TEST(Silero, SamplesThatAreNotFiniteCountAsSilence) {
  auto detector = LoadDetector();
  ASSERT_NE(detector, nullptr);
  std::vector<float> garbage(kWindow, std::numeric_limits<float>::quiet_NaN());
  garbage[7] = std::numeric_limits<float>::infinity();
  auto state = detector->NewState();
  SpeechDetector::Window window{state.get(), garbage};
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(&window, 1)).ok());
  EXPECT_LT(window.probability, 0.5f);
  const std::vector<float> silence(kWindow, 0.0f);
  window.samples = silence;
  ASSERT_TRUE(detector->Detect(absl::MakeSpan(&window, 1)).ok());
  EXPECT_TRUE(std::isfinite(window.probability));
}

TEST(Silero, RefusesAWindowOfAnotherLengthOrWithoutState) {
  auto detector = LoadDetector();
  ASSERT_NE(detector, nullptr);
  const std::vector<float> audio(kWindow, 0.0f);
  auto state = detector->NewState();
  SpeechDetector::Window window{state.get(), absl::MakeConstSpan(audio).subspan(0, 100)};
  EXPECT_EQ(detector->Detect(absl::MakeSpan(&window, 1)).code(), absl::StatusCode::kInvalidArgument);
  window = {nullptr, audio};
  EXPECT_EQ(detector->Detect(absl::MakeSpan(&window, 1)).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace parley::engine
