// The tokenizer against Hugging Face `tokenizers`, both ways, on the language model's own vocabulary. The
// lines and what they become are written by tests/reference/tokenizer_reference.py.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/bundle/gguf.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace parley::engine::text {
namespace {

struct ReferenceLine {
  bool special = false;
  std::string bytes;
  std::vector<TokenId> ids;
  std::string decoded;
};

class Reader {
 public:
  explicit Reader(std::string data) : data_(std::move(data)) {}
  template <typename T>
  T Read() {
    T value;
    std::memcpy(&value, data_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string Bytes(size_t size) {
    at_ += size;
    return data_.substr(at_ - size, size);
  }
  std::vector<ReferenceLine> Lines() {
    std::vector<ReferenceLine> lines(Read<uint32_t>());
    for (ReferenceLine& line : lines) {
      line.special = Read<uint8_t>() != 0;
      line.bytes = Bytes(Read<uint16_t>());
      line.ids.resize(Read<uint16_t>());
      for (TokenId& id : line.ids) id = Read<uint16_t>();
      const uint16_t size = Read<uint16_t>();
      line.decoded = size == 0xFFFF ? line.bytes : Bytes(size);
    }
    return lines;
  }

 private:
  const std::string data_;
  size_t at_ = 0;
};

class TokenizerParityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* bundle = std::getenv("PARLEY_MODEL_DIR");
    ASSERT_TRUE(bundle != nullptr && *bundle != '\0') << "set PARLEY_MODEL_DIR to the parley-small bundle";
    auto gguf = bundle::Gguf::Open(absl::StrCat(bundle, "/language_model/model.gguf"));
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    auto data = bundle::TokenizerFromGguf(*gguf);
    ASSERT_TRUE(data.ok()) << data.status();
    auto tokenizer = Tokenizer::Create(data->tokenizer);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);

    std::ifstream file(PARLEY_SOURCE_DIR "/tests/reference/tokenizer_smollm2.bin", std::ios::binary);
    Reader reader(std::string(std::istreambuf_iterator<char>(file), {}));
    lines_ = reader.Lines();
    random_ids_ = reader.Lines();
    ASSERT_EQ(lines_.size(), 2000u);
    ASSERT_EQ(random_ids_.size(), 200u);
  }

  // As an answer's text is made, token by token. Control tokens come out by name in the reference.
  std::string Text(const std::vector<TokenId>& ids) const {
    Detokenizer detokenizer;
    std::string text;
    for (const TokenId id : ids) {
      const std::string more = detokenizer.Add(tokenizer_->Decode(id));
      EXPECT_TRUE(IsValidUtf8(more));
      text += more;
    }
    return text + detokenizer.Finish();
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<ReferenceLine> lines_;
  std::vector<ReferenceLine> random_ids_;
};

TEST_F(TokenizerParityTest, EncodesTwoThousandLinesToTheSameIds) {
  for (const ReferenceLine& line : lines_) {
    const auto special = line.special ? SpecialTokens::kAllow : SpecialTokens::kRefuse;
    ASSERT_EQ(tokenizer_->Encode(line.bytes, special), line.ids) << absl::CHexEscape(line.bytes);
  }
}

TEST_F(TokenizerParityTest, DecodesTheirIdsToTheSameText) {
  int compared = 0;
  for (const ReferenceLine& line : lines_) {
    if (line.special) continue;  // there the reference writes the special tokens' names
    ASSERT_EQ(Text(line.ids), line.decoded) << absl::CHexEscape(line.bytes);
    ++compared;
  }
  EXPECT_GT(compared, 1800);
}

TEST_F(TokenizerParityTest, DecodesRandomIdsToTheSameText) {
  for (const ReferenceLine& line : random_ids_) ASSERT_EQ(Text(line.ids), line.decoded);
}

TEST_F(TokenizerParityTest, GivesBackTheBytesOfEveryLineThatTheVocabularyCovers) {
  bool covered[256];
  for (int byte = 0; byte < 256; ++byte) {
    covered[byte] =
        !tokenizer_->Encode(std::string(1, static_cast<char>(byte)), SpecialTokens::kRefuse).empty();
  }
  for (const ReferenceLine& line : lines_) {
    std::string expected;
    for (const char byte : line.bytes) {
      if (covered[static_cast<uint8_t>(byte)]) expected += byte;
    }
    ASSERT_EQ(tokenizer_->DecodeAll(tokenizer_->Encode(line.bytes, SpecialTokens::kRefuse)), expected);
  }
}

}  // namespace
}  // namespace parley::engine::text
