#include "engine/bundle/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/bundle/files.h"

namespace parley::engine::bundle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file with the header and nothing else in it.
std::string Header(uint32_t version, uint64_t tensors, uint64_t keys) {
  std::string bytes = "GGUF";
  Append(bytes, version);
  Append(bytes, tensors);
  Append(bytes, keys);
  return bytes;
}
void AppendString(std::string& bytes, const std::string& text) {
  Append<uint64_t>(bytes, text.size());
  bytes += text;
}
void AppendTensor(std::string& bytes, const std::string& name, std::vector<uint64_t> innermost_first,
                  uint32_t type, uint64_t offset) {
  AppendString(bytes, name);
  Append<uint32_t>(bytes, static_cast<uint32_t>(innermost_first.size()));
  for (uint64_t extent : innermost_first) Append(bytes, extent);
  Append(bytes, type);
  Append(bytes, offset);
}
void Pad(std::string& bytes) { bytes.resize((bytes.size() + 31) / 32 * 32); }

absl::Status ParseStatus(const std::string& bytes) {
  return Gguf::Parse(AsBytes(bytes), "file.gguf").status();
}

TEST(GgufTest, EveryTypeDequantisesToTheGgufPackagesValues) {
  const auto gguf = Gguf::Open(SourcePath("bundle/data/types.gguf"));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const auto expected = nlohmann::json::parse(ReadBytes(SourcePath("bundle/data/types.json")));
  ASSERT_EQ(expected["tensors"].size(), 11u);
  for (const auto& [name, values] : expected["tensors"].items()) {
    const auto view = gguf->Tensor(name);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_THAT(view->shape, ElementsAre(expected["rows"], expected["columns"])) << name;
    std::vector<float> floats(static_cast<size_t>(view->values()));
    ASSERT_TRUE(Dequantize(*view, absl::MakeSpan(floats)).ok());
    for (size_t i = 0; i < values.size(); ++i) {
      const float value = values[i].get<float>();
      EXPECT_NEAR(floats[i * expected["stride"].get<size_t>()], value, 1e-6 * std::max(1.0f, std::abs(value)))
          << name;
    }
  }
}

TEST(GgufTest, MetadataOfEveryKindIsRead) {
  const auto gguf = Gguf::Open(SourcePath("bundle/data/types.gguf"));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->String("general.architecture").value(), "llama");
  EXPECT_EQ(gguf->String("test.text").value(), "grüße");
  EXPECT_THAT(gguf->Strings("test.strings").value(), ElementsAre("a", "", "ü"));
  EXPECT_THAT(gguf->Ints("test.integers").value(), ElementsAre(1, -2, 3));
  EXPECT_THAT(gguf->Floats("test.floats").value(), ElementsAre(0.5, -1.25));
  EXPECT_EQ(gguf->Int("test.uint32").value(), 7);
  EXPECT_EQ(gguf->Float("test.float32").value(), 0.5);
  EXPECT_TRUE(gguf->Bool("test.bool").value());
  EXPECT_EQ(gguf->Int("test.text").status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Status missing = gguf->Int("test.nothing").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("test.nothing"));
}

TEST(GgufTest, AFileCutAnywhereIsDataLossAndNeverRead) {
  const std::string whole = ReadBytes(SourcePath("bundle/data/types.gguf"));
  ASSERT_TRUE(ParseStatus(whole).ok());
  for (size_t length = 0; length < whole.size(); length += length < 1500 ? 1 : 97) {
    const std::string cut = whole.substr(0, length);
    const absl::Status status = ParseStatus(cut);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("file.gguf"));
  }
}

TEST(GgufTest, OtherFilesAndVersionsAreNamed) {
  EXPECT_THAT(std::string(ParseStatus("this is not the file you want").message()),
              HasSubstr("not a GGUF file"));
  const absl::Status version = ParseStatus(Header(4, 0, 0));
  EXPECT_EQ(version.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(version.message()), HasSubstr("version 4"));
}

TEST(GgufTest, CountsBeyondTheFileReserveNothing) {
  EXPECT_EQ(ParseStatus(Header(3, UINT64_MAX, 0)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseStatus(Header(3, 0, UINT64_MAX)).code(), absl::StatusCode::kDataLoss);
  std::string array = Header(3, 0, 1);
  AppendString(array, "k");
  Append<uint32_t>(array, 9);   // an array
  Append<uint32_t>(array, 10);  // of u64
  Append<uint64_t>(array, UINT64_MAX / 8);
  EXPECT_EQ(ParseStatus(array).code(), absl::StatusCode::kDataLoss);
  std::string text = Header(3, 0, 1);
  Append<uint64_t>(text, UINT64_MAX);  // the key's length
  text += "abcdefghijklmnop";
  EXPECT_EQ(ParseStatus(text).code(), absl::StatusCode::kDataLoss);
}

TEST(GgufTest, ATensorOutsideTheFileIsNamed) {
  for (uint64_t offset : {uint64_t{32}, uint64_t{1} << 63, UINT64_MAX}) {
    std::string bytes = Header(3, 1, 0);
    AppendTensor(bytes, "w", {8}, 0, offset);
    Pad(bytes);
    bytes.append(32, '\0');
    const absl::Status status = ParseStatus(bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("'w'"));
  }
}

TEST(GgufTest, ImpossibleShapesAreNamed) {
  for (const auto& [extents, type] :
       std::vector<std::pair<std::vector<uint64_t>, uint32_t>>{{{UINT64_MAX, UINT64_MAX}, 0},
                                                               {{uint64_t{1} << 40, uint64_t{1} << 40}, 0},
                                                               {{33}, 2},
                                                               {{1, 1, 1, 1, 1}, 0}}) {
    std::string bytes = Header(3, 1, 0);
    AppendTensor(bytes, "w", extents, type, 0);
    Pad(bytes);
    bytes.append(64, '\0');
    const absl::Status status = ParseStatus(bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("'w'"));
  }
}

TEST(GgufTest, ATensorOfATypeThatIsNotReadIsNamedWhenItIsAskedFor) {
  std::string bytes = Header(3, 2, 0);
  AppendTensor(bytes, "fine", {8}, 0, 0);
  AppendTensor(bytes, "odd", {256}, 23, 32);
  Pad(bytes);
  bytes.append(200, '\0');
  const auto gguf = Gguf::Parse(AsBytes(bytes), "file.gguf");
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_TRUE(gguf->Tensor("fine").ok());
  const absl::Status odd = gguf->Tensor("odd").status();
  EXPECT_EQ(odd.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(odd.message()), HasSubstr("IQ4_XS"));
  EXPECT_EQ(gguf->Tensor("none").status().code(), absl::StatusCode::kNotFound);
}

TEST(GgufTest, ATensorThatStandsTwiceIsCorrupt) {
  std::string bytes = Header(3, 2, 0);
  AppendTensor(bytes, "w", {8}, 0, 0);
  AppendTensor(bytes, "w", {8}, 0, 0);
  Pad(bytes);
  bytes.append(32, '\0');
  EXPECT_EQ(ParseStatus(bytes).code(), absl::StatusCode::kDataLoss);
}

TEST(GgufTest, AMissingFileIsNotFoundByName) {
  const absl::Status status = Gguf::Open("/nonexistent/model.gguf").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/model.gguf"));
}

}  // namespace
}  // namespace parley::engine::bundle
