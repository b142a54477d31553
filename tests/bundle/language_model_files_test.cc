#include "engine/bundle/language_model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/bundle/language_model_shape.h"
#include "nlohmann/json.hpp"
#include "tests/bundle/files.h"

namespace parley::engine::bundle {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Config() {
  return {{"model_type", "llama"},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 100},
          {"rms_norm_eps", 1e-5},
          {"max_position_embeddings", 256},
          {"tie_word_embeddings", false},
          {"rope_theta", 10000.0}};
}

TEST(LanguageModelShapeTest, AConfigurationGivesTheShape) {
  const auto shape = ShapeFromConfig(Config().dump(), "config.json");
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_EQ(shape->layers, 2);
  EXPECT_EQ(shape->head_dim, 16);
  EXPECT_EQ(shape->kv_heads, 2);
  EXPECT_EQ(shape->rope_frequencies.size(), 8u);
  EXPECT_FALSE(shape->tied_head);
}

TEST(LanguageModelShapeTest, WhatTheEngineDoesNotRunIsNamed) {
  struct Case {
    Json change;
    absl::StatusCode code;
    const char* named;
  };
  const Case cases[] = {
      {{{"model_type", "mixtral"}}, absl::StatusCode::kUnimplemented, "mixtral"},
      {{{"hidden_act", "gelu"}}, absl::StatusCode::kUnimplemented, "gelu"},
      {{{"mlp_bias", true}}, absl::StatusCode::kUnimplemented, "mlp_bias"},
      {{{"use_sliding_window", true}}, absl::StatusCode::kUnimplemented, "use_sliding_window"},
      {{{"quantization_config", Json::object()}}, absl::StatusCode::kUnimplemented, "quantization_config"},
      {{{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}},
       absl::StatusCode::kUnimplemented,
       "yarn"},
      {{{"num_attention_heads", 0}}, absl::StatusCode::kInvalidArgument, "num_attention_heads"},
      {{{"num_key_value_heads", 3}}, absl::StatusCode::kInvalidArgument, "no multiple of 3"},
      {{{"hidden_size", "64"}}, absl::StatusCode::kInvalidArgument, "hidden_size"},
      {{{"rope_theta", -1}}, absl::StatusCode::kInvalidArgument, "rope_theta"},
      {{{"rms_norm_eps", 0}}, absl::StatusCode::kInvalidArgument, "rms_norm_eps"},
  };
  for (const Case& one : cases) {
    Json config = Config();
    config.update(one.change);
    const absl::Status status = ShapeFromConfig(config.dump(), "config.json").status();
    EXPECT_EQ(status.code(), one.code) << one.change << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.named));
    EXPECT_THAT(std::string(status.message()), HasSubstr("config.json"));
  }
}

TEST(LanguageModelFilesTest, PackedAndSeparateProjectionsAreTheSameWeights) {
  const auto separate = LanguageModelFiles::OpenFolder(SourcePath("reference/tiny_models/tiny_qwen2"));
  const auto packed = LanguageModelFiles::OpenFolder(SourcePath("reference/tiny_models/tiny_packed"));
  ASSERT_TRUE(separate.ok()) << separate.status();
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_TRUE(packed->shape().qkv_bias);
  for (Weight weight : {Weight::kQuery, Weight::kKey, Weight::kValue, Weight::kQueryBias, Weight::kKeyBias,
                        Weight::kValueBias, Weight::kDown}) {
    for (int layer = 0; layer < 2; ++layer) {
      EXPECT_EQ(separate->Floats(weight, layer).value(), packed->Floats(weight, layer).value());
    }
  }
}

TEST(LanguageModelFilesTest, AWeightThatIsMissingOrOfAnotherShapeIsNamed) {
  const std::string config = ReadBytes(SourcePath("reference/tiny_models/tiny_qwen2/config.json"));
  const std::string weights = ReadBytes(SourcePath("reference/tiny_models/tiny_qwen2/model.safetensors"));
  TemporaryFolder folder;
  folder.Write("model.safetensors", weights);

  Json deeper = Json::parse(config);
  deeper["num_hidden_layers"] = 3;
  folder.Write("config.json", deeper.dump());
  const absl::Status missing = LanguageModelFiles::OpenFolder(folder.path()).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("model.layers.2."));

  Json wider = Json::parse(config);
  wider["intermediate_size"] = 32;
  folder.Write("config.json", wider.dump());
  const absl::Status shape = LanguageModelFiles::OpenFolder(folder.path()).status();
  EXPECT_EQ(shape.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(shape.message()), HasSubstr("gate_proj"));

  folder.Write("config.json", config);
  folder.Write("model.safetensors", weights.substr(0, weights.size() / 2));
  EXPECT_EQ(LanguageModelFiles::OpenFolder(folder.path()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(LanguageModelFilesTest, AGgufOfAnotherArchitectureIsNamed) {
  std::string bytes = ReadBytes(SourcePath("reference/tiny_gguf/llama.gguf"));
  bytes.replace(bytes.find("llama"), 5, "gemma");  // the value of general.architecture is the first
  TemporaryFolder folder;
  folder.Write("gemma.gguf", bytes);
  const absl::Status status =
      LanguageModelFiles::Open({.kind = "gguf", .path = folder.path() + "/gemma.gguf"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("gemma.gguf"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("'gemma'"));
}

TEST(LanguageModelFilesTest, AGgufWithoutTheKeysOfItsArchitectureIsNamed) {
  // types.gguf calls itself a Llama and has none of its keys.
  const auto gguf = Gguf::Open(SourcePath("bundle/data/types.gguf"));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const absl::Status status = ShapeFromGguf(*gguf).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("llama.block_count"));
}

}  // namespace
}  // namespace parley::engine::bundle
