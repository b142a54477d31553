// The policy of whose picture is decoded, in simulated time.
#include "streaming/decoders/decode_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace parley::streaming {
namespace {

using testing::ElementsAre;
using testing::Optional;

constexpr absl::Time kStart = absl::UnixEpoch();
constexpr DecodePolicy kPolicy = {
    .places = 2, .call_share = 0.5, .call_burst = absl::Seconds(2), .max_wait = absl::Seconds(2)};

// Uses up so much of the call's share.
void Use(DecodeQueue& queue, DecodeQueue::CallId call, absl::Duration used, absl::Time now) {
  ASSERT_TRUE(queue.Ask(call, now));
  ASSERT_THAT(queue.Start(), Optional(call));
  queue.Finish(call, used, now);
}

TEST(DecodeQueue, FramesAreDecodedInTheOrderTheyCameAsManyAtOnceAsThereArePlaces) {
  DecodeQueue queue(kPolicy);
  for (DecodeQueue::CallId call : {1, 2, 3}) {
    queue.Open(call, kStart);
    EXPECT_TRUE(queue.Ask(call, kStart));
  }
  EXPECT_THAT(queue.Start(), Optional(1));
  EXPECT_THAT(queue.Start(), Optional(2));
  EXPECT_EQ(queue.Start(), std::nullopt);
  queue.Finish(2, absl::Milliseconds(1), kStart);
  EXPECT_THAT(queue.Start(), Optional(3));
}

TEST(DecodeQueue, ACallOverItsShareIsRefusedUntilTimeHasGivenItBack) {
  DecodeQueue queue(kPolicy);
  queue.Open(1, kStart);
  Use(queue, 1, absl::Seconds(3), kStart);  // one second more than there was
  EXPECT_FALSE(queue.Ask(1, kStart));
  EXPECT_FALSE(queue.Ask(1, kStart + absl::Seconds(2)));
  EXPECT_TRUE(queue.Ask(1, kStart + absl::Seconds(2.1)));
}

TEST(DecodeQueue, TheLastPlaceIsKeptForCallsOfShortFrames) {
  DecodeQueue queue(kPolicy);
  for (DecodeQueue::CallId call : {1, 2, 3}) queue.Open(call, kStart);
  Use(queue, 1, absl::Seconds(1.5), kStart);
  Use(queue, 2, absl::Seconds(1.5), kStart);
  EXPECT_TRUE(queue.Ask(1, kStart));
  EXPECT_TRUE(queue.Ask(2, kStart));
  EXPECT_THAT(queue.Start(), Optional(1));
  EXPECT_EQ(queue.Start(), std::nullopt) << "long frames wait for each other";
  EXPECT_TRUE(queue.Ask(3, kStart));
  EXPECT_THAT(queue.Start(), Optional(3));
}

TEST(DecodeQueue, OneThatWaitsTooLongIsDroppedAndMayComeAgain) {
  DecodeQueue queue({.places = 1, .max_wait = absl::Seconds(2)});
  for (DecodeQueue::CallId call : {1, 2, 3}) queue.Open(call, kStart);
  EXPECT_EQ(queue.NextExpiry(), absl::InfiniteFuture());
  EXPECT_TRUE(queue.Ask(1, kStart));
  EXPECT_THAT(queue.Start(), Optional(1));
  EXPECT_TRUE(queue.Ask(2, kStart));
  EXPECT_TRUE(queue.Ask(3, kStart + absl::Seconds(1)));
  EXPECT_EQ(queue.NextExpiry(), kStart + absl::Seconds(2));
  EXPECT_THAT(queue.TakeExpired(kStart + absl::Seconds(2)), ElementsAre(2));
  EXPECT_FALSE(queue.waits(2));
  EXPECT_TRUE(queue.waits(3));
  EXPECT_TRUE(queue.Ask(2, kStart + absl::Seconds(2)));
}

TEST(DecodeQueue, ACallThatEndsGivesItsPlaceBack) {
  DecodeQueue queue({.places = 1});
  queue.Open(1, kStart);
  queue.Open(2, kStart);
  EXPECT_TRUE(queue.Ask(1, kStart));
  EXPECT_THAT(queue.Start(), Optional(1));
  EXPECT_TRUE(queue.Ask(2, kStart));
  queue.Close(1);
  queue.Finish(1, absl::Seconds(1), kStart);  // late
  EXPECT_THAT(queue.Start(), Optional(2));
  EXPECT_EQ(queue.Start(), std::nullopt);
}

// A minute of calls that each send a frame as soon as their last one is done or dropped, at most every
// `interval`, and each take `work` of a core.
struct Camera {
  absl::Duration interval;
  absl::Duration work;
  // What happened:
  int decoded = 0;
  int dropped = 0;
  absl::Duration longest;  // from asked to done
};

void Simulate(DecodeQueue& queue, std::map<DecodeQueue::CallId, Camera>& cameras) {
  struct State {
    absl::Time next;
    absl::Time asked;
    absl::Time done = absl::InfiniteFuture();
    bool busy = false;
  };
  std::map<DecodeQueue::CallId, State> states;
  for (auto& [id, camera] : cameras) {
    queue.Open(id, kStart);
    states[id].next = kStart;
  }
  for (absl::Time now = kStart; now < kStart + absl::Minutes(1); now += absl::Milliseconds(1)) {
    for (auto& [id, camera] : cameras) {
      State& state = states[id];
      if (state.busy && now >= state.done) {
        queue.Finish(id, camera.work, now);
        ++camera.decoded;
        camera.longest = std::max(camera.longest, now - state.asked);
        state = {.next = std::max(now, state.asked + camera.interval)};
      }
      if (!state.busy && now >= state.next) {
        state.asked = now;
        state.next = now + camera.interval;
        if (queue.Ask(id, now)) {
          state.busy = true;
        } else {
          ++camera.dropped;
        }
      }
    }
    for (const DecodeQueue::CallId id : queue.TakeExpired(now)) {
      ++cameras[id].dropped;
      states[id].busy = false;
    }
    while (const auto id = queue.Start()) states[*id].done = now + cameras[*id].work;
  }
}

TEST(DecodeQueue, HeavyCamerasDoNotDelayALightOne) {
  DecodeQueue queue(kPolicy);
  std::map<DecodeQueue::CallId, Camera> cameras = {
      {1, {absl::Milliseconds(33), absl::Milliseconds(4)}},     // 720p at 30 frames a second
      {2, {absl::Milliseconds(100), absl::Milliseconds(400)}},  // stills of 16 megapixels
      {3, {absl::Milliseconds(100), absl::Milliseconds(400)}},
      {4, {absl::Milliseconds(100), absl::Milliseconds(400)}},
  };
  Simulate(queue, cameras);
  EXPECT_GE(cameras[1].decoded, 60'000 / 34 - 15);
  EXPECT_EQ(cameras[1].dropped, 0);
  // Until it is known that their frames are long.
  EXPECT_LE(cameras[1].longest, absl::Milliseconds(410));
  for (DecodeQueue::CallId heavy : {2, 3, 4}) {
    EXPECT_NEAR(cameras[heavy].decoded, 60'000 / 400 / 3, 2) << "they share one place alike";
  }
}

TEST(DecodeQueue, MoreHeavyCamerasThanAPlaceCanServeLoseFramesAlike) {
  DecodeQueue queue(kPolicy);
  std::map<DecodeQueue::CallId, Camera> cameras;
  for (DecodeQueue::CallId call = 1; call <= 12; ++call)
    cameras[call] = {absl::Milliseconds(100), absl::Milliseconds(400)};
  Simulate(queue, cameras);
  for (const auto& [id, camera] : cameras) {
    EXPECT_GE(camera.decoded, 60'000 / 400 / 12 - 6) << id;
    EXPECT_GT(camera.dropped, 0) << id;
    EXPECT_LE(camera.longest, kPolicy.max_wait + absl::Milliseconds(400)) << id;
  }
}

TEST(DecodeQueue, OneHeavyCameraGetsItsShareOfACoreAndNoMore) {
  DecodeQueue queue(kPolicy);
  std::map<DecodeQueue::CallId, Camera> cameras = {{1, {absl::Milliseconds(10), absl::Milliseconds(400)}}};
  Simulate(queue, cameras);
  EXPECT_NEAR(cameras[1].decoded, (60 * 0.5 + 2) / 0.4, 3);
}

TEST(Backoff, TheFirstFailureCostsNothingAndEachThatFollowsDoublesTheWait) {
  Backoff backoff;
  absl::Time now = kStart;
  EXPECT_LE(backoff.not_before(), now);
  backoff.Failed(now);
  EXPECT_LE(backoff.not_before(), now);
  for (absl::Duration wait : {absl::Milliseconds(250), absl::Milliseconds(500), absl::Seconds(1),
                              absl::Seconds(2), absl::Seconds(4), absl::Seconds(8)}) {
    backoff.Failed(now);
    EXPECT_EQ(backoff.not_before() - now, wait);
    now = backoff.not_before();
  }
  backoff.Failed(now);
  EXPECT_EQ(backoff.not_before() - now, Backoff::kMost);
}

TEST(Backoff, TimeWithoutAFailureForgivesThem) {
  Backoff backoff;
  for (int i = 0; i < 3; ++i) backoff.Failed(kStart);
  const absl::Time later = kStart + 3 * Backoff::kForgive;
  backoff.Failed(later);
  EXPECT_LE(backoff.not_before(), later);
}

}  // namespace
}  // namespace parley::streaming
