// A call whose pictures take their time: what goes on meanwhile, and what waits for them.
#include "streaming/call/call_video.h"
#include "tests/call/call_fixture.h"

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Decodes when the test says, and gives what it says.
class ManualDecoders : public PictureDecoders {
 public:
  absl::StatusOr<std::unique_ptr<PictureDecoder>> Open(VideoCodec, int64_t) override {
    return std::make_unique<Decoder>(this);
  }
  bool busy() const { return done_ != nullptr; }
  void Finish(absl::StatusOr<engine::ImagePtr> image) { std::exchange(done_, nullptr)(std::move(image)); }
  void FinishWith(uint8_t luma) {
    auto image = std::make_shared<engine::Image>();
    image->width = image->height = 16;
    image->pixels.assign(3 * 16 * 16, luma);
    Finish(engine::ImagePtr(std::move(image)));
  }

  std::vector<PictureDecoder::Frame> frames;

 private:
  class Decoder : public PictureDecoder {
   public:
    explicit Decoder(ManualDecoders* decoders) : decoders_(decoders) {}
    void Decode(Frame frame, Done done) override {
      EXPECT_FALSE(decoders_->busy()) << "one frame at a time";
      decoders_->frames.push_back(std::move(frame));
      decoders_->done_ = std::move(done);
    }

   private:
    ManualDecoders* const decoders_;
  };
  PictureDecoder::Done done_;
};

class DecodingTest : public CallFixture {
 protected:
  DecodingTest() { pictures_ = &decoders_; }

  void Push() { call_->Push(input::Frame{std::string("frame"), ++last_frame_, 0, kNotKnown}, ++seq_); }
  void FinishWith(uint8_t luma) {
    decoders_.FinishWith(luma);
    RunUntilIdle();
  }

  ManualDecoders decoders_;
};

TEST_F(DecodingTest, ATurnOfSpeechDoesNotWaitForThePictureThatIsBeingDecoded) {
  engine_.Hear("hello");
  engine_.SetAnswerTokens(1);
  Start();
  Push();
  RunUntilIdle();
  ASSERT_TRUE(decoders_.busy());
  Turn();
  EXPECT_EQ(engine_.History(), "U: hello | A: t1.1");
  FinishWith(50);
  EXPECT_EQ(engine_.History(), "U: hello | A: t1.1 | U: [16]");
}

TEST_F(DecodingTest, TextIsAboutThePicturesSentBeforeItAndNotThoseAfter) {
  engine_.SetAnswerTokens(1);
  Start();
  Push();
  call_->Push(input::Text{"what is this"}, ++seq_);
  Push();
  RunUntilIdle();
  EXPECT_THAT(News(), IsEmpty());
  clock_.Advance(absl::Milliseconds(500));
  FinishWith(50);
  EXPECT_EQ(engine_.History(), "U: [16] what is this | A: t1.1");
  FinishWith(150);
  EXPECT_EQ(engine_.History(), "U: [16] what is this | A: t1.1 | U: [16]");
}

TEST_F(DecodingTest, TextWaitsForPicturesAtMostAWhile) {
  engine_.SetAnswerTokens(1);
  Start();
  Push();
  call_->Push(input::Text{"what is this"}, ++seq_);
  RunUntilIdle();
  clock_.Advance(CallVideo::kMaxHold - absl::Milliseconds(1));
  call_->Tick();
  RunUntilIdle();
  EXPECT_THAT(News(), IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  call_->Tick();
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: what is this | A: t1.1");
}

TEST_F(DecodingTest, MessagesKeepTheirOrderBehindOneThatWaits) {
  engine_.SetAnswerTokens(1);
  Start();
  Push();
  call_->Push(input::Text{"first"}, ++seq_);
  call_->Push(input::Text{"second"}, ++seq_);
  call_->Push(input::CancelResponse{7}, ++seq_);
  call_->Push(input::Close{}, 0);
  RunUntilIdle();
  EXPECT_THAT(News(), IsEmpty());
  FinishWith(50);
  EXPECT_THAT(
      std::get<TurnCommitted>(std::find_if(events_.begin(), events_.end(),
                                           [](const CallEvent& event) {
                                             return std::holds_alternative<TurnCommitted>(event.payload);
                                           })
                                  ->payload)
          .frame_ids,
      ElementsAre(1));
  EXPECT_EQ(Count("committed"), 2);
  EXPECT_EQ(Count("warning unknown_response"), 1);
  EXPECT_EQ(lines_.back(), "ended");
}

TEST_F(DecodingTest, NoTurnWaitsForAPictureThatWillNotBeLookedAt) {
  config_.video = VideoCodec::kH264;
  engine_.SetAnswerTokens(1);
  Start();
  Push();
  RunUntilIdle();
  FinishWith(50);
  Push();  // too soon after the first: decoded for those that refer to it
  RunUntilIdle();
  ASSERT_TRUE(decoders_.busy());
  EXPECT_FALSE(decoders_.frames.back().want);
  call_->Push(input::Text{"hi"}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(engine_.History(), "U: [16] hi | A: t1.1");
}

TEST_F(DecodingTest, PushToTalkHoldsThePictureSentBeforeItsEnd) {
  config_.turn.mode = TurnMode::kManual;
  engine_.Hear("what is this");
  engine_.SetAnswerTokens(1);
  Start();
  call_->Push(input::ActivityStart{}, ++seq_);
  Say(10);
  Push();
  call_->Push(input::ActivityEnd{}, ++seq_);
  RunUntilIdle();
  EXPECT_EQ(Count("committed"), 0);
  FinishWith(50);
  EXPECT_EQ(engine_.History(), "U: [16] what is this | A: t1.1");
}

TEST_F(DecodingTest, ClearReachesPicturesThatAreNotDecodedYet) {
  Start();
  Push();
  Push();
  call_->Push(input::Clear{}, ++seq_);
  Push();
  RunUntilIdle();
  FinishWith(50);
  EXPECT_THAT(News(), ElementsAre("frame 1 cleared", "frame 2 cleared"));
  FinishWith(150);
  EXPECT_THAT(News(), ElementsAre("frame 3 encoded"));
}

TEST_F(DecodingTest, APictureOverALimitOfTheDecodersIsOverloadedAndSaysWhy) {
  Start();
  for (const absl::Status& status :
       {absl::DeadlineExceededError("too slow"), absl::AbortedError("too large")}) {
    Push();
    RunUntilIdle();
    decoders_.Finish(status);
    RunUntilIdle();
    EXPECT_EQ(Last<InputStatus>()->reason, DropReason::kOverloaded);
    EXPECT_EQ(Last<InputStatus>()->detail, status.message());
  }
  Push();
  RunUntilIdle();
  decoders_.Finish(absl::ResourceExhaustedError("a picture of 9999 x 9999 pixels"));
  RunUntilIdle();
  EXPECT_EQ(Last<InputStatus>()->reason, DropReason::kUndecodable);
}

TEST_F(DecodingTest, WhatIsDroppedWhileAPictureIsDecodedIsToldAtOnce) {
  config_.video_policy.scene_threshold = 0;
  Start();
  for (int i = 0; i < 20; ++i) {
    Push();
    RunUntilIdle();
  }
  EXPECT_THAT(News(), ElementsAre("frame 2 overloaded", "frame 3 overloaded", "frame 4 overloaded"));
}

TEST_F(DecodingTest, AfterAFrameOfAStreamIsDroppedTheDecoderIsTold) {
  config_.video = VideoCodec::kH264;
  Start();
  for (int i = 0; i < 20; ++i) Push();  // one with the decoder, sixteen wait, three are dropped
  RunUntilIdle();
  while (decoders_.busy()) FinishWith(50);
  EXPECT_EQ(Count("frame"), 20);
  Push();
  RunUntilIdle();
  EXPECT_EQ(decoders_.frames.size(), 17u);
  for (size_t i = 0; i < 17; ++i) EXPECT_EQ(decoders_.frames[i].after_loss, i == 16) << i;
}

TEST_F(DecodingTest, ParameterSetsOfAFrameThatIsDroppedReachTheDecoder) {
  const std::string picture_parameter_set("\0\0\1\x68\xe0", 5);
  config_.video = VideoCodec::kH264;
  Start();
  for (int i = 0; i < 16; ++i) Push();
  call_->Push(input::Frame{picture_parameter_set, ++last_frame_, 0, kNotKnown}, ++seq_);
  RunUntilIdle();
  while (decoders_.busy()) FinishWith(50);
  EXPECT_EQ(Count("frame 17 overloaded"), 1);
  Push();
  RunUntilIdle();
  ASSERT_EQ(decoders_.frames.size(), 17u);
  EXPECT_EQ(decoders_.frames[15].parameter_sets, nullptr) << "they came after it";
  ASSERT_NE(decoders_.frames[16].parameter_sets, nullptr);
  EXPECT_EQ(*decoders_.frames[16].parameter_sets, picture_parameter_set);
}

TEST_F(DecodingTest, AnAbortedCallsPictureComesToNothing) {
  Start();
  Push();
  RunUntilIdle();
  call_->Abort();
  decoders_.FinishWith(50);
  RunUntilIdle();
  EXPECT_THAT(News(), IsEmpty());
  Push();
  call_.reset();
  RunUntilIdle();
}

}  // namespace
}  // namespace parley::streaming
