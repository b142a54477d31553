#include "base/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

TEST(ThreadPoolTest, DestructionRunsEveryTaskThatWasPosted) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Post([&] { ++ran; });
  }
  EXPECT_EQ(ran, 1000);
}

TEST(ThreadPoolTest, ATaskNeverRunsInsidePost) {
  ThreadPool pool(1);
  const std::thread::id poster = std::this_thread::get_id();
  absl::Notification done;
  std::thread::id runner;
  pool.Post([&] {
    runner = std::this_thread::get_id();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_NE(runner, poster);
}

TEST(StrandTest, TasksOfOneStrandRunInOrderOneAtATime) {
  ThreadPool pool(4);
  constexpr int kTasks = 2000;
  std::vector<int> order;  // no lock: the strand is one
  absl::BlockingCounter left(kTasks);
  Strand strand(&pool);
  for (int i = 0; i < kTasks; ++i) {
    strand.Post([&, i] {
      order.push_back(i);
      left.DecrementCount();
    });
  }
  left.Wait();
  for (int i = 0; i < kTasks; ++i) ASSERT_EQ(order[i], i);
}

TEST(StrandTest, TasksPostedByManyThreadsAllRun) {
  int count = 0;
  {
    ThreadPool pool(2);
    Strand strand(&pool);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) strand.Post([&] { ++count; });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(count, 2000);
}

TEST(StrandTest, TasksOutliveTheStrand) {
  ManualExecutor executor;
  std::vector<int> order;
  auto strand = std::make_unique<Strand>(&executor);
  for (int i = 0; i < 3; ++i) strand->Post([&, i] { order.push_back(i); });
  strand.reset();
  executor.RunUntilIdle();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST(ManualExecutorTest, RunsWhatItsTasksPostUntilNothingIsLeft) {
  ManualExecutor executor;
  int ran = 0;
  executor.Post([&] {
    ++ran;
    executor.Post([&] { ++ran; });
  });
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(executor.RunUntilIdle(), 2);
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(executor.RunUntilIdle(), 0);
}

}  // namespace
}  // namespace parley
