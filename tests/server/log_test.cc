// Logging never holds anybody up, and no flood of one event fills the log.
#include "server/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/log_limit.h"
#include "server/log_queue.h"

namespace parley::server {
namespace {

using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(60);

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    CloseReader();
    CloseWriter();
  }
  int writer() const { return ends_[1]; }
  void CloseReader() { Close(ends_[0]); }
  void CloseWriter() { Close(ends_[1]); }
  // Reads until the writing end is closed.
  std::thread Drain(std::string& to) {
    return std::thread([this, &to] {
      char buffer[4'096];
      for (ssize_t n; (n = read(ends_[0], buffer, sizeof(buffer))) > 0;)
        to.append(buffer, static_cast<size_t>(n));
    });
  }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  int ends_[2];
};

std::string SayLost(int64_t lines) { return absl::StrCat("lost ", lines, "\n"); }

TEST(LogQueue, WritesWhatIsPushedInOrder) {
  Pipe pipe;
  std::string text;
  std::thread reader = pipe.Drain(text);
  {
    LogQueue queue(pipe.writer(), 1 << 20, SayLost);
    for (int i = 0; i < 10'000; ++i) queue.Push(absl::StrCat(i, "\n"));
    EXPECT_TRUE(queue.Flush(kPatience));
    EXPECT_EQ(queue.lost(), 0);
  }
  pipe.CloseWriter();
  reader.join();
  EXPECT_THAT(text, StartsWith("0\n1\n2\n"));
  EXPECT_THAT(text, EndsWith("9998\n9999\n"));
}

TEST(LogQueue, APipeThatNobodyReadsHoldsNobodyUpAndTheGapIsToldWhereItIs) {
  Pipe pipe;
  std::string text;
  constexpr int kLines = 20'000;
  const std::string line = std::string(99, 'x') + "\n";
  std::thread reader;
  int64_t lost = 0;
  {
    LogQueue queue(pipe.writer(), 64 << 10, SayLost);
    for (int i = 0; i < kLines; ++i) queue.Push(line);
    lost = queue.lost();
    EXPECT_GT(lost, kLines / 4);  // a pipe holds a megabyte at most
    EXPECT_FALSE(queue.Flush(absl::ZeroDuration()));
    reader = pipe.Drain(text);
    EXPECT_TRUE(queue.Flush(kPatience));
    queue.Push("after\n");
    EXPECT_TRUE(queue.Flush(kPatience));
    EXPECT_EQ(queue.lost(), lost);
  }
  pipe.CloseWriter();
  reader.join();
  EXPECT_EQ(std::count(text.begin(), text.end(), 'x') / 99 + lost, kLines);
  EXPECT_THAT(text, EndsWith("after\n"));
  // There may be several gaps; what is told of them is all that is missing.
  int64_t told = 0;
  for (size_t at = 0; (at = text.find("lost ", at)) != std::string::npos; ++at)
    told += std::stoll(text.substr(at + 5));
  EXPECT_EQ(told, lost);
}

TEST(LogQueue, EndsThoughNobodyReads) {
  Pipe pipe;
  LogQueue queue(pipe.writer(), 1 << 20, SayLost);
  for (int i = 0; i < 10'000; ++i) queue.Push(std::string(99, 'x') + "\n");
}

TEST(LogQueue, AReaderThatIsGoneLosesLinesOnly) {
  Pipe pipe;
  pipe.CloseReader();
  LogQueue queue(pipe.writer(), 1 << 20, SayLost);
  for (int i = 1; i <= 3; ++i) {
    queue.Push("line\n");
    EXPECT_TRUE(queue.Flush(kPatience));
    EXPECT_EQ(queue.lost(), i);
  }
}

class LogLimiterTest : public ::testing::Test {
 protected:
  int Taken(const char* kind, int lines) {
    int taken = 0;
    for (int i = 0; i < lines; ++i) taken += limiter_.Take(kind, now_) ? 1 : 0;
    return taken;
  }
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  LogLimiter limiter_{{.burst = 100, .per_second = 10, .summary_after = absl::Seconds(10)}};
};

TEST_F(LogLimiterTest, ABurstStaysAndAFloodDoesNot) {
  EXPECT_EQ(Taken("refused", 100), 100);
  EXPECT_EQ(Taken("refused", 100), 0);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Taken("refused", 100), 10);
}

TEST_F(LogLimiterTest, OneKindTakesNothingFromAnother) {
  Taken("refused", 1'000);
  EXPECT_EQ(Taken("call opened", 50), 50);
}

TEST_F(LogLimiterTest, WhatWasLeftOutIsToldOnceAfterAWhile) {
  Taken("refused", 100);
  EXPECT_THAT(limiter_.Due(now_), IsEmpty());
  Taken("refused", 7);
  now_ += absl::Seconds(9);
  EXPECT_THAT(limiter_.Due(now_), IsEmpty());
  now_ += absl::Seconds(1);
  const auto due = limiter_.Due(now_);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, "refused");
  EXPECT_EQ(due[0].lines, 7);
  EXPECT_THAT(limiter_.Due(now_), IsEmpty());
  EXPECT_EQ(limiter_.left_out(), 7);
}

TEST_F(LogLimiterTest, AtTheEndAllIsTold) {
  Taken("refused", 101);
  EXPECT_EQ(limiter_.Due(absl::InfiniteFuture()).size(), 1u);
}

}  // namespace
}  // namespace parley::server
