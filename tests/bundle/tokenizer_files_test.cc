#include "engine/bundle/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nlohmann/json.hpp"
#include "tests/bundle/files.h"

namespace parley::engine::bundle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Tokenizer() {
  return Json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": true}, {"id": 6, "content": "<tool>", "special": false}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3}, "merges": ["a b", ["ab", "b"]]}})");
}

TEST(TokenizerFilesTest, VocabularyMergesAndAddedTokensAreRead) {
  const auto data = TokenizerFromJson(Tokenizer().dump(), "tokenizer.json");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->model, "gpt2");
  EXPECT_EQ(data->pre_tokenizer, "gpt-2");
  EXPECT_THAT(data->tokens, ElementsAre("a", "b", "ab", "abb", "<|end|>", "", "<tool>"));
  EXPECT_EQ(data->kinds[0], text::TokenKind::kNormal);
  EXPECT_EQ(data->kinds[4], text::TokenKind::kControl);
  EXPECT_EQ(data->kinds[5], text::TokenKind::kUnused);
  EXPECT_EQ(data->kinds[6], text::TokenKind::kUserDefined);
  EXPECT_THAT(data->merges, ElementsAre("a b", "ab b"));
  EXPECT_FALSE(data->add_bos);
}

TEST(TokenizerFilesTest, PreTokenizersAreRecognised) {
  const std::string byte_level = R"({"type":"ByteLevel","use_regex":false})";
  const auto split = [&](const std::string& digits) {
    return R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|)" +
           digits + R"(| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},)" + byte_level +
           "]}";
  };
  const std::pair<std::string, std::string> cases[] = {
      {R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)" + byte_level +
           "]}",
       "smollm"},
      {split(R"(\\p{N})"), "qwen2"},
      {split(R"(\\p{N}{1,3})"), "llama-bpe"}};
  for (const auto& [pre_tokenizer, name] : cases) {
    Json json = Tokenizer();
    json["pre_tokenizer"] = Json::parse(pre_tokenizer);
    const auto data = TokenizerFromJson(json.dump(), "tokenizer.json");
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_EQ(data->pre_tokenizer, name);
  }
  Json json = Tokenizer();
  json["pre_tokenizer"] = {{"type", "Metaspace"}};
  const absl::Status status = TokenizerFromJson(json.dump(), "tokenizer.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Metaspace"));
}

TEST(TokenizerFilesTest, WhatIsWrongIsNamedWithItsFile) {
  const std::pair<const char*, Json> cases[] = {
      {"/model/vocab/a", "zero"},  {"/model/vocab/a", -1},        {"/model/vocab/a", int64_t{1} << 40},
      {"/model/merges", 3},        {"/model/merges/0", 7},        {"/model/type", "WordPiece"},
      {"/added_tokens/0/id", "x"}, {"/model/byte_fallback", true}};
  for (const auto& [pointer, value] : cases) {
    Json json = Tokenizer();
    json[Json::json_pointer(pointer)] = value;
    const absl::Status status = TokenizerFromJson(json.dump(), "tokenizer.json").status();
    EXPECT_FALSE(status.ok()) << pointer;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer.json"));
  }
  EXPECT_EQ(TokenizerFromJson("{", "tokenizer.json").status().code(), absl::StatusCode::kDataLoss);
}

TEST(TokenizerFilesTest, AFolderAddsSpecialTokensAndTheChatTemplate) {
  TemporaryFolder folder;
  Json tokenizer = Tokenizer();
  tokenizer["post_processor"] = Json::parse(
      R"({"type":"Sequence","processors":[{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}}]}]})");
  folder.Write("tokenizer.json", tokenizer.dump());
  folder.Write("tokenizer_config.json",
               R"({"bos_token":"a","eos_token":{"content":"<|end|>"},"chat_template":"{{x}}"})");
  EXPECT_FALSE(TokenizerFromJson(tokenizer.dump(), "tokenizer.json")->add_bos);  // it knows no bos
  auto files = TokenizerFromFolder(folder.path());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->tokenizer.bos, 0);
  EXPECT_EQ(files->tokenizer.eos, 4);
  EXPECT_TRUE(files->tokenizer.add_bos);
  EXPECT_EQ(files->chat_template, "{{x}}");

  folder.Write("tokenizer_config.json", "{}");
  folder.Write("generation_config.json", R"({"eos_token_id":[4,6]})");
  folder.Write("chat_template.jinja", "{{y}}");
  files = TokenizerFromFolder(folder.path());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->tokenizer.bos, -1);
  EXPECT_EQ(files->tokenizer.eos, 4);
  EXPECT_FALSE(files->tokenizer.add_bos);
  EXPECT_EQ(files->chat_template, "{{y}}");
}

}  // namespace
}  // namespace parley::engine::bundle
