#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "clients/cpp/media/source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "opus/opus.h"

namespace parley::client::media {
namespace {

using ::testing::HasSubstr;

const std::string kData = PARLEY_SOURCE_DIR "/tests/clients/data/";
const std::string kSample = PARLEY_SOURCE_DIR "/deploy/sample/sample_call.mp4";

struct Read {
  std::vector<Item> audio, video;
  bool in_order = true;
};

Read ReadAll(Source& source) {
  Read read;
  absl::Duration last;
  while (true) {
    auto item = source.Next();
    EXPECT_TRUE(item.ok()) << item.status();
    if (!item.ok() || !item->has_value()) return read;
    if ((*item)->due < last) read.in_order = false;
    last = (*item)->due;
    ((*item)->kind == Item::Kind::kAudio ? read.audio : read.video).push_back(std::move(**item));
  }
}

TEST(SourceTest, Mp4WithH264AndOpusGivesAnnexBAndTwentyMillisecondPackets) {
  auto source = Source::OpenFile(kSample, {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->video_format()->codec(), v1::VideoFormat::H264);
  EXPECT_EQ((*source)->audio_format()->codec(), v1::AudioFormat::OPUS);
  EXPECT_EQ((*source)->audio_format()->sample_rate_hz(), 48'000u);
  const Read read = ReadAll(**source);
  EXPECT_TRUE(read.in_order);
  EXPECT_EQ(read.video.size(), 114u);
  for (const Item& frame : read.video) EXPECT_TRUE(absl::StartsWith(frame.data, std::string("\0\0\0\1", 4)));
  ASSERT_NEAR(read.audio.size(), 570, 2);
  for (size_t i = 0; i < read.audio.size(); ++i) {
    EXPECT_EQ(read.audio[i].first_sample_index, i * 960);
    const auto* data = reinterpret_cast<const unsigned char*>(read.audio[i].data.data());
    EXPECT_EQ(opus_packet_get_nb_samples(data, read.audio[i].data.size(), 48'000), 960);
  }
}

TEST(SourceTest, AChunkIsCapturedAndDueWithItsLastSample) {
  auto source = Source::OpenFile(kData + "tone.wav", {});
  ASSERT_TRUE(source.ok()) << source.status();
  const Read read = ReadAll(**source);
  ASSERT_FALSE(read.audio.empty());
  EXPECT_EQ(read.audio[0].captured, absl::Milliseconds(20));
  EXPECT_EQ(read.audio[0].due, absl::Milliseconds(20));
}

TEST(SourceTest, PcmIsResampledToWholeChunksAndPaddedAtTheEnd) {
  auto source = Source::OpenFile(kData + "tone.wav", {.audio_codec = AudioCodec::kPcm16});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->audio_format()->codec(), v1::AudioFormat::PCM16);
  EXPECT_FALSE((*source)->video_format().has_value());
  const Read read = ReadAll(**source);
  EXPECT_EQ(read.audio.size(), 17u);  // 0.33 s
  for (const Item& chunk : read.audio) EXPECT_EQ(chunk.data.size(), 1'920u);
}

TEST(SourceTest, Vp9PassesAndVorbisBecomesOpus) {
  auto source = Source::OpenFile(kData + "vp9_vorbis.webm", {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->video_format()->codec(), v1::VideoFormat::VP9);
  const Read read = ReadAll(**source);
  EXPECT_EQ(read.video.size(), 5u);
  EXPECT_NEAR(read.audio.size(), 25, 1);
}

TEST(SourceTest, OtherVideoBecomesJpegAtABoundedRateWithItsRotation) {
  auto source = Source::OpenFile(kData + "rotated_mpeg4.mp4", {.stills_per_second = 5});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->video_format()->codec(), v1::VideoFormat::JPEG);
  const Read read = ReadAll(**source);
  EXPECT_EQ(read.video.size(), 5u);
  for (const Item& still : read.video) {
    EXPECT_TRUE(absl::StartsWith(still.data, "\xff\xd8\xff"));
    EXPECT_EQ(still.rotation_degrees, 270u);  // as ffmpeg itself shows the file: transpose=cclock
  }
}

TEST(SourceTest, WhatIsNotMediaIsNamed) {
  auto missing = Source::OpenFile("/nonexistent/film.mp4", {});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nonexistent/film.mp4"));
  auto text = Source::OpenFile(PARLEY_SOURCE_DIR "/LICENSE", {});
  EXPECT_FALSE(text.ok());
}

TEST(SourceTest, ATruncatedFileEndsWithoutHarmAndSaysWhatIsMissing) {
  std::ifstream whole(kSample, std::ios::binary);
  std::string bytes(200'000, '\0');
  whole.read(bytes.data(), bytes.size());
  const std::string path = testing::TempDir() + "/truncated.mp4";
  std::ofstream(path, std::ios::binary) << bytes;
  auto source = Source::OpenFile(path, {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_FALSE(ReadAll(**source).video.empty());
  EXPECT_GT((*source)->Missing(), absl::Seconds(1));
}

TEST(SourceTest, OfAWholeFileNothingIsMissingAndNothingOfOneThatIsLeftEarly) {
  for (const bool whole : {true, false}) {
    auto source = Source::OpenFile(kSample, {});
    ASSERT_TRUE(source.ok()) << source.status();
    if (whole) ReadAll(**source);
    EXPECT_EQ((*source)->Missing(), absl::ZeroDuration());
  }
}

TEST(SourceTest, AMachineWithoutTheDeviceSaysWhichAndHowToChoose) {
  auto camera = Source::OpenCamera("/dev/nonexistent-camera", {});
  EXPECT_THAT(std::string(camera.status().message()), HasSubstr("no camera '/dev/nonexistent-camera'"));
  EXPECT_THAT(std::string(camera.status().message()), HasSubstr("--camera DEVICE"));
  auto microphone = Source::OpenMicrophone("nonexistent-microphone", {});
  EXPECT_THAT(std::string(microphone.status().message()),
              HasSubstr("no microphone 'nonexistent-microphone'"));
}

TEST(StillTest, OnlyPicturesTheServerTakesAreRead) {
  EXPECT_EQ(ReadStill(PARLEY_SOURCE_DIR "/LICENSE").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadStill("/nonexistent.jpg").status().code(), absl::StatusCode::kNotFound);
  const std::string path = testing::TempDir() + "/tiny.png";
  std::ofstream(path, std::ios::binary) << "\x89PNG\r\n\x1a\n and so on";
  EXPECT_EQ(ReadStill(path)->codec, v1::VideoFormat::PNG);
}

}  // namespace
}  // namespace parley::client::media
