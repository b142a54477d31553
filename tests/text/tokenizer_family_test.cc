// Llama 3's and Qwen2's tokenizers against their own, on 400 lines of many scripts, digits, emoji and code:
// tests/reference/tokenizer_families.py has written the lines, the ids, and the part of the vocabularies that
// can come up in them.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/text/tokenizer.h"

namespace parley::engine::text {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class TokenizerFamilyTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, TokenizerFamilyTest, testing::Values("llama3", "qwen2"),
                         [](const auto& info) { return info.param; });

TEST_P(TokenizerFamilyTest, EncodesToTheIdsOfItsOwnTokenizer) {
  const std::string folder = PARLEY_SOURCE_DIR "/tests/reference/tokenizers/" + GetParam();
  const auto data = bundle::TokenizerFromJson(ReadAll(folder + "/tokenizer.json"), "tokenizer.json");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->pre_tokenizer, GetParam() == "llama3" ? "llama-bpe" : "qwen2");
  const auto tokenizer = Tokenizer::Create(*data);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();

  const std::string expected = ReadAll(folder + "/ids.bin");
  int lines = 0;
  for (size_t at = 0; at < expected.size(); ++lines) {
    const auto count = [&] {
      uint16_t value = 0;
      std::memcpy(&value, expected.data() + at, sizeof value);
      at += sizeof value;
      return value;
    };
    const size_t size = count();
    const std::string line = expected.substr(at, size);
    at += size;
    std::vector<TokenId> ids(count());
    std::memcpy(ids.data(), expected.data() + at, ids.size() * sizeof(TokenId));
    at += ids.size() * sizeof(TokenId);
    EXPECT_EQ((*tokenizer)->Encode(line, SpecialTokens::kRefuse), ids) << absl::CHexEscape(line);
    EXPECT_EQ((*tokenizer)->DecodeAll(ids), line);
  }
  EXPECT_GT(lines, 300);
}

}  // namespace
}  // namespace parley::engine::text
