#include "engine/kernels/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace parley::engine::kernels {
namespace {

TEST(ThreadTeam, DoesEveryPieceOnceHoweverManyThreadsThereAre) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.threads(), threads);
    for (int round = 0; round < 300; ++round) {
      const int count = round % 37;
      std::vector<int> done(count, 0);  // plain ints: two writers of one element would be a race
      team.For(count, 1 + round % 4, [&](int begin, int end) {
        for (int i = begin; i < end; ++i) ++done[i];
      });
      EXPECT_EQ(done, std::vector<int>(count, 1));
    }
  }
}

TEST(ThreadTeam, MakesTheWorkOfOneLoopVisibleToTheNext) {
  ThreadTeam team(3);
  std::vector<int> values(64, 0);
  for (int round = 1; round <= 500; ++round) {
    team.For(64, 4, [&](int begin, int end) {
      for (int i = begin; i < end; ++i) values[i] += 1;
    });
    for (int v : values) ASSERT_EQ(v, round);
  }
}

}  // namespace
}  // namespace parley::engine::kernels
