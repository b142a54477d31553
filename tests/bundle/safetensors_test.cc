#include "engine/bundle/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/bundle/files.h"

namespace parley::engine::bundle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::string File(const std::string& header, const std::string& data) {
  std::string bytes;
  Append<uint64_t>(bytes, header.size());
  return bytes + header + data;
}
std::string Floats(std::vector<float> values) {
  std::string bytes;
  for (float value : values) Append(bytes, value);
  return bytes;
}
absl::Status ParseStatus(const std::string& bytes) {
  return Safetensors::Parse(AsBytes(bytes), "file").status();
}

TEST(SafetensorsTest, TensorsAreFoundWithShapeTypeAndValues) {
  const std::string bytes = File(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},"s":{"dtype":"F16","shape":[],"data_offsets":[10,12]}})",
      Floats({1.5f, -2}) + std::string("\x80\x3f\x00\x3c", 4));
  const auto file = Safetensors::Parse(AsBytes(bytes), "file");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(file->names(), UnorderedElementsAre("a", "b", "s"));
  const auto a = file->Find("a", {2, 1});
  ASSERT_TRUE(a.ok()) << a.status();
  std::vector<float> values(2);
  ASSERT_TRUE(Dequantize(*a, absl::MakeSpan(values)).ok());
  EXPECT_THAT(values, ElementsAre(1.5f, -2));
  for (const char* one : {"b", "s"}) {
    std::vector<float> value(1);
    ASSERT_TRUE(Dequantize(*file->Find(one), absl::MakeSpan(value)).ok());
    EXPECT_EQ(value[0], 1) << one;
  }
  EXPECT_EQ(file->Find("c").status().code(), absl::StatusCode::kNotFound);
  const absl::Status shape = file->Find("a", {1, 2}).status();
  EXPECT_EQ(shape.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(shape.message()), HasSubstr("'a' is [2, 1], expected [1, 2]"));
}

TEST(SafetensorsTest, CorruptFilesAreDataLossByName) {
  const std::string data = Floats({1, 2});
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  ASSERT_TRUE(ParseStatus(File(good, data)).ok());
  const std::vector<std::string> corrupt = {
      "",
      "short",
      File(good, data).substr(0, 30),                                            // header cut
      File(good, data.substr(0, 7)),                                             // data cut
      File("[]", data),                                                          // no object
      File("{", data),                                                           // no JSON
      File(R"({"a":1})", data),                                                  // no entry
      File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", data),  // past the end
      File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", data),   // backwards
      File(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", data),   // another size
      File(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", data),  // negative
      File(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}})", data),
      File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e30]}})", data),
  };
  for (const std::string& bytes : corrupt) {
    const absl::Status status = ParseStatus(bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bytes;
    EXPECT_THAT(std::string(status.message()), HasSubstr("file"));
  }
  std::string huge = File(good, data);
  huge.replace(0, 8, std::string(8, '\xff'));
  EXPECT_EQ(ParseStatus(huge).code(), absl::StatusCode::kDataLoss);
}

TEST(SafetensorsTest, AnUnknownElementTypeIsNamed) {
  const absl::Status status =
      ParseStatus(File(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})", "ab"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("F8_E4M3"));
}

TEST(SafetensorsTest, ShardsOfAFolderAreOneSetOfTensors) {
  TemporaryFolder folder;
  folder.Write("x.safetensors",
               File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", Floats({1})));
  folder.Write("y.safetensors",
               File(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", Floats({2})));
  folder.Write("model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})");
  const auto file = Safetensors::OpenFolder(folder.path());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->Has("a"));
  EXPECT_TRUE(file->Has("b"));

  folder.Write("model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors","b":"z.safetensors"}})");
  const absl::Status missing = Safetensors::OpenFolder(folder.path()).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("z.safetensors"));

  folder.Write("model.safetensors.index.json", R"({"weight_map":{"a":"../x.safetensors"}})");
  EXPECT_EQ(Safetensors::OpenFolder(folder.path()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace parley::engine::bundle
