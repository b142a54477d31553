// Decoding in child processes, with FFmpeg in them: what comes out is what VideoInput gives.
#include "streaming/decoders/process_decoders.h"

#include <gmock/gmock.h>

#include "tests/decoders/decoding.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using parley::tests::EncodeStill;
using parley::tests::EncodeStream;
using parley::tests::TestPicture;
using testing::HasSubstr;

std::unique_ptr<ProcessDecoders> StartDecoders() {
  auto decoders = ProcessDecoders::Start({.program = PARLEY_DECODER_BINARY});
  EXPECT_TRUE(decoders.ok()) << decoders.status();
  return *std::move(decoders);
}

TEST(ProcessDecoders, AStillIsDecodedAsItIsInProcess) {
  const auto decoders = StartDecoders();
  for (const VideoCodec codec : {VideoCodec::kJpeg, VideoCodec::kPng}) {
    const std::string data = EncodeStill(codec, TestPicture(641, 479, 3));
    const auto expected = (*VideoInput::Create(codec, kMaxPixels))->Decode(data, 0, true);
    ASSERT_TRUE(expected.ok());
    const auto decoder = Open(*decoders, codec);
    for (int i = 0; i < 3; ++i) {
      const auto image = Decode(*decoder, data);
      ASSERT_TRUE(image.ok()) << image.status();
      ASSERT_EQ((*image)->width, 641);
      ASSERT_EQ((*image)->height, 479);
      EXPECT_EQ((*image)->pixels, (*expected)->pixels);
    }
  }
}

}  // namespace
}  // namespace parley::streaming
