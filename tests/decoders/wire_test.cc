// What a decoder says is a stranger's bytes: every reply that is not one to what was asked is refused.
#include "streaming/decoders/wire.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace parley::streaming {
namespace {

constexpr int64_t kMaxPixels = 1000;
constexpr DecodeRequest kRequest = {.number = 7, .bytes = 10, .want = 1};

absl::string_view Bytes(const DecodeReply& reply) {
  return {reinterpret_cast<const char*>(&reply), sizeof(reply)};
}
DecodeReply Picture(int width, int height) {
  DecodeReply reply = MakeReply(7, absl::OkStatus());
  reply.code = DecodeCode::kPicture;
  reply.width = width;
  reply.height = height;
  return reply;
}

TEST(DecoderWire, AStatusComesAsItWent) {
  const std::vector<std::pair<absl::Status, absl::StatusCode>> cases = {
      {absl::OkStatus(), absl::StatusCode::kOk},
      {absl::InvalidArgumentError("damaged"), absl::StatusCode::kInvalidArgument},
      {absl::UnavailableError("waits"), absl::StatusCode::kUnavailable},
      {absl::ResourceExhaustedError("a picture of 9 x 9"), absl::StatusCode::kResourceExhausted},
      {absl::ResourceExhaustedError("no memory for the picture"), absl::StatusCode::kAborted},
      {absl::UnimplementedError("no codec"), absl::StatusCode::kInternal},
  };
  for (const auto& [sent, code] : cases) {
    const auto reply = CheckReply(Bytes(MakeReply(7, sent)), kRequest, kMaxPixels);
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status.code(), code);
    if (!sent.ok()) {
      EXPECT_EQ(reply->status.message(), sent.message());
    }
    EXPECT_EQ(reply->width, 0);
  }
}

TEST(DecoderWire, APictureOfUpToTheLimitIsTaken) {
  const auto reply = CheckReply(Bytes(Picture(50, 20)), kRequest, kMaxPixels);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->width, 50);
  EXPECT_EQ(reply->height, 20);
}

TEST(DecoderWire, WhatIsNoReplyToTheRequestIsRefused) {
  const std::vector<std::function<void(DecodeReply&, DecodeRequest&)>> lies = {
      [](DecodeReply& reply, DecodeRequest&) { reply.number = 8; },
      [](DecodeReply& reply, DecodeRequest&) { reply.width = 0; },
      [](DecodeReply& reply, DecodeRequest&) { reply.height = -1; },
      [](DecodeReply& reply, DecodeRequest&) { reply.width = 51; },
      [](DecodeReply& reply, DecodeRequest&) { reply.width = reply.height = 1 << 30; },
      [](DecodeReply& reply, DecodeRequest&) { reply.width = reply.height = -(1 << 30); },
      [](DecodeReply& reply, DecodeRequest&) { reply.code = static_cast<DecodeCode>(99); },
      [](DecodeReply& reply, DecodeRequest&) { reply.message_bytes = sizeof(reply.message) + 1; },
      [](DecodeReply&, DecodeRequest& request) { request.want = 0; },
  };
  for (size_t i = 0; i < lies.size(); ++i) {
    DecodeReply reply = Picture(50, 20);
    DecodeRequest request = kRequest;
    lies[i](reply, request);
    EXPECT_EQ(CheckReply(Bytes(reply), request, kMaxPixels).status().code(), absl::StatusCode::kInternal)
        << i;
  }
  const DecodeReply reply = Picture(50, 20);
  for (size_t size : {size_t{0}, size_t{1}, sizeof(reply) - 1}) {
    EXPECT_FALSE(CheckReply(Bytes(reply).substr(0, size), kRequest, kMaxPixels).ok()) << size;
  }
  EXPECT_FALSE(CheckReply(std::string(Bytes(reply)) + "x", kRequest, kMaxPixels).ok());
}

TEST(DecoderWire, AMessageIsMadePrintableAndIsNotReadPastItsEnd) {
  DecodeReply reply = MakeReply(7, absl::InvalidArgumentError("a\nb\x1b[2J\xff"));
  auto checked = CheckReply(Bytes(reply), kRequest, kMaxPixels);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked->status.message(), "a?b?[2J?");
  reply = MakeReply(7, absl::InvalidArgumentError(std::string(1000, 'x')));
  checked = CheckReply(Bytes(reply), kRequest, kMaxPixels);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked->status.message(), std::string(sizeof(reply.message), 'x'));
}

TEST(DecoderWire, AnyBytesGiveAStatusAtWorst) {
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    DecodeReply reply = Picture(10, 10);
    auto* bytes = reinterpret_cast<unsigned char*>(&reply);
    for (int n = random() % 4; n >= 0; --n) bytes[random() % 28] = static_cast<unsigned char>(random());
    const auto checked = CheckReply(Bytes(reply), kRequest, kMaxPixels);
    if (checked.ok() && checked->width != 0) {
      EXPECT_LE(int64_t{checked->width} * checked->height, kMaxPixels);
    }
  }
}

}  // namespace
}  // namespace parley::streaming
