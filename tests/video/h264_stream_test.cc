// H.264 as encoders other than x264's defaults send it: several slices a picture, parameter sets apart.
#include "streaming/video/h264_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "streaming/video/video_input.h"
#include "tests/video/bit_writer.h"
#include "tests/video/h264_headers.h"
#include "tests/video/media_encoder.h"

namespace parley::streaming {
namespace {

using std::string_view_literals::operator""sv;
using ::testing::HasSubstr;
using tests::BitWriter;
using tests::DecodeWithFfmpeg;
using tests::Difference;
using tests::EncodeStream;
using tests::Pps;
using tests::SequenceSet;
using tests::Sps;
using tests::TestPicture;

constexpr int64_t kMaxPixels = 4096 * 4096;
constexpr double kTolerance = 12;
const std::string kStart("\0\0\0\1", 4);

std::unique_ptr<VideoInput> MakeInput(int64_t max_pixels = kMaxPixels) {
  auto input = VideoInput::Create(VideoCodec::kH264, max_pixels);
  EXPECT_TRUE(input.ok()) << input.status();
  return *std::move(input);
}

absl::StatusCode CodeOf(const absl::StatusOr<engine::ImagePtr>& picture) { return picture.status().code(); }

std::vector<std::string> Units(std::string_view frame) {
  std::vector<std::string> units;
  size_t start = frame.find("\0\0\1"sv);
  while (start != std::string_view::npos) {
    start += 3;
    const size_t next = frame.find("\0\0\1"sv, start);
    std::string_view unit = frame.substr(start, next == std::string_view::npos ? next : next - start);
    unit = unit.substr(0, unit.find_last_not_of('\0') + 1);
    units.emplace_back(unit);
    start = next;
  }
  return units;
}

std::string Join(const std::vector<std::string>& units) {
  std::string frame;
  for (const std::string& unit : units) frame += kStart + unit;
  return frame;
}

int TypeOf(const std::string& unit) { return unit[0] & 0x1f; }
bool IsSlice(const std::string& unit) { return TypeOf(unit) == 1 || TypeOf(unit) == 5; }
bool IsParameterSet(const std::string& unit) { return TypeOf(unit) == 7 || TypeOf(unit) == 8; }

std::string Only(const std::string& frame, bool (*keep)(const std::string&)) {
  std::vector<std::string> kept;
  for (const std::string& unit : Units(frame)) {
    if (keep(unit)) kept.push_back(unit);
  }
  return Join(kept);
}
std::string ParameterSets(const std::string& frame) { return Only(frame, &IsParameterSet); }
std::string Slices(const std::string& frame) { return Only(frame, &IsSlice); }

// The frame without one of its slices, counted from 0.
std::string Without(const std::string& frame, int slice) {
  std::vector<std::string> kept;
  for (const std::string& unit : Units(frame)) {
    if (!IsSlice(unit) || slice-- != 0) kept.push_back(unit);
  }
  return Join(kept);
}

int SliceCount(const std::string& frame) {
  const auto units = Units(frame);
  return static_cast<int>(std::count_if(units.begin(), units.end(), &IsSlice));
}

class EveryCoding : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(X264, EveryCoding,
                         ::testing::Values("slices=1:cabac=1", "slices=1:cabac=0", "slices=4:cabac=1",
                                           "slices=4:cabac=0", "slice-max-size=300:cabac=1",
                                           "slice-max-size=300:cabac=0", "slices=4:cabac=1:interlaced=1",
                                           "slices=3:cabac=0:interlaced=1"));

TEST_P(EveryCoding, EachPictureIsThatOfLibavcodec) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 12, .x264 = GetParam()});
  const auto expected = DecodeWithFfmpeg(VideoCodec::kH264, frames);
  ASSERT_EQ(expected.size(), frames.size());
  auto input = MakeInput();
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto picture = input->Decode(frames[i], 0, true);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    ASSERT_NE(*picture, nullptr) << i;
    EXPECT_EQ((*picture)->pixels, expected[i].pixels) << i;
  }
}

TEST_P(EveryCoding, APictureThatLacksASliceIsDamagedAndTheNextKeyFrameMendsIt) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 13, .key_interval = 6, .x264 = GetParam()});
  for (const size_t damaged : {0u, 3u}) {  // a key frame, and one that refers to others
    const int slices = SliceCount(frames[damaged]);
    for (int missing = 0; missing < slices; ++missing) {
      if (slices == 1) break;  // nothing is left
      auto input = MakeInput();
      for (size_t i = 0; i < damaged; ++i) ASSERT_TRUE(input->Decode(frames[i], 0, true).ok());
      const auto picture = input->Decode(Without(frames[damaged], missing), 0, true);
      EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument)
          << "slice " << missing << " of " << slices << " in frame " << damaged;
      EXPECT_EQ(CodeOf(input->Decode(frames[damaged + 1], 0, true)), absl::StatusCode::kUnavailable);
      const auto mended = input->Decode(frames[6], 0, true);
      ASSERT_TRUE(mended.ok()) << mended.status();
      EXPECT_LE(Difference(**mended, TestPicture(320, 240, 6)), kTolerance);
      EXPECT_TRUE(input->Decode(frames[7], 0, true).ok());
    }
  }
}

TEST_P(EveryCoding, ASliceThatIsCutShortIsDamage) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 2, .x264 = GetParam()});
  const auto expected = DecodeWithFfmpeg(VideoCodec::kH264, frames);
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto units = Units(frames[i]);
    for (size_t unit = 0; unit < units.size(); ++unit) {
      if (!IsSlice(units[unit])) continue;
      for (size_t size = 1; size + 8 < units[unit].size(); size += units[unit].size() / 16 + 1) {
        auto shortened = units;
        shortened[unit].resize(size);
        auto input = MakeInput();
        if (i == 1) {
          ASSERT_TRUE(input->Decode(frames[0], 0, true).ok());
        }
        const auto picture = input->Decode(Join(shortened), 0, true);
        if (picture.ok() && *picture != nullptr && (*picture)->pixels == expected[i].pixels) continue;
        EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument)
            << "frame " << i << " unit " << unit << " cut at " << size << " of " << units[unit].size();
      }
    }
  }
}

TEST(H264SlicesTest, ASliceSentTwiceDoesNotMakeUpForOneThatIsMissing) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 1, .x264 = "slices=4"});
  std::vector<std::string> units = Units(frames[0]);
  units[units.size() - 1] = units[units.size() - 2];
  EXPECT_EQ(CodeOf(MakeInput()->Decode(Join(units), 0, true)), absl::StatusCode::kInvalidArgument);
}

TEST(H264SlicesTest, NothingThatRefersToAPictureWithAMissingSliceIsShownBeforeIt) {
  const auto frames = EncodeStream(
      VideoCodec::kH264,
      {.frames = 16, .key_interval = 100, .b_frames = true, .x264 = "slices=4:b-adapt=0:scenecut=0"});
  for (size_t damaged = 1; damaged < 8; ++damaged) {
    auto input = MakeInput();
    for (size_t i = 0; i < damaged; ++i) ASSERT_TRUE(input->Decode(frames[i], 0, true).ok()) << i;
    EXPECT_EQ(CodeOf(input->Decode(Without(frames[damaged], 2), 0, true)), absl::StatusCode::kInvalidArgument)
        << damaged;
  }
}

TEST(H264SlicesTest, ADamagedPictureThatIsNotWantedIsAnErrorToo) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 4, .key_interval = 100, .x264 = "slices=4"});
  auto input = MakeInput();
  EXPECT_TRUE(input->Decode(frames[0], 0, true).ok());
  EXPECT_EQ(CodeOf(input->Decode(Without(frames[1], 3), 0, false)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(input->Decode(frames[2], 0, true)), absl::StatusCode::kUnavailable);
}

TEST(H264SlicesTest, AFrameThatNeverCameIsMissedByTheNext) {
  const auto frames = EncodeStream(VideoCodec::kH264, {.frames = 10, .key_interval = 100});
  auto input = MakeInput();
  for (size_t i = 0; i < 5; ++i) ASSERT_TRUE(input->Decode(frames[i], 0, true).ok()) << i;
  const auto picture = input->Decode(frames[6], 0, true);
  EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(picture.status().message()), HasSubstr("missing"));
}

TEST(H264SlicesTest, ALongStreamIsNeverTakenForOneWithMissingFrames) {
  const auto frames =
      EncodeStream(VideoCodec::kH264, {.width = 64, .height = 64, .frames = 300, .key_interval = 1'000});
  auto input = MakeInput();
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto picture = input->Decode(frames[i], 0, i % 7 == 0);
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
  }
}

TEST(H264SlicesTest, FramesWithoutIdrPicturesAreJoinedAtARecoveryPoint) {
  const auto frames = EncodeStream(
      VideoCodec::kH264,
      {.width = 160, .height = 128, .frames = 60, .key_interval = 10, .x264 = "intra-refresh=1:slices=2"});
  auto input = MakeInput();
  int shown = 0;
  for (size_t i = 5; i < frames.size(); ++i) {
    const auto picture = input->Decode(frames[i], 0, true);
    if (absl::IsUnavailable(picture.status()) && shown == 0) continue;
    ASSERT_TRUE(picture.ok()) << i << ": " << picture.status();
    if (*picture == nullptr) continue;
    EXPECT_LE(Difference(**picture, TestPicture(160, 128, static_cast<int>(i))), kTolerance) << i;
    ++shown;
  }
  EXPECT_GE(shown, 30);
}

// As Android's MediaCodec sends it: the parameter sets once, alone, in the first message.
class ParameterSetsApart : public ::testing::Test {
 protected:
  std::vector<std::string> Frames(int width = 320, int height = 240) {
    auto frames =
        EncodeStream(VideoCodec::kH264, {.width = width, .height = height, .frames = 14, .key_interval = 6});
    sets_ = ParameterSets(frames[0]);
    EXPECT_FALSE(sets_.empty());
    for (std::string& frame : frames) frame = Slices(frame);
    return frames;
  }
  void ExpectNoPicture(const std::string& message) {
    const auto picture = input_->Decode(message, 0, true);
    ASSERT_TRUE(picture.ok()) << picture.status();
    EXPECT_EQ(*picture, nullptr);
  }
  void ExpectShows(const std::string& message, int width, int height, size_t frame) {
    const auto picture = input_->Decode(message, 0, true);
    ASSERT_TRUE(picture.ok()) << frame << ": " << picture.status();
    ASSERT_NE(*picture, nullptr) << frame;
    EXPECT_LE(Difference(**picture, TestPicture(width, height, static_cast<int>(frame))), kTolerance)
        << frame;
  }

  std::unique_ptr<VideoInput> input_ = MakeInput();
  std::string sets_;
};

TEST_F(ParameterSetsApart, FramesAreDecodedAndTheFirstMessageIsNoError) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  for (size_t i = 0; i < frames.size(); ++i) ExpectShows(frames[i], 320, 240, i);
}

TEST_F(ParameterSetsApart, EachInAMessageOfItsOwn) {
  const auto frames = Frames();
  for (const std::string& unit : Units(sets_)) ExpectNoPicture(kStart + unit);
  for (size_t i = 0; i < 3; ++i) ExpectShows(frames[i], 320, 240, i);
}

TEST_F(ParameterSetsApart, ThePictureSetBeforeTheSequenceSet) {
  const auto frames = Frames();
  auto units = Units(sets_);
  std::reverse(units.begin(), units.end());
  ExpectNoPicture(Join(units));
  ExpectShows(frames[0], 320, 240, 0);
}

TEST_F(ParameterSetsApart, AgainAndTwiceInTheMiddleOfAStreamTheyChangeNothing) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  ExpectNoPicture(sets_);
  for (size_t i = 0; i < 4; ++i) {
    ExpectShows(frames[i], 320, 240, i);
    ExpectNoPicture(sets_ + sets_);
  }
}

TEST_F(ParameterSetsApart, TheyOutliveADamagedFrame) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  ExpectShows(frames[0], 320, 240, 0);
  std::string damaged = frames[1];
  damaged.resize(damaged.size() / 2);
  EXPECT_EQ(CodeOf(input_->Decode(damaged, 0, true)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(input_->Decode("", 0, true)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(input_->Decode(frames[2], 0, true)), absl::StatusCode::kUnavailable);
  for (size_t i = 6; i < 9; ++i) ExpectShows(frames[i], 320, 240, i);
}

TEST_F(ParameterSetsApart, TheyOutliveAFrameThatNeverCame) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  ExpectShows(frames[0], 320, 240, 0);
  input_->OnLoss({});  // of frame 1
  EXPECT_EQ(CodeOf(input_->Decode(frames[2], 0, true)), absl::StatusCode::kUnavailable);
  for (size_t i = 6; i < 9; ++i) ExpectShows(frames[i], 320, 240, i);
}

TEST_F(ParameterSetsApart, ThoseThatComeAfterADamagedFrameHold) {
  const auto small = Frames(160, 120);
  ExpectNoPicture(sets_);
  ExpectShows(small[0], 160, 120, 0);
  EXPECT_EQ(CodeOf(input_->Decode(small[1].substr(0, 30), 0, true)), absl::StatusCode::kInvalidArgument);
  const auto large = Frames(320, 240);
  ExpectNoPicture(sets_);
  EXPECT_EQ(CodeOf(input_->Decode(large[1], 0, true)), absl::StatusCode::kUnavailable);
  for (size_t i = 0; i < 3; ++i) ExpectShows(large[i], 320, 240, i);
}

TEST_F(ParameterSetsApart, ThoseOfAFrameThatIsNotDecodedHold) {
  const auto frames = Frames();
  EXPECT_EQ(CodeOf(input_->Decode(sets_ + frames[1], 0, true)), absl::StatusCode::kUnavailable);
  ExpectShows(frames[6], 320, 240, 6);
}

TEST_F(ParameterSetsApart, TheSizeMayChangeWithThem) {
  for (const auto& [width, height] : {std::pair{320, 240}, {160, 120}, {640, 360}}) {
    const auto frames = Frames(width, height);
    ExpectNoPicture(sets_);
    for (size_t i = 0; i < 3; ++i) ExpectShows(frames[i], width, height, i);
  }
}

TEST_F(ParameterSetsApart, AnotherSizeWithoutAKeyFrameIsAnError) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  ExpectShows(frames[0], 320, 240, 0);
  (void)Frames(160, 120);
  ExpectNoPicture(sets_);
  EXPECT_EQ(CodeOf(input_->Decode(frames[1], 0, true)), absl::StatusCode::kInvalidArgument);
}

TEST_F(ParameterSetsApart, OnesThatWereNeverSentAreNamed) {
  const auto frames = Frames();
  const auto picture = input_->Decode(frames[0], 0, true);
  EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(picture.status().message()), HasSubstr("parameter set 0, which was not sent"));
}

TEST_F(ParameterSetsApart, ADelimiterOrSupplementalInformationAloneShowsNothing) {
  const auto frames = Frames();
  ExpectNoPicture(sets_);
  for (const char* alone : {"\x09\xf0", "\x06\x05\x01\x55\x80", "\x0a", "\x0b", "\x0c\xff\x80"}) {
    ExpectNoPicture(kStart + alone);
  }
  ExpectShows(frames[0], 320, 240, 0);
  ExpectNoPicture(kStart + "\x09\xf0");
  ExpectShows(frames[1], 320, 240, 1);
}

TEST_F(ParameterSetsApart, WhatIsNotH264IsNoMessageWithoutAPicture) {
  // Start codes with nothing after them, and H.265's video parameter set.
  for (const std::string& message : {kStart, kStart + kStart, kStart + "\x40\x01\x0c\x01\xff\xff"}) {
    EXPECT_EQ(CodeOf(input_->Decode(message, 0, true)), absl::StatusCode::kInvalidArgument);
  }
}

TEST(H264LimitsTest, PicturesOverTheMemoryOfADecoderAreRefusedWithTheParameterSet) {
  // What came to 1.9 GB a call: 4:4:4, 10 bit, 16 references.
  H264Stream stream(kMaxPixels);
  const auto read = [&stream](const SequenceSet& set) {
    return stream.Read(kStart + Sps(set), false).status();
  };
  const absl::Status refused =
      read({.profile = 244, .chroma = 3, .depth = 10, .references = 16, .width = 4096, .height = 4096});
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("bytes are taken"));
  EXPECT_EQ(read({.references = 16, .width = 4096, .height = 4096}).code(),
            absl::StatusCode::kResourceExhausted);
  // Cameras: 4K at the references of level 5.1, full HD and less at all that H.264 has.
  EXPECT_TRUE(read({.references = 5, .width = 3840, .height = 2160}).ok());
  EXPECT_TRUE(read({.profile = 100, .references = 5, .width = 4096, .height = 2304}).ok());
  EXPECT_TRUE(read({.profile = 100, .references = 16, .width = 1920, .height = 1088}).ok());
  EXPECT_TRUE(read({.profile = 110, .depth = 10, .references = 16, .width = 1920, .height = 1088}).ok());
}

TEST(H264LimitsTest, MoreParameterSetsThanAnyEncoderSendsAreRefused) {
  H264Stream stream(kMaxPixels);
  for (uint32_t id = 0; id < 32; ++id) {
    EXPECT_TRUE(stream.Read(kStart + Sps({.id = id}), false).ok());
  }
  EXPECT_EQ(stream.Read(kStart + Sps({.id = 32}), false).status().code(), absl::StatusCode::kInvalidArgument);
  for (uint32_t id = 0; id < H264ParameterSets::kMaxPictureParameterSets; ++id) {
    EXPECT_TRUE(stream.Read(kStart + Pps(id), false).ok());
  }
  EXPECT_EQ(stream.Read(kStart + Pps(200), false).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(stream.Read(kStart + Pps(3, 7), false).ok());  // in place of one that is there

  std::string many;
  for (int i = 0; i < H264ParameterSets::kMaxParameterSetUnits + 1; ++i) many += kStart + Pps();
  EXPECT_EQ(stream.Read(many, false).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stream.Read(kStart + Sps({}) + std::string(5'000, '\x55'), false).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(H264LimitsTest, AMillionUnitsOrThousandsOfSlicesAreRefused) {
  H264Stream stream(kMaxPixels);
  std::string units;
  while (units.size() < 4 << 20) units += std::string("\0\0\1\x09", 4);
  EXPECT_EQ(stream.Read(units, false).status().code(), absl::StatusCode::kResourceExhausted);
  std::string slices = kStart + Sps({}) + kStart + Pps();
  for (int i = 0; i < H264Stream::kMaxSlices + 1; ++i) slices += kStart + "\x65\x88\x84\x21";
  const absl::Status status = stream.Read(slices, false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("slices"));
}

TEST(H264LimitsTest, APictureOfWhichCroppingLeavesNothingIsDamage) {
  const std::string slice =
      "\x65" + BitWriter().Golomb(0).Golomb(7).Golomb(0).Bits(0, 4).Bits(0x5a5a, 16).Bytes();
  for (const uint32_t crop : {100u, 0x3fffffffu, 0x7ffffffeu}) {
    const auto picture =
        MakeInput()->Decode(kStart + Sps({.crop = crop}) + kStart + Pps() + kStart + slice, 0, true);
    EXPECT_EQ(CodeOf(picture), absl::StatusCode::kInvalidArgument) << crop;
  }
}

TEST(H264LimitsTest, FormsThatAreNotTakenAreNamed) {
  const auto message_of = [](const std::string& data) {
    H264Stream stream(kMaxPixels);
    return std::string(stream.Read(data, false).status().message());
  };
  const std::string field =
      BitWriter().Golomb(0).Golomb(7).Golomb(0).Bits(0, 4).Bits(2, 2).Bits(0, 8).Bytes();
  EXPECT_THAT(message_of(kStart + Sps({.frames_only = false}) + kStart + Pps() + kStart + "\x65" + field),
              HasSubstr("separate fields"));
  EXPECT_THAT(message_of(kStart + "\x42\x01\x02\x03"), HasSubstr("data partitioning"));
}

TEST(H264StreamTest, ARecoveryPointIsAKeyFrame) {
  H264Stream stream(kMaxPixels);
  ASSERT_TRUE(stream.Read(kStart + Sps({}) + kStart + Pps(), true).ok());
  const std::string slice =
      kStart + "\x41" + BitWriter().Golomb(0).Golomb(7).Golomb(0).Bits(0, 4).Bits(0x5a5a, 16).Bytes();
  EXPECT_EQ(stream.Read(slice, true).status().code(), absl::StatusCode::kUnavailable);
  const auto joined = stream.Read(kStart + std::string("\x06\x06\x01\x84\x80", 5) + slice, true);
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_TRUE(joined->key_frame);
}

TEST(H264StreamTest, TheDecoderGetsParameterSetsOnceAndNoOtherSupplementalInformation) {
  H264Stream stream(kMaxPixels);
  const std::string slice =
      "\x65" + BitWriter().Golomb(0).Golomb(7).Golomb(0).Bits(0, 4).Bits(0x5a5a, 16).Bytes();
  const std::string frame = kStart + "\x09\x10" + kStart + Sps({}) + kStart + Pps() + kStart +
                            "\x06\x05\x7fgarbage" + kStart + slice;
  const std::string_view start_code("\0\0\1", 3);
  for (const bool restarted : {false, true}) {
    auto message = stream.Read(frame, false);
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_THAT(message->pieces,
                ::testing::ElementsAre(start_code, Sps({}), start_code, Pps(), start_code, slice));
    message = stream.Read(frame, false);
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_THAT(message->pieces, ::testing::ElementsAre(start_code, slice));
    if (!restarted) stream.Restart({});
  }
}

}  // namespace
}  // namespace parley::streaming
