#include "engine/bundle/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nlohmann/json.hpp"
#include "tests/bundle/files.h"

namespace parley::engine::bundle {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Whole() {
  return Json::parse(R"({
    "format": 1, "name": "test",
    "language_model": {"kind": "gguf", "file": "language_model/model.gguf"},
    "audio_encoder": {"kind": "whisper", "folder": "audio_encoder"},
    "audio_bridge": {"kind": "transcript", "language": "en"},
    "vision_encoder": {"kind": "efficientnet-lite0", "folder": "vision_encoder"},
    "vision_bridge": {"kind": "labels", "labels": 2, "minimum": 0.1, "template": "It shows {labels}.", "otherwise": ""},
    "speech_detector": {"kind": "silero", "file": "speech_detector/model.safetensors"},
    "prompt": {"template": "auto", "system": "You are helpful."},
    "files": {}})");
}

// SHA-256 of "abc" (FIPS 180-2, appendix B.1).
constexpr char kAbcSha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(ManifestTest, OldNamesOfEncodersAreTakenWithAWarning) {
  Json json = Whole();
  json["audio_tower"] = json["audio_encoder"];
  json["vision_tower"] = json["vision_encoder"];
  EXPECT_THAT(ParseManifest(json.dump(), "/b").status().message(), HasSubstr("'audio_tower'"));
  json.erase("audio_encoder");
  json.erase("vision_encoder");
  const auto manifest = ParseManifest(json.dump(), "/b");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->audio_encoder->path, "/b/audio_encoder");
  EXPECT_EQ(manifest->vision_encoder->kind, "efficientnet-lite0");
  ASSERT_EQ(manifest->warnings.size(), 2u);
  EXPECT_THAT(manifest->warnings[0], HasSubstr("'audio_encoder'"));
}

TEST(ManifestTest, EveryPartIsRead) {
  const auto manifest = ParseManifest(Whole().dump(), "/b");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->name, "test");
  EXPECT_EQ(manifest->language_model.path, "/b/language_model/model.gguf");
  EXPECT_EQ(manifest->audio_encoder->path, "/b/audio_encoder");
  EXPECT_EQ(manifest->audio_bridge->language, "en");
  EXPECT_EQ(manifest->vision_bridge->labels, 2);
  EXPECT_FLOAT_EQ(manifest->vision_bridge->minimum, 0.1f);
  EXPECT_EQ(manifest->vision_bridge->prompt_template, "It shows {labels}.");
  EXPECT_EQ(manifest->speech_detector->path, "/b/speech_detector/model.safetensors");
  EXPECT_EQ(manifest->prompt.system, "You are helpful.");
}

TEST(ManifestTest, ALanguageModelAloneIsABundle) {
  const auto manifest = ParseManifest(
      R"({"format":1,"name":"n","language_model":{"kind":"gguf","file":"/models/any.gguf"}})", "/b");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->language_model.path, "/models/any.gguf");
  EXPECT_FALSE(manifest->audio_encoder.has_value());
  EXPECT_EQ(manifest->prompt.layout, "auto");
}

TEST(ManifestTest, WhatIsWrongIsNamedWithItsKey) {
  struct Case {
    const char* pointer;
    Json value;  // null: the key is taken out
    absl::StatusCode code;
    const char* named;
  };
  const Case cases[] = {
      {"/format", 2, absl::StatusCode::kUnimplemented, "'format' 2"},
      {"/format", "1", absl::StatusCode::kInvalidArgument, "'format'"},
      {"/name", Json(), absl::StatusCode::kInvalidArgument, "'name' is missing"},
      {"/language_model", Json(), absl::StatusCode::kInvalidArgument, "'language_model' is missing"},
      {"/language_model/kind", "onnx", absl::StatusCode::kUnimplemented, "'language_model.kind': 'onnx'"},
      {"/language_model/file", "", absl::StatusCode::kInvalidArgument, "'language_model.file' is empty"},
      {"/language_model/fiel", "x", absl::StatusCode::kInvalidArgument,
       "'language_model.fiel' is not a known key"},
      {"/audio_encoder/kind", "wav2vec", absl::StatusCode::kUnimplemented, "wav2vec"},
      {"/audio_bridge", Json(), absl::StatusCode::kInvalidArgument, "'audio_bridge'"},
      {"/vision_encoder", Json(), absl::StatusCode::kInvalidArgument, "'vision_bridge'"},
      {"/vision_bridge/labels", 0, absl::StatusCode::kInvalidArgument, "'vision_bridge.labels'"},
      {"/vision_bridge/minimum", 1.5, absl::StatusCode::kInvalidArgument, "'vision_bridge.minimum'"},
      {"/vision_bridge/template", "no place", absl::StatusCode::kInvalidArgument, "{labels}"},
      {"/speech_detector", 3, absl::StatusCode::kInvalidArgument, "'speech_detector' is not an object"},
      {"/files", Json::parse(R"({"a":{"bytes":-1,"sha256":"00"}})"), absl::StatusCode::kInvalidArgument,
       "files.a"},
      {"/tower", 1, absl::StatusCode::kInvalidArgument, "'tower' is not a known key"},
  };
  for (const Case& one : cases) {
    Json json = Whole();
    if (one.value.is_null()) {
      json.erase(std::string(one.pointer).substr(1));
    } else {
      json[Json::json_pointer(one.pointer)] = one.value;
    }
    const absl::Status status = ParseManifest(json.dump(), "/b").status();
    EXPECT_EQ(status.code(), one.code) << one.pointer << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.named)) << one.pointer;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/b/parley.json"));
  }
}

TEST(ManifestTest, AFolderThatIsMissingOrHalfWrittenIsNamed) {
  const absl::Status missing = ReadManifest("/nonexistent/bundle").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/nonexistent/bundle/parley.json"));
  TemporaryFolder folder;
  folder.Write("parley.json", Whole().dump().substr(0, 40));
  EXPECT_EQ(ReadManifest(folder.path()).status().code(), absl::StatusCode::kDataLoss);
  folder.Write("parley.json", "");
  EXPECT_EQ(ReadManifest(folder.path()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ManifestTest, ListedFilesAreCheckedBySizeAndSha256) {
  TemporaryFolder folder;
  BundleManifest manifest;
  manifest.folder = folder.path();
  manifest.files = {{"part/data", 3, kAbcSha256}};
  const absl::Status missing = VerifyFiles(manifest);
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("part/data"));

  folder.Write("part/data", "abc");
  EXPECT_TRUE(VerifyFiles(manifest).ok()) << VerifyFiles(manifest);
  for (const auto& [bytes, reason] :
       {std::pair<std::string, std::string>{"ab", "half copied"}, {"abd", "corrupt"}}) {
    folder.Write("part/data", bytes);
    const absl::Status status = VerifyFiles(manifest);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("part/data"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }
}

}  // namespace
}  // namespace parley::engine::bundle
