// What one client does to the server, however wild, is no other client's trouble.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/call/test_png.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using M = v1::ServerMessage;

constexpr int kQuestions = 20;

// Asks in turn and gives the answers' texts.
std::vector<std::string> AskAll(TestServer& server) {
  TestCall call(server.NewChannel());
  call.Open({});
  call.Await(M::kReady);
  for (int i = 0; i < kQuestions; ++i) {
    call.SendText("Question " + std::to_string(i));
    EXPECT_EQ(call.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
  }
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  std::vector<std::string> answers;
  for (int i = 1; i <= kQuestions; ++i) answers.push_back(AnswerText(call.messages(), i));
  return answers;
}

TEST(Neighbours, AStormOfCancelledCallsChangesNoOthersAnswersAndLeavesNothing) {
  TestSetup setup;
  setup.fake.step_time = absl::Microseconds(200);
  setup.server.max_calls = 64;
  TestServer server(setup);
  const std::vector<std::string> alone = AskAll(server);
  ASSERT_TRUE(Eventually([&] { return server.conversations() == 0; }));
  const int64_t pages = server.engine().stats().kv_pages_in_use;

  std::atomic<bool> over = false;
  std::atomic<int> cancelled = 0;
  std::vector<std::thread> storm;
  for (unsigned seed = 0; seed < 8; ++seed) {
    storm.emplace_back([&, seed] {
      std::mt19937 random(seed);
      const auto channel = server.NewChannel();
      while (!over || cancelled < 100) {
        TestCall call(channel);
        if (call.Open({}) && random() % 4 != 0) {
          call.SendText("Never mind.");
          if (random() % 2 == 0) call.Await(M::kResponseStarted);
        }
        call.Cancel();
        ++cancelled;
      }
    });
  }
  const std::vector<std::string> within = AskAll(server);
  over = true;
  for (std::thread& thread : storm) thread.join();
  EXPECT_EQ(within, alone);
  EXPECT_TRUE(Eventually([&] { return server.conversations() == 0 && server.server().live_calls() == 0; }));
  EXPECT_EQ(server.engine().stats().kv_pages_in_use, pages);
}

TEST(Neighbours, FramesAHundredTimesTooFastAreEachAccountedForAndDisturbNobody) {
  TestSetup setup;
  setup.fake.step_time = absl::Microseconds(200);
  setup.fake.encode_time = absl::Milliseconds(2);
  TestServer server(setup);
  const std::vector<std::string> alone = AskAll(server);

  TestCall flood(server.NewChannel());
  v1::SessionConfig config = AudioConfig();
  config.mutable_video()->set_codec(v1::VideoFormat::PNG);
  ASSERT_TRUE(flood.Open(config));
  flood.Await(M::kReady);
  constexpr uint64_t kFrames = 1'000;
  std::thread sender([&] {
    for (uint64_t id = 1; id <= kFrames; ++id) {
      v1::ClientMessage frame;
      frame.mutable_video()->set_frame_id(id);
      frame.mutable_video()->set_data(streaming::TestPng(static_cast<uint8_t>(37 * id)));
      if (!flood.Send(std::move(frame))) break;
    }
    flood.Close();
  });
  EXPECT_EQ(AskAll(server), alone);
  sender.join();
  EXPECT_TRUE(flood.Finish().ok());
  std::map<uint64_t, int> told;
  int encoded = 0;
  for (const M& message : flood.messages()) {
    if (!message.has_input_status()) continue;
    ++told[message.input_status().frame_id()];
    if (message.input_status().outcome() == v1::InputStatus::ENCODED) ++encoded;
  }
  for (uint64_t id = 1; id <= kFrames; ++id) EXPECT_TRUE(told.contains(id)) << id;
  for (const auto& [id, times] : told) EXPECT_EQ(times, 1) << id;
  EXPECT_GT(encoded, 0);
  EXPECT_LT(encoded, static_cast<int>(kFrames) / 10);
}

}  // namespace
}  // namespace parley::server
