// A call without gRPC: its session, and a stream that records what it is told.
#include "server/call_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/fake/fake_engine.h"
#include "streaming/turn/detector_thread.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using Next = CallSession::Next;
using ::testing::HasSubstr;

// Takes what it is sent for written at once, unless a test says otherwise. Thread-safe.
class RecordingStream final : public SessionStream {
 public:
  SendResult Send(M message) override { return Take(std::move(message)); }
  SendResult SendMetrics(M envelope, const streaming::TurnTimes&) override {
    return Take(std::move(envelope));
  }
  void DropTokens(uint64_t response_id) override {
    absl::MutexLock lock(&mutex_);
    dropped_.push_back(response_id);
    dropped_before_ = sent_.size();
  }
  void DropQueued() override {
    absl::MutexLock lock(&mutex_);
    queue_dropped_ = true;
  }
  void Read() override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(status_.has_value());
    ++reads_;
  }
  void Finish(std::optional<M> last, grpc::Status status) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(status_.has_value()) << "finished twice";
    if (last.has_value()) sent_.push_back(*std::move(last));
    status_ = std::move(status);
  }
  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  absl::Time BlockedSince() const override {
    absl::MutexLock lock(&mutex_);
    return blocked_since_;
  }

  // What the next Send answers.
  void Answer(SendResult result) {
    absl::MutexLock lock(&mutex_);
    answer_ = result;
  }
  void BlockSince(absl::Time time) {
    absl::MutexLock lock(&mutex_);
    blocked_since_ = time;
  }

  std::vector<M> sent() const {
    absl::MutexLock lock(&mutex_);
    return sent_;
  }
  bool Has(M::PayloadCase payload) const {
    absl::MutexLock lock(&mutex_);
    for (const M& message : sent_) {
      if (message.payload_case() == payload) return true;
    }
    return false;
  }
  std::optional<grpc::Status> status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }
  int reads() const {
    absl::MutexLock lock(&mutex_);
    return reads_;
  }
  bool cancelled() const {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }
  bool queue_dropped() const {
    absl::MutexLock lock(&mutex_);
    return queue_dropped_;
  }
  // The answers whose tokens were dropped, and how many messages had been sent before the last of them.
  std::vector<uint64_t> dropped() const {
    absl::MutexLock lock(&mutex_);
    return dropped_;
  }
  size_t dropped_before() const {
    absl::MutexLock lock(&mutex_);
    return dropped_before_;
  }

 private:
  SendResult Take(M message) {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(status_.has_value()) << "sent after the end: " << message.ShortDebugString();
    const SendResult answer = std::exchange(answer_, SendResult::kQueued);
    if (answer == SendResult::kQueued) sent_.push_back(std::move(message));
    return answer;
  }

  mutable absl::Mutex mutex_;
  std::vector<M> sent_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mutex_);
  int reads_ ABSL_GUARDED_BY(mutex_) = 0;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool queue_dropped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<uint64_t> dropped_ ABSL_GUARDED_BY(mutex_);
  size_t dropped_before_ ABSL_GUARDED_BY(mutex_) = 0;
  SendResult answer_ ABSL_GUARDED_BY(mutex_) = SendResult::kQueued;
  absl::Time blocked_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
};

// A session with its stream, as gRPC and a client would drive them.
class Call {
 public:
  explicit Call(const CallEnvironment& environment, absl::StatusOr<Peer> peer = Peer{})
      : session_(std::make_shared<CallSession>(&environment)) {
    session_->Start(stream_.get(), std::move(peer));
  }
  ~Call() {
    if (stream_ != nullptr) EndStream();
  }

  Next Send(v1::ClientMessage message) {
    message.set_seq(++seq_);
    return session_->OnMessage(std::move(message));
  }
  Next Open() {
    v1::ClientMessage message;
    message.mutable_open();
    return Send(std::move(message));
  }
  Next Ping(uint64_t nonce = 1) {
    v1::ClientMessage message;
    message.mutable_ping()->set_nonce(nonce);
    return Send(std::move(message));
  }
  // The stream is over, and freed.
  void EndStream() {
    session_->OnStreamDone();
    stream_.reset();
  }

  CallSession& session() { return *session_; }
  RecordingStream& stream() { return *stream_; }
  // What ended the call; UNKNOWN: nothing did.
  grpc::StatusCode code() const {
    return stream_->status().value_or(grpc::Status(grpc::StatusCode::UNKNOWN, "")).error_code();
  }
  v1::Error last_error() const {
    const std::vector<M> sent = stream_->sent();
    return sent.empty() ? v1::Error() : sent.back().error();
  }

 private:
  const std::shared_ptr<CallSession> session_;
  std::unique_ptr<RecordingStream> stream_ = std::make_unique<RecordingStream>();
  uint64_t seq_ = 0;
};

streaming::CallEvent Token(uint64_t epoch, uint64_t response_id = 1) {
  return {.epoch = epoch, .response_id = response_id, .payload = streaming::TokenDelta{.text = "a"}};
}

// One place, and two that wait for it. Time stands still, a tick of the registry never comes by itself, and
// what is posted runs when a test says so.
class CallSessionTest : public ::testing::Test {
 protected:
  CallSessionTest() {
    environment_.limits.set_max_message_bytes(1 << 20);
    environment_.limits.set_max_audio_chunk_bytes(1 << 16);
    environment_.limits.set_max_text_bytes(1'000);
    environment_.limits.set_max_instructions_bytes(1'000);
    environment_.limits.set_max_answer_tokens(64);
    environment_.limits.set_max_audio_gap_ms(1'000);
    environment_.limits.set_max_audio_backlog_ms(10'000);
    environment_.dependencies = {
        .engine = fake_.engine.get(), .detector = detector_.get(), .media_pool = &pool_, .clock = &clock_};
    environment_.metrics = &metrics_;
    environment_.registry = &registry_;
    registry_.SetReady();
  }
  ~CallSessionTest() override {
    EXPECT_EQ(registry_.calls(), 0);
    EXPECT_TRUE(Soon([&] { return conversations() == 0; }));
  }

  // What is posted runs meanwhile.
  bool Soon(const std::function<bool()>& condition) {
    return Eventually([&] {
      pool_.RunUntilIdle();
      return condition();
    });
  }
  int conversations() { return fake_.engine->stats().conversations; }

  SimulatedClock clock_;
  Metrics metrics_;
  CallEnvironment environment_;
  ManualExecutor pool_;
  engine::LoadedFake fake_ = engine::MakeFakeEngine({}, &clock_);
  const std::unique_ptr<streaming::DetectorThread> detector_ =
      streaming::DetectorThread::Inline(fake_.speech_detector.get());
  CallRegistry registry_{{.max_calls = 1,
                          .max_waiting = 2,
                          .max_wait = absl::Seconds(10),
                          .retry_after = absl::Seconds(2),
                          .tick = absl::Hours(1)},
                         &clock_,
                         [] {}};
};

TEST_F(CallSessionTest, OpensReadsOnAndAnswers) {
  Call call(environment_);
  EXPECT_EQ(call.stream().reads(), 1);
  EXPECT_EQ(call.Open(), Next::kWait);  // the session has said itself that it reads on
  EXPECT_EQ(call.stream().reads(), 2);
  EXPECT_EQ(call.Ping(7), Next::kRead);
  const std::vector<M> sent = call.stream().sent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].ready().call_id().size(), 16u);
  EXPECT_EQ(sent[1].pong().nonce(), 7u);
  EXPECT_EQ(sent[1].server_time_us(), static_cast<uint64_t>(absl::ToUnixMicros(clock_.Now())));
  EXPECT_EQ(registry_.calls(), 1);
}

TEST_F(CallSessionTest, AFaultThatIsNotFatalIsToldAndTheCallReadsOn) {
  Call call(environment_);
  call.Open();
  EXPECT_EQ(call.Open(), Next::kRead);
  EXPECT_EQ(call.last_error().code(), v1::ALREADY_OPEN);
  EXPECT_FALSE(call.last_error().fatal());
  EXPECT_EQ(call.stream().status(), std::nullopt);
}

TEST_F(CallSessionTest, EveryFaultBeforeTheCallIsOpenEndsIt) {
  Call call(environment_);
  call.Ping();
  EXPECT_EQ(call.last_error().code(), v1::NOT_OPEN);
  EXPECT_TRUE(call.last_error().fatal());
  EXPECT_EQ(call.code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(CallSessionTest, AStreamOfAnUnknownPeerIsRefused) {
  Call call(environment_, absl::InvalidArgumentError("who is that?"));
  EXPECT_EQ(call.last_error().message(), "who is that?");
  EXPECT_EQ(call.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(call.stream().reads(), 0);
}

TEST_F(CallSessionTest, EventsThatComeBeforeSessionReadyFollowIt) {
  Call call(environment_);
  call.session().OnEvent(Token(1));
  EXPECT_TRUE(call.stream().sent().empty());
  call.Open();
  const std::vector<M> sent = call.stream().sent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(sent[0].has_ready());
  EXPECT_TRUE(sent[1].has_token());
}

TEST_F(CallSessionTest, TheEpochOfWhatIsSentNeverFalls) {
  Call call(environment_);
  call.Open();
  call.session().OnEvent(Token(3));
  call.Ping();
  EXPECT_EQ(call.stream().sent().back().epoch(), 3u);
  call.session().OnEvent(Token(2));
  EXPECT_EQ(call.stream().sent().back().epoch(), 3u);
}

TEST_F(CallSessionTest, TokensOfAnInterruptedAnswerAreDroppedBeforeTheClientIsToldOfIt) {
  Call call(environment_);
  call.Open();
  call.session().OnEvent(Token(1, 5));
  call.session().OnEvent({.epoch = 2, .response_id = 5, .payload = streaming::Interrupted{}});
  EXPECT_EQ(call.stream().dropped(), std::vector<uint64_t>{5});
  EXPECT_EQ(call.stream().dropped_before(), 2u);
  EXPECT_TRUE(call.stream().sent().at(2).has_interrupted());
}

TEST_F(CallSessionTest, NothingIsSentOnceTheStatusIsDecided) {
  Call call(environment_);
  call.Open();
  call.session().Cut(MakeFault(v1::INTERNAL, "a test"));
  const size_t sent = call.stream().sent().size();
  EXPECT_EQ(call.code(), grpc::StatusCode::INTERNAL);
  // The stream itself fails the test when it is sent anything, or finished again.
  EXPECT_EQ(call.Ping(), Next::kWait);
  call.session().OnEvent(Token(1));
  call.session().OnEvent({.payload = streaming::TurnTimes{}});
  call.session().OnEvent({.payload = streaming::CallEnded{}});
  call.session().OnEvent({.payload = streaming::CallError{.message = "late", .fatal = true}});
  call.session().Wait({.position = 1});
  call.session().Admit();
  call.session().Drain(absl::Seconds(1));
  call.session().Cut(ShuttingDown());
  call.session().OnInputEnd();
  call.session().OnUnreadable(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "late"));
  call.session().OnSendFailed();
  call.session().Tick(clock_.Now() + absl::Hours(24));
  pool_.RunUntilIdle();
  EXPECT_EQ(call.stream().sent().size(), sent);
  EXPECT_EQ(call.stream().reads(), 2);
}

TEST_F(CallSessionTest, OutlivesItsStream) {
  Call call(environment_);
  call.Open();
  CallSession& session = call.session();
  call.EndStream();
  EXPECT_EQ(registry_.calls(), 0);
  session.OnEvent(Token(1));
  session.OnEvent({.payload = streaming::CallEnded{}});
  session.Wait({.position = 1});
  session.Admit();
  session.Drain(absl::Seconds(1));
  session.Cut(ShuttingDown());
  session.Tick(clock_.Now() + absl::Hours(24));
  pool_.RunUntilIdle();
  EXPECT_TRUE(Soon([&] { return conversations() == 0; }));
}

// ---------------------------------------------------------------- a client that does not read

TEST_F(CallSessionTest, AMessageOverTheQueuesBoundsEndsTheCallInPlaceOfWhatIsQueued) {
  Call call(environment_);
  call.Open();
  call.stream().Answer(SessionStream::SendResult::kFull);
  call.session().OnEvent(Token(1));
  EXPECT_TRUE(call.stream().queue_dropped());
  EXPECT_EQ(call.last_error().code(), v1::SLOW_READER);
  EXPECT_EQ(call.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Soon([&] { return conversations() == 0; }));
}

TEST_F(CallSessionTest, AClientThatTakesNothingEndsTheCallAndIsCutOffOnceItTakesNotEvenThat) {
  const absl::Duration limit = environment_.options.slow_reader;
  Call call(environment_);
  call.Open();
  call.stream().BlockSince(clock_.Now());
  call.session().Tick(clock_.Now() + limit);
  EXPECT_EQ(call.stream().status(), std::nullopt);
  call.session().Tick(clock_.Now() + limit + absl::Milliseconds(1));
  EXPECT_EQ(call.last_error().code(), v1::SLOW_READER);
  EXPECT_FALSE(call.stream().cancelled());
  call.stream().BlockSince(clock_.Now() + limit);
  call.session().Tick(clock_.Now() + 2 * limit + absl::Milliseconds(1));
  EXPECT_TRUE(call.stream().cancelled());
}

TEST_F(CallSessionTest, AMessageThatCannotBeWrittenEndsTheCall) {
  {
    Call call(environment_);
    call.Open();
    call.stream().Answer(SessionStream::SendResult::kFailed);
    call.Ping();
    EXPECT_EQ(call.code(), grpc::StatusCode::INTERNAL);
  }
  Call call(environment_);
  call.Open();
  call.session().OnSendFailed();
  EXPECT_EQ(call.code(), grpc::StatusCode::INTERNAL);
}

TEST_F(CallSessionTest, WhatIsNoMessageEndsTheCall) {
  {
    Call call(environment_);
    call.Open();
    call.session().OnUnreadable(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no message"));
    EXPECT_EQ(call.last_error().code(), v1::INVALID_MESSAGE);
    EXPECT_TRUE(call.last_error().fatal());
    EXPECT_EQ(call.code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  Call call(environment_);
  call.Open();
  call.session().OnUnreadable(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too long"));
  EXPECT_FALSE(call.stream().Has(M::kError));  // the status says it all
  EXPECT_EQ(call.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// ---------------------------------------------------------------- admission

TEST_F(CallSessionTest, WaitsForItsPlaceUnreadAndIsThenOpened) {
  Call first(environment_);
  first.Open();
  Call second(environment_);
  EXPECT_EQ(second.Open(), Next::kWait);
  ASSERT_TRUE(Soon([&] { return second.stream().Has(M::kAdmission); }));
  EXPECT_EQ(second.stream().sent()[0].admission().position(), 1u);
  EXPECT_EQ(second.stream().sent()[0].admission().wait_limit_ms(), 10'000u);
  EXPECT_EQ(second.stream().reads(), 1);
  first.EndStream();
  EXPECT_TRUE(Soon([&] { return second.stream().reads() == 2; }));
  EXPECT_TRUE(second.stream().Has(M::kReady));
  EXPECT_EQ(registry_.calls(), 1);
}

TEST_F(CallSessionTest, GivesUpWaitingForAPlaceAndSaysWhenToTryAgain) {
  Call first(environment_);
  first.Open();
  Call second(environment_);
  second.Open();
  ASSERT_TRUE(Soon([&] { return second.stream().Has(M::kAdmission); }));
  clock_.Advance(absl::Seconds(10));
  Call third(environment_);
  third.Open();  // the registry looks at its queue
  ASSERT_TRUE(Soon([&] { return second.stream().status().has_value(); }));
  EXPECT_EQ(second.last_error().code(), v1::AT_CAPACITY);
  EXPECT_EQ(second.last_error().retry_after_ms(), 2'000u);
  EXPECT_THAT(second.last_error().message(), HasSubstr("no place was free within 10s"));
  EXPECT_EQ(second.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  ASSERT_TRUE(Soon([&] { return third.stream().Has(M::kAdmission); }));
  EXPECT_EQ(third.stream().status(), std::nullopt);
}

TEST_F(CallSessionTest, ADrainRefusesWhoHasNoPlaceAndTellsWhoHas) {
  Call first(environment_);
  first.Open();
  Call second(environment_);
  second.Open();
  Call third(environment_);
  registry_.Drain(absl::Seconds(30));
  EXPECT_EQ(first.stream().sent().back().go_away().time_left_ms(), 30'000u);
  EXPECT_EQ(first.stream().status(), std::nullopt);
  for (Call* call : {&second, &third}) {
    EXPECT_EQ(call->last_error().code(), v1::SHUTTING_DOWN);
    EXPECT_EQ(call->code(), grpc::StatusCode::UNAVAILABLE);
  }
}

// ---------------------------------------------------------------- a client that is gone, in each phase

TEST_F(CallSessionTest, LostWhileOpeningItHasCountedForNothing) {
  Call call(environment_);
  call.session().OnStreamLost();
  EXPECT_EQ(call.code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(call.Open(), Next::kWait);  // it was on its way
  call.EndStream();
  EXPECT_EQ(registry_.calls(), 0);
  EXPECT_EQ(conversations(), 0);
}

TEST_F(CallSessionTest, LostWhileWaitingItLeavesTheQueue) {
  Call first(environment_);
  first.Open();
  Call second(environment_);
  second.Open();
  second.session().OnStreamLost();
  EXPECT_EQ(second.code(), grpc::StatusCode::CANCELLED);
  second.EndStream();
  EXPECT_EQ(registry_.waiting(), 0);
  EXPECT_EQ(registry_.calls(), 1);
}

TEST_F(CallSessionTest, LostWithItsPlaceButBeforeItIsOpenItFreesBoth) {
  Call first(environment_);
  first.Open();
  Call second(environment_);
  second.Open();
  first.EndStream();
  ASSERT_TRUE(Eventually([&] { return registry_.calls() == 1 && registry_.waiting() == 0; }));
  second.session().OnStreamLost();
  pool_.RunUntilIdle();  // its start, if it was posted by now
  EXPECT_EQ(second.code(), grpc::StatusCode::CANCELLED);
  EXPECT_FALSE(second.stream().Has(M::kReady));
  second.EndStream();
  EXPECT_EQ(registry_.calls(), 0);
  EXPECT_TRUE(Soon([&] { return conversations() == 0; }));
}

TEST_F(CallSessionTest, LostWhileOpenItsConversationIsFreed) {
  Call call(environment_);
  call.Open();
  EXPECT_EQ(conversations(), 1);
  call.session().OnStreamLost();
  call.session().OnStreamLost();  // a write that fails and the cancellation may both tell of it
  EXPECT_EQ(call.code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Soon([&] { return conversations() == 0; }));
}

TEST_F(CallSessionTest, LostWhileClosingNothingOwedIsSent) {
  Call call(environment_);
  call.Open();
  v1::ClientMessage close;
  close.mutable_close();
  EXPECT_EQ(call.Send(close), Next::kWait);
  EXPECT_EQ(call.stream().status(), std::nullopt);
  call.session().OnStreamLost();
  EXPECT_EQ(call.code(), grpc::StatusCode::CANCELLED);
  pool_.RunUntilIdle();
  EXPECT_EQ(call.stream().sent().size(), 1u);  // SessionReady
}

TEST_F(CallSessionTest, LostWhileEndingTheFirstDecisionStands) {
  Call call(environment_);
  call.Open();
  call.session().Cut(MakeFault(v1::INTERNAL, "a test"));
  call.session().OnStreamLost();
  EXPECT_EQ(call.code(), grpc::StatusCode::INTERNAL);
}

// ---------------------------------------------------------------- the end of what the client sends

TEST_F(CallSessionTest, AStreamThatSaidNothingAndHalfClosesEndsWithOk) {
  Call call(environment_);
  call.session().OnInputEnd();
  EXPECT_EQ(call.code(), grpc::StatusCode::OK);
  EXPECT_TRUE(call.stream().sent().empty());
}

TEST_F(CallSessionTest, AHalfClosedCallEndsWithOkOnceNothingIsOwed) {
  Call call(environment_);
  call.Open();
  call.session().OnInputEnd();
  EXPECT_EQ(call.stream().status(), std::nullopt);
  EXPECT_TRUE(Soon([&] { return call.stream().status().has_value(); }));
  EXPECT_EQ(call.code(), grpc::StatusCode::OK);
}

TEST_F(CallSessionTest, WhatIsOwedIsOwedNoLongerThanTheDrainLimit) {
  Call call(environment_);
  call.Open();
  call.session().OnInputEnd();
  call.session().Tick(clock_.Now() + environment_.options.drain_limit);
  EXPECT_EQ(call.stream().status(), std::nullopt);
  call.session().Tick(clock_.Now() + environment_.options.drain_limit + absl::Milliseconds(1));
  EXPECT_EQ(call.last_error().code(), v1::DEADLINE);
  EXPECT_EQ(call.code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(CallSessionTest, AStreamThatOpensNoCallIsEndedAfterFiveSeconds) {
  Call call(environment_);
  call.session().Tick(clock_.Now() + absl::Seconds(5));
  EXPECT_EQ(call.stream().status(), std::nullopt);
  call.session().Tick(clock_.Now() + absl::Milliseconds(5'001));
  EXPECT_EQ(call.last_error().message(), "no SessionOpen within 5s");
  EXPECT_EQ(call.code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

// ---------------------------------------------------------------- phases

TEST(CallPhases, ACallThatIsNotReadIsNotIdle) {
  ServerOptions options;
  options.idle = absl::Seconds(60);
  const absl::Time start = absl::UnixEpoch();
  CallPhases phases(options, start);
  phases.Enter(Phase::kOpen, start);
  EXPECT_EQ(phases.Overdue(start + absl::Seconds(60)), std::nullopt);
  EXPECT_THAT(phases.Overdue(start + absl::Seconds(61)).value().message, HasSubstr("no message for 1m"));
  phases.PauseReading();
  EXPECT_EQ(phases.Overdue(start + absl::Seconds(61)), std::nullopt);
  EXPECT_TRUE(phases.ResumeReading(start + absl::Seconds(61)));
  EXPECT_EQ(phases.Overdue(start + absl::Seconds(121)), std::nullopt);
  EXPECT_TRUE(phases.Overdue(start + absl::Seconds(122)).has_value());
  EXPECT_FALSE(phases.ResumeReading(start + absl::Seconds(122)));  // it was not paused
  phases.PauseReading();
  phases.Enter(Phase::kEnding, start + absl::Seconds(123));
  EXPECT_FALSE(phases.ResumeReading(start + absl::Seconds(124)));
  EXPECT_EQ(phases.open_for(start + absl::Seconds(124)), absl::Seconds(124));
}

TEST(CallPhases, WaitingForAPlaceHasNoLimitHere) {
  ServerOptions options;
  CallPhases phases(options, absl::UnixEpoch());
  phases.Enter(Phase::kWaiting, absl::UnixEpoch() + absl::Seconds(1));
  EXPECT_EQ(phases.Overdue(absl::UnixEpoch() + absl::Hours(24)), std::nullopt);
  EXPECT_EQ(phases.waited(absl::UnixEpoch() + absl::Seconds(4)), absl::Seconds(3));
  EXPECT_EQ(phases.open_for(absl::UnixEpoch() + absl::Seconds(4)), std::nullopt);
}

}  // namespace
}  // namespace parley::server
