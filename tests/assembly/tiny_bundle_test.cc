// Bundles of random weights (tiny_bundle.py) as engines: every kind of part, every arithmetic, every path
// that a sanitizer can see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/assembly/load.h"
#include "tests/assembly/talk.h"

namespace parley::engine::assembly {
namespace {

using testing::HasSubstr;

ImagePtr Picture(uint8_t shade) {
  auto image = std::make_shared<Image>();
  image->width = 48;
  image->height = 32;
  for (int i = 0; i < 48 * 32 * 3; ++i) image->pixels.push_back(static_cast<uint8_t>(i * 7 + shade));
  return image;
}

std::vector<float> Sound(double seconds, double hertz) {
  std::vector<float> samples(static_cast<size_t>(seconds * kSampleRateHz));
  for (size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i) / kSampleRateHz;
    samples[i] = static_cast<float>(0.3 * std::sin(2 * M_PI * hertz * t) * std::sin(2 * M_PI * 3 * t));
  }
  return samples;
}

// Of this run of the program: what an earlier one left may be of another format.
std::string BundlesFolder() { return absl::StrCat(testing::TempDir(), "/parley_bundles_", getpid()); }

class RemoveBundles : public testing::Environment {
 public:
  void TearDown() override { std::filesystem::remove_all(BundlesFolder()); }
};
const testing::Environment* const kRemoveBundles = testing::AddGlobalTestEnvironment(new RemoveBundles);

// Written once for the tests of this program.
std::string Bundle(const std::string& architecture, bool padded) {
  const std::string folder = absl::StrCat(BundlesFolder(), "/", architecture, padded ? "_padded" : "");
  if (std::filesystem::exists(folder + "/parley.json")) return folder;
  std::filesystem::create_directories(BundlesFolder());
  const std::string command =
      std::string(PARLEY_PYTHON " " PARLEY_SOURCE_DIR "/tests/assembly/tiny_bundle.py ") + folder +
      " --architecture " + architecture + (padded ? " --padded" : "");
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return folder;
}

std::vector<std::string> TalkOf(Engine& engine, bool piecewise, double hertz = 300) {
  Talk talk(engine, piecewise);
  talk.Show(Picture(0));
  talk.Say(Sound(1.5, hertz));
  talk.Answer(6);
  talk.Type("What?");
  talk.Show(Picture(90));
  talk.Answer(5);
  return talk.Lines();
}

struct Case {
  std::string architecture;
  bool padded;
  std::string arithmetic;
};
class TinyBundle : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    absl::StatusOr<LoadedBundle> loaded =
        LoadBundle({.bundle_dir = Bundle(GetParam().architecture, GetParam().padded),
                    .threads = 2,
                    .arithmetic = GetParam().arithmetic,
                    .kv_bytes = 8 << 20},
                   CpuKinds(), Clock::Real());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    loaded_ = *std::move(loaded);
  }
  LoadedBundle loaded_;
};
INSTANTIATE_TEST_SUITE_P(Bundles, TinyBundle,
                         testing::Values(Case{"llama", false, "auto"}, Case{"llama", true, "int8"},
                                         Case{"qwen2", true, "fp32"}, Case{"qwen2", false, "bf16"},
                                         Case{"baichuan", true, "int16"}),
                         [](const auto& info) {
                           return info.param.architecture + (info.param.padded ? "_padded_" : "_") +
                                  info.param.arithmetic;
                         });

TEST_P(TinyBundle, WarmsUpAndSaysTheSameHoweverItIsGivenAndWhateverElseRuns) {
  Engine& engine = *loaded_.engine;
  ASSERT_TRUE(engine.WarmUp().ok());
  EXPECT_EQ(engine.info().bundle, "tiny");
  const std::vector<std::string> alone = TalkOf(engine, true);
  ASSERT_EQ(alone.size(), 6u);
  EXPECT_THAT(alone[0], HasSubstr("It shows"));
  EXPECT_THAT(alone[4], HasSubstr(" of "));
  // Beside one about other things.
  Talk other(engine, false);
  other.Say(Sound(2, 700));
  other.Answer(40);
  EXPECT_EQ(TalkOf(engine, false), alone);
  other.Lines();
}

TEST_P(TinyBundle, IsLeftInTheMiddleOfEverything) {
  auto conversation = loaded_.engine->StartConversation({});
  ASSERT_TRUE(conversation.ok()) << conversation.status();
  const auto listener = std::make_shared<Listener>();
  (*conversation)->AppendSpeech(Sound(3, 500), [](const absl::StatusOr<SpeechResult>&) {});
  (*conversation)->AppendFrame(Picture(1), [](const absl::StatusOr<FrameResult>&) {});
  (*conversation)->TranscribeEarly(Sound(1, 200));
  (*conversation)->Speculate();
  (*conversation)->Answer({.max_tokens = 50}, listener);
  conversation->reset();
  listener->Wait();
  EXPECT_EQ(listener->result().reason, FinishReason::kCancelled);
}

TEST_P(TinyBundle, DetectsSpeechInManyCallsAtOnce) {
  SpeechDetector& detector = *loaded_.speech_detector;
  const std::vector<float> sound = Sound(1, 300);
  std::vector<std::unique_ptr<SpeechDetector::State>> states;
  std::vector<SpeechDetector::Window> windows;
  for (int i = 0; i < 5; ++i) {
    states.push_back(detector.NewState());
    windows.push_back(
        {states.back().get(), absl::MakeConstSpan(sound).subspan(i * 100, SpeechDetector::kWindowSamples)});
  }
  ASSERT_TRUE(detector.Detect(absl::MakeSpan(windows)).ok());
  for (const SpeechDetector::Window& window : windows) {
    EXPECT_GE(window.probability, 0);
    EXPECT_LE(window.probability, 1);
  }
}

TEST(LoadBundle, ADeviceThatThisBuildDoesNotHaveIsRefusedByNameWithThoseItHas) {
  const absl::Status status =
      LoadBundle({.bundle_dir = Bundle("llama", false), .device = "tpu"}, CpuKinds(), Clock::Real()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'llama' on 'tpu'"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("on cpu"));
}

TEST(LoadBundle, OptionsOutOfRangeAreRefused) {
  const std::string folder = Bundle("llama", false);
  for (const LoadOptions& options : {LoadOptions{.bundle_dir = folder, .threads = -1},
                                     {.bundle_dir = folder, .threads = 1025},
                                     {.bundle_dir = folder, .arithmetic = "int3"},
                                     {.bundle_dir = folder, .kv_format = "int4"}}) {
    EXPECT_EQ(LoadBundle(options, CpuKinds(), Clock::Real()).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

// Every file cut at many places, and with bytes changed: an error or a bundle, never anything else.
TEST(LoadBundle, DamagedFilesAreErrors) {
  const std::string good = Bundle("qwen2", true);
  const std::string folder = BundlesFolder() + "/damaged";
  for (const char* name : {"parley.json", "language_model/config.json", "language_model/tokenizer.json",
                           "language_model/model.safetensors", "audio_encoder/config.json",
                           "audio_encoder/tokenizer.json", "audio_encoder/model.safetensors",
                           "vision_encoder/labels.json", "speech_detector/model.safetensors"}) {
    std::ifstream file(good + "/" + name, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ASSERT_FALSE(bytes.empty()) << name;
    for (int i = 0; i < 3; ++i) {
      std::filesystem::remove_all(folder);
      std::filesystem::copy(good, folder, std::filesystem::copy_options::recursive);
      std::string damaged = bytes.substr(0, bytes.size() * i / 3);
      if (i == 2) {
        // Not in the weights themselves, which may be anything.
        damaged = bytes;
        for (size_t at = 5; at < std::min<size_t>(bytes.size(), 2000); at += 37) damaged[at] ^= 0x11;
      }
      std::ofstream(folder + "/" + name, std::ios::binary) << damaged;
      const absl::StatusOr<LoadedBundle> loaded =
          LoadBundle({.bundle_dir = folder, .threads = 1, .kv_bytes = 1 << 20}, CpuKinds(), Clock::Real());
      EXPECT_FALSE(loaded.ok()) << name << " " << i;
      EXPECT_THAT(std::string(loaded.status().message()), HasSubstr(std::filesystem::path(folder).string()));
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace parley::engine::assembly
