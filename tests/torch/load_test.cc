// The bundle parley-small as the engine: loaded, asked, and refused when its files are not as they should be.
#include "engine/torch/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"

namespace parley::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string BundleFolder() {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  return folder == nullptr ? "" : folder;
}

absl::StatusOr<LoadedBundle> Load(const std::string& folder) {
  LoadOptions options;
  options.bundle_dir = folder;
  options.arithmetic = "fp32";
  return LoadTorchBundle(options, Clock::Real());
}

class Listener final : public AnswerListener {
 public:
  void OnText(std::string text, int) override { text_ += text; }
  void OnDone(const AnswerResult& result) override {
    result_ = result;
    done_.Notify();
  }
  const std::string& Wait() {
    done_.WaitForNotification();
    return text_;
  }
  const AnswerResult& result() const { return result_; }

 private:
  std::string text_;
  AnswerResult result_;
  absl::Notification done_;
};

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

// The bundle's folder with some files changed, as links to the rest.
class ChangedBundle : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs::exists(BundleFolder() + "/parley.json")) << "PARLEY_MODEL_DIR='" << BundleFolder() << "'";
    folder_ = fs::path(testing::TempDir()) / "parley_changed_bundle";
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
  fs::remove(folder_ / "audio_tower/model.safetensors");
  ExpectRefused(absl::StatusCode::kNotFound, "audio_tower/model.safetensors");
}

TEST_F(ChangedBundle, AHalfCopiedFileIsNamed) {
  Change("language_model/model.gguf", [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
  ExpectRefused(absl::StatusCode::kDataLoss, "language_model/model.gguf");
}

TEST_F(ChangedBundle, AFlippedBitIsFound) {
  Change("vision_tower/model.safetensors", [](std::string& bytes) { bytes[bytes.size() / 2] ^= 4; });
  ExpectRefused(absl::StatusCode::kDataLoss, "vision_tower/model.safetensors");
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

TEST(LoadTest, OptionsOutOfRangeAreRefused) {
  LoadOptions options;
  options.bundle_dir = BundleFolder();
  options.threads = -1;
  EXPECT_EQ(LoadTorchBundle(options, Clock::Real()).status().code(), absl::StatusCode::kInvalidArgument);
  options.threads = 0;
  options.arithmetic = "int3";
  EXPECT_EQ(LoadTorchBundle(options, Clock::Real()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace parley::engine
