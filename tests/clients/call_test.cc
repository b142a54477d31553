#include "clients/cpp/call.h"

#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "clients/cpp/channel.h"
#include "gmock/gmock.h"
#include "grpcpp/health_check_service_interface.h"
#include "gtest/gtest.h"
#include "tests/clients/scripted_server.h"

namespace parley::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<grpc::Channel> ChannelTo(const ScriptedServer& server) {
  return *MakeChannel({.server = server.address()});
}

void Ignore(const v1::ServerMessage&) {}

v1::ServerMessage Token(const std::string& text) {
  v1::ServerMessage message;
  message.mutable_token()->set_text(text);
  return message;
}

TEST(CallTest, MessagesAreNumberedFromOneAndFramesToo) {
  std::vector<v1::ClientMessage> got;
  absl::Notification read;
  ScriptedServer server([&](ScriptedServer::Stream& stream, grpc::ServerContext&) {
    for (v1::ClientMessage message; stream.Read(&message);) got.push_back(message);
    read.Notify();
    return grpc::Status::OK;
  });
  v1::SessionConfig config;
  config.set_instructions("be brief");
  auto call = Call::Open(ChannelTo(server), config, Ignore);
  EXPECT_TRUE(call->SendAudio("packet", 960, 7).ok());
  EXPECT_EQ(*call->SendVideo("first", 90, 8), 1u);
  EXPECT_EQ(*call->SendVideo("second", 0, 9), 2u);
  EXPECT_EQ(*call->SendText("hello"), 5u);
  EXPECT_TRUE(call->Close().ok());
  EXPECT_TRUE(call->Wait().ok());

  read.WaitForNotification();
  ASSERT_EQ(got.size(), 6u);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].seq(), i + 1);
  EXPECT_EQ(got[0].open().config().instructions(), "be brief");
  EXPECT_EQ(got[1].audio().first_sample_index(), 960u);
  EXPECT_EQ(got[1].capture_time_us(), 7u);
  EXPECT_EQ(got[2].video().frame_id(), 1u);
  EXPECT_EQ(got[2].video().rotation_degrees(), 90u);
  EXPECT_EQ(got[3].video().frame_id(), 2u);
  EXPECT_EQ(got[4].text().text(), "hello");
  EXPECT_TRUE(got[5].has_close());
}

TEST(CallTest, EventsComeInOrderOnOneThreadAndTheEndComesLast) {
  ScriptedServer server([](ScriptedServer::Stream& stream, grpc::ServerContext&) {
    for (const char* text : {"a", "b", "c"}) stream.Write(Token(text));
    return grpc::Status::OK;
  });
  std::vector<std::string> texts;
  std::set<std::thread::id> threads;
  auto call = Call::Open(
      ChannelTo(server), {},
      [&](const v1::ServerMessage& event) {
        texts.push_back(event.token().text());
        threads.insert(std::this_thread::get_id());
      },
      [&](const absl::Status& outcome) {
        texts.push_back(outcome.ok() ? "end" : "failed");
        threads.insert(std::this_thread::get_id());
      });
  EXPECT_TRUE(call->Wait().ok());
  EXPECT_THAT(texts, ElementsAre("a", "b", "c", "end"));
  EXPECT_EQ(threads.size(), 1u);
}

TEST(CallTest, SendersOnManyThreadsGiveOneUnbrokenSequence) {
  std::vector<uint64_t> seqs;
  absl::Notification read;
  ScriptedServer server([&](ScriptedServer::Stream& stream, grpc::ServerContext&) {
    for (v1::ClientMessage message; stream.Read(&message);) seqs.push_back(message.seq());
    read.Notify();
    return grpc::Status::OK;
  });
  auto call = Call::Open(ChannelTo(server), {}, Ignore);
  std::vector<std::thread> senders;
  for (int i = 0; i < 4; ++i) {
    senders.emplace_back([&] {
      for (int k = 0; k < 50; ++k) EXPECT_TRUE(call->SendText("x").ok());
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_TRUE(call->Close().ok());
  EXPECT_TRUE(call->Wait().ok());
  read.WaitForNotification();
  ASSERT_EQ(seqs.size(), 202u);
  for (size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], i + 1);
}

TEST(CallTest, AFatalErrorIsTheOutcomeInItsOwnWords) {
  ScriptedServer server([](ScriptedServer::Stream& stream, grpc::ServerContext&) {
    v1::ServerMessage message;
    message.mutable_error()->set_code(v1::INVALID_CONFIG);
    message.mutable_error()->set_message("top_p is 3");
    message.mutable_error()->set_fatal(true);
    stream.Write(message);
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no");
  });
  auto call = Call::Open(ChannelTo(server), {}, Ignore);
  EXPECT_THAT(std::string(call->Wait().message()), HasSubstr("INVALID_CONFIG: top_p is 3"));
}

TEST(CallTest, AfterTheEndSendsSaySo) {
  ScriptedServer server([](ScriptedServer::Stream&, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
  });
  auto call = Call::Open(ChannelTo(server), {}, Ignore);
  EXPECT_EQ(call->Wait().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(call->SendText("x").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(call->Close().code(), absl::StatusCode::kUnavailable);
}

TEST(CallTest, ASendThatFlowControlHoldsBackReturnsWhenTheCallIsCancelled) {
  absl::Notification cancelled;
  ScriptedServer server([&](ScriptedServer::Stream&, grpc::ServerContext&) {
    cancelled.WaitForNotification();  // reads nothing
    return grpc::Status::OK;
  });
  auto call = Call::Open(ChannelTo(server), {}, Ignore);
  absl::Notification blocked_once;
  std::thread sender([&] {
    const std::string megabyte(1 << 20, 'x');
    for (int i = 0; call->SendVideo(megabyte, 0, 0).ok(); ++i) {
      if (i == 0) blocked_once.Notify();
    }
  });
  blocked_once.WaitForNotification();
  call->Cancel();
  sender.join();
  EXPECT_EQ(call->Wait().code(), absl::StatusCode::kCancelled);
  cancelled.Notify();
}

TEST(CallTest, DestructionBreaksALiveCallOff) {
  absl::Notification broken_off;
  ScriptedServer server([&](ScriptedServer::Stream& stream, grpc::ServerContext& context) {
    for (v1::ClientMessage message; stream.Read(&message);) {
    }
    EXPECT_TRUE(context.IsCancelled());
    broken_off.Notify();
    return grpc::Status::OK;
  });
  Call::Open(ChannelTo(server), {}, Ignore).reset();
  broken_off.WaitForNotification();
}

TEST(ChannelTest, NobodyThereIsUnavailable) {
  auto channel = MakeChannel({.server = "127.0.0.1:1"});
  EXPECT_EQ(WaitForConnection(**channel, absl::Milliseconds(50)).code(), absl::StatusCode::kUnavailable);
}

TEST(ChannelTest, AMissingCaFileIsNamed) {
  auto channel = MakeChannel({.tls_ca_file = "/nonexistent/ca.pem"});
  EXPECT_THAT(std::string(channel.status().message()), HasSubstr("/nonexistent/ca.pem"));
}

TEST(ChannelTest, HealthIsAwaitedUntilServing) {
  ScriptedServer server([](ScriptedServer::Stream&, grpc::ServerContext&) { return grpc::Status::OK; });
  server.server().GetHealthCheckService()->SetServingStatus(false);
  EXPECT_EQ(WaitUntilServing(ChannelTo(server), absl::Milliseconds(50)).code(),
            absl::StatusCode::kDeadlineExceeded);
  std::thread later([&] { server.server().GetHealthCheckService()->SetServingStatus(true); });
  EXPECT_TRUE(WaitUntilServing(ChannelTo(server), absl::Seconds(30)).ok());
  later.join();
}

}  // namespace
}  // namespace parley::client
