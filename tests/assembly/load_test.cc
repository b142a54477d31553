// The bundle parley-small as the engine: loaded, asked, and refused when its files are not as they should be.
#include "engine/assembly/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/assembly/talk.h"
#include "tests/reference/photo.h"
#include "tests/reference/wav.h"

namespace parley::engine::assembly {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string BundleFolder() {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  return folder == nullptr ? "" : folder;
}

absl::StatusOr<LoadedBundle> Load(const std::string& folder, const std::string& arithmetic = "fp32") {
  LoadOptions options;
  options.bundle_dir = folder;
  options.arithmetic = arithmetic;
  return LoadBundle(options, CpuKinds(), Clock::Real());
}

std::string Ask(Conversation& conversation, const std::string& question) {
  conversation.AppendText(
      question, [](absl::StatusOr<TextResult> result) { EXPECT_TRUE(result.ok()) << result.status(); });
  const auto listener = std::make_shared<Listener>();
  GenerationConfig config;
  config.max_tokens = 48;
  conversation.Answer(config, listener);
  const std::string text = listener->Wait();
  EXPECT_EQ(listener->result().reason, FinishReason::kEndOfTurn) << listener->result().status;
  return text;
}

TEST(LoadTest, TheBundleAnswersOverTwoTurns) {
  absl::StatusOr<LoadedBundle> loaded = Load(BundleFolder());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->engine->hears());
  EXPECT_TRUE(loaded->engine->sees());
  EXPECT_NE(loaded->speech_detector, nullptr);
  const EngineInfo& info = loaded->engine->info();
  EXPECT_EQ(info.bundle, "parley-small");
  EXPECT_THAT(info.arithmetic, HasSubstr("fp32"));
  EXPECT_EQ(info.context_tokens, 8192);
  ASSERT_TRUE(loaded->engine->WarmUp().ok());

  auto conversation = loaded->engine->StartConversation({});
  ASSERT_TRUE(conversation.ok()) << conversation.status();
  EXPECT_THAT(Ask(**conversation, "What is the capital of France?"), HasSubstr("Paris"));
  EXPECT_THAT(Ask(**conversation, "The picture shows an Egyptian cat. What animal do you see?"),
              HasSubstr("cat"));
}

// Speech, pictures and text, three turns of them.
std::unique_ptr<Talk> BeginTalk(Engine& engine, bool piecewise) {
  auto talk = std::make_unique<Talk>(engine, piecewise);
  talk->Show(parley::testing::ReadPhoto("coffee"));
  talk->Show(parley::testing::ReadPhoto("chelsea"));
  talk->Say(parley::testing::ReadClip("slt_capital"));
  talk->Answer(48);
  talk->Type("What animal do you see?");
  talk->Answer(48);
  talk->Show(parley::testing::ReadPhoto("motorcycle_left"));
  talk->Say(parley::testing::ReadClip("rms_color"));
  talk->Answer(48);
  return talk;
}

TEST(LoadTest, APiecewiseTalkEqualsOneGivenAtOnceTokenForTokenWhateverElseRuns) {
  absl::StatusOr<LoadedBundle> loaded = Load(BundleFolder(), "auto");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  Engine& engine = *loaded->engine;
  const std::vector<std::string> piecewise = BeginTalk(engine, true)->Lines();
  ASSERT_EQ(piecewise.size(), 9u);
  EXPECT_THAT(piecewise[2], HasSubstr("capital of France"));
  EXPECT_THAT(piecewise[6], HasSubstr("Paris"));
  EXPECT_THAT(piecewise[7], HasSubstr("cat"));
  EXPECT_EQ(BeginTalk(engine, false)->Lines(), piecewise);
  // Three at once, beside somebody's long answer: the chunks of prefill are cut in other places.
  auto other = engine.StartConversation({});
  ASSERT_TRUE(other.ok()) << other.status();
  (*other)->AppendText("Tell me a long story.", [](const absl::StatusOr<TextResult>&) {});
  const auto story = std::make_shared<Listener>();
  (*other)->Answer({.max_tokens = 300}, story);
  std::vector<std::unique_ptr<Talk>> talks;
  for (int i = 0; i < 3; ++i) talks.push_back(BeginTalk(engine, false));
  for (const auto& talk : talks) EXPECT_EQ(talk->Lines(), piecewise);
  story->Wait();
}

// The bundle's folder with some files changed, as links to the rest.
class ChangedBundle : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs::exists(BundleFolder() + "/parley.json")) << "PARLEY_MODEL_DIR='" << BundleFolder() << "'";
    folder_ = fs::path(::testing::TempDir()) / "parley_changed_bundle";
    fs::remove_all(folder_);
    for (const auto& entry : fs::recursive_directory_iterator(BundleFolder())) {
      const fs::path to = folder_ / fs::relative(entry.path(), BundleFolder());
      if (entry.is_directory()) {
        fs::create_directories(to);
      } else {
        fs::create_directories(to.parent_path());
        fs::create_symlink(fs::canonical(entry.path()), to);
      }
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Replaces a file by a changed copy.
  void Change(const std::string& name, void (*change)(std::string&)) {
    std::ifstream in(folder_ / name, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    fs::remove(folder_ / name);
    change(bytes);
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  void ExpectRefused(absl::StatusCode code, const std::string& named) {
    const absl::Status status = Load(folder_.string()).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
  }

  fs::path folder_;
};

TEST_F(ChangedBundle, AMissingFileIsNamed) {
  fs::remove(folder_ / "audio_encoder/model.safetensors");
  ExpectRefused(absl::StatusCode::kNotFound, "audio_encoder/model.safetensors");
}

TEST_F(ChangedBundle, AHalfCopiedFileIsNamed) {
  Change("language_model/model.gguf", [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
  ExpectRefused(absl::StatusCode::kDataLoss, "language_model/model.gguf");
}

TEST_F(ChangedBundle, AFlippedBitIsFound) {
  Change("vision_encoder/model.safetensors", [](std::string& bytes) { bytes[bytes.size() / 2] ^= 4; });
  ExpectRefused(absl::StatusCode::kDataLoss, "vision_encoder/model.safetensors");
}

TEST_F(ChangedBundle, AMissingFolderIsNamed) {
  fs::remove_all(folder_);
  ExpectRefused(absl::StatusCode::kNotFound, "parley.json");
}

// A user's own GGUF: parley.json that names nothing but the file.
TEST_F(ChangedBundle, AnyGgufAloneIsABundle) {
  Change("parley.json", [](std::string& json) {
    json =
        R"({"format":1,"name":"mine","language_model":{"kind":"gguf","file":"language_model/model.gguf"}})";
  });
  absl::StatusOr<LoadedBundle> loaded = Load(folder_.string());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(loaded->engine->hears());
  EXPECT_FALSE(loaded->engine->sees());
  EXPECT_EQ(loaded->speech_detector, nullptr);
  auto conversation = loaded->engine->StartConversation({});
  ASSERT_TRUE(conversation.ok()) << conversation.status();
  EXPECT_THAT(Ask(**conversation, "What is the capital of France?"), HasSubstr("Paris"));
}

}  // namespace
}  // namespace parley::engine::assembly
