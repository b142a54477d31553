// What a decoder's process may not do, and what becomes of one that tries:
// tests/decoders/misbehaving_decoder.cc.
#include "streaming/decoders/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "streaming/decoders/process_decoders.h"
#include "tests/decoders/decoding.h"
#include "tests/decoders/processes.h"

namespace parley::streaming {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

// Names in a folder of /proc.
int Count(const std::string& folder) {
  int count = 0;
  if (DIR* open = opendir(folder.c_str()); open != nullptr) {
    while (const dirent* entry = readdir(open)) count += entry->d_name[0] != '.' ? 1 : 0;
    closedir(open);
  }
  return count;
}

class SandboxTest : public testing::Test {
 protected:
  // Limits of time never end by themselves: the clock stands still.
  void Start() {
    auto decoders = ProcessDecoders::Start({.program = PARLEY_MISBEHAVING_DECODER,
                                            .clock = &clock_,
                                            .on_incident = [this](const std::string& what) {
                                              absl::MutexLock lock(&mutex_);
                                              incidents_.push_back(what);
                                            }});
    ASSERT_TRUE(decoders.ok()) << decoders.status();
    decoders_ = *std::move(decoders);
    decoder_ = Open(*decoders_);
  }
  int ForkServer() { return ChildrenOf(getpid()).at(0); }
  std::vector<std::string> incidents() {
    absl::MutexLock lock(&mutex_);
    return incidents_;
  }

  SimulatedClock clock_;
  absl::Mutex mutex_;
  std::vector<std::string> incidents_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ProcessDecoders> decoders_;
  std::unique_ptr<PictureDecoder> decoder_;
};

TEST_F(SandboxTest, WhatADecoderMayNotDoEndsItOrIsRefused) {
  Start();
  for (const std::string what : {"socket", "open", "write file", "fork", "exec", "kill parent", "ptrace",
                                 "executable memory", "shrink memory", "raise limits"}) {
    if (kSanitized && what == "open") continue;  // their runtimes read files
    const auto decoder = Open(*decoders_);
    const auto image = Decode(*decoder, what);
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << what << ": " << image.status();
    EXPECT_THAT(std::string(image.status().message()), AnyOf(HasSubstr("SIGSYS"), HasSubstr("was refused")))
        << what;
  }
  EXPECT_NE(access("/tmp/parley-decoder-was-here", F_OK), 0);
}

TEST_F(SandboxTest, ADecoderHasThreeDescriptorsBesideItsSocketAndMemoryAndALowerPriority) {
  Start();
  ASSERT_TRUE(Decode(*decoder_, "picture 4").ok());
  const std::vector<int> decoders = ChildrenOf(ForkServer());
  ASSERT_EQ(decoders.size(), 1u);
  EXPECT_EQ(InfoOf(decoders[0]).nice, InfoOf(getpid()).nice + 5);
  std::ifstream status(absl::StrCat("/proc/", decoders[0], "/status"));
  const std::string text((std::istreambuf_iterator<char>(status)), {});
  EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(text, HasSubstr("Seccomp:\t2"));
  // /proc of a process that is not dumpable is root's.
  if (geteuid() == 0) {
    EXPECT_EQ(Count(absl::StrCat("/proc/", decoders[0], "/fd")), 5);
  }
}

TEST_F(SandboxTest, ACrashLosesTheFrameAndTheNextOneHasAnotherDecoder) {
  Start();
  for (const auto& [what, words] :
       {std::pair<std::string, std::string>{"crash", "signal"}, {"null", "signal"}}) {
    const auto decoder = Open(*decoders_);
    EXPECT_THAT(std::string(Decode(*decoder, "count").status().message()), HasSubstr("frames: 1"));
    EXPECT_THAT(std::string(Decode(*decoder, "count").status().message()), HasSubstr("frames: 2"));
    const auto crashed = Decode(*decoder, what);
    EXPECT_FALSE(crashed.ok());
    if (!kSanitized) {  // their reports end it in other ways
      EXPECT_EQ(crashed.status().code(), absl::StatusCode::kInvalidArgument) << crashed.status();
      EXPECT_THAT(std::string(crashed.status().message()), HasSubstr(words));
    }
    EXPECT_THAT(std::string(Decode(*decoder, "count").status().message()), HasSubstr("frames: 1"));
  }
  EXPECT_FALSE(incidents().empty());
  const PictureDecoderCounts counts = decoders_->counts();
  EXPECT_EQ(counts.started, 4);
  EXPECT_EQ(counts.overdue + counts.killed + counts.crashed, 2);
  if (!kSanitized) {
    EXPECT_EQ(counts.crashed, 2);
  }
  EXPECT_EQ(counts.fork_server_restarts, 0);
}

TEST_F(SandboxTest, ADecoderThatEndsByItselfIsReplaced) {
  Start();
  EXPECT_TRUE(absl::IsAborted(Decode(*decoder_, "exit").status()));
  EXPECT_TRUE(Decode(*decoder_, "picture 4").ok());
}

TEST_F(SandboxTest, ADecoderThatKeepsEndingIsLeftAloneForAWhile) {
  Start();
  std::string last;
  for (int i = 0; i < 3; ++i) last = std::string(Decode(*decoder_, "exit").status().message());
  EXPECT_THAT(last, HasSubstr("again and again"));
  const auto image = Decode(*decoder_, "picture 4");
  EXPECT_TRUE(absl::IsAborted(image.status())) << image.status();
  EXPECT_TRUE(Decode(*Open(*decoders_), "picture 4").ok()) << "another call is not left alone";
  clock_.Advance(Backoff::kFirst);
  EXPECT_TRUE(Decode(*decoder_, "picture 4").ok());
}

TEST_F(SandboxTest, AFrameThatTakesTooLongIsDroppedAndItsDecoderEnded) {
  Start();
  for (const std::string what : {"loop", "sleep"}) {
    const auto decoder = Open(*decoders_);
    const int64_t started = decoders_->counts().started;
    const Outcome outcome = Ask(*decoder, what);
    // A frame that waits while the clock moves is dropped, and one whose process is not there costs the fork
    // server.
    while (decoders_->counts().started == started) std::this_thread::yield();
    while (!outcome.told()) {
      clock_.Advance(absl::Seconds(1));
      decoders_->Wake();
      std::this_thread::yield();
    }
    EXPECT_TRUE(absl::IsDeadlineExceeded(outcome.Get().status())) << what << ": " << outcome.Get().status();
    EXPECT_TRUE(Decode(*decoder, "picture 4").ok());
  }
  EXPECT_EQ(decoders_->counts().overdue, 2);
}

TEST_F(SandboxTest, MemoryThatADecoderTakesEndsAtItsLimitAndTheCallGoesOn) {
  if (kSanitized) GTEST_SKIP() << "the limit is off: sanitizers reserve address space";
  Start();
  const auto image = Decode(*decoder_, "allocate");
  EXPECT_TRUE(absl::IsAborted(image.status())) << image.status();
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("no memory"));
  EXPECT_TRUE(Decode(*decoder_, "picture 4").ok());
}

TEST_F(SandboxTest, ADecoderKilledInMidFrameLosesThatFrameOnly) {
  Start();
  const Outcome outcome = Ask(*decoder_, "sleep");
  std::vector<int> decoders;
  while (decoders.empty()) decoders = ChildrenOf(ForkServer());
  kill(decoders[0], SIGKILL);
  EXPECT_TRUE(absl::IsAborted(outcome.Get().status())) << outcome.Get().status();
  EXPECT_TRUE(Decode(*decoder_, "picture 4").ok());
  EXPECT_EQ(decoders_->counts().killed, 1);
}

TEST_F(SandboxTest, AForkServerThatDiesIsStartedAgainAndEveryCallGoesOn) {
  Start();
  const auto other = Open(*decoders_);
  ASSERT_TRUE(Decode(*other, "picture 4").ok());
  const Outcome outcome = Ask(*decoder_, "sleep");
  const int fork_server = ForkServer();
  while (ChildrenOf(fork_server).size() < 2) std::this_thread::yield();
  const std::vector<int> decoders = ChildrenOf(fork_server);
  kill(fork_server, SIGKILL);
  EXPECT_TRUE(absl::IsAborted(outcome.Get().status()));
  for (const int pid : decoders) AwaitEnd(pid);
  // Frames that come before it is there again are dropped.
  for (PictureDecoder* decoder : {decoder_.get(), other.get()}) {
    while (!Decode(*decoder, "picture 4").ok()) std::this_thread::yield();
  }
  EXPECT_NE(ForkServer(), fork_server);
  EXPECT_EQ(decoders_->counts().fork_server_restarts, 1);
}

TEST_F(SandboxTest, TheEndOfTheServerEndsItsDecoders) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t server = fork();
  if (server == 0) {
    // The server: tells its decoders' pids and waits to be killed in mid-frame.
    const SimulatedClock clock;  // stands still: the frame has no limit of time
    auto decoders = ProcessDecoders::Start({.program = PARLEY_MISBEHAVING_DECODER, .clock = &clock});
    const auto decoder = Open(**decoders);
    const Outcome outcome = Ask(*decoder, "loop");
    const int fork_server = ChildrenOf(getpid()).at(0);
    while (ChildrenOf(fork_server).empty()) std::this_thread::yield();
    const int pids[2] = {fork_server, ChildrenOf(fork_server)[0]};
    (void)!write(ends[1], pids, sizeof(pids));
    for (;;) pause();
  }
  int pids[2] = {};
  ASSERT_EQ(read(ends[0], pids, sizeof(pids)), static_cast<ssize_t>(sizeof(pids)));
  EXPECT_TRUE(Lives(pids[0]));
  EXPECT_TRUE(Lives(pids[1]));
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  AwaitEnd(pids[0]);
  AwaitEnd(pids[1]);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(SandboxTest, TwoHundredCallsLeaveNoDescriptorAndNoProcess) {
  Start();
  ASSERT_TRUE(Decode(*decoder_, "picture 4").ok());
  const int descriptors = Count("/proc/self/fd");
  const int fork_server = ForkServer();
  for (int round = 0; round < 10; ++round) {
    std::vector<std::unique_ptr<PictureDecoder>> calls;
    std::vector<Outcome> outcomes;
    for (int i = 0; i < 20; ++i) calls.push_back(Open(*decoders_));
    for (size_t i = 0; i < calls.size(); ++i) {
      const char* const kinds[] = {"picture 100", "crash", "count", "sleep"};
      outcomes.push_back(Ask(*calls[i], kinds[i % 4]));
      if (i % 4 == 3) calls[i].reset();  // in mid-frame
    }
    for (size_t i = 0; i < outcomes.size(); ++i) {
      if (i % 4 != 3) outcomes[i].Get();
    }
  }
  while (ChildrenOf(fork_server).size() > 1) std::this_thread::yield();
  EXPECT_TRUE(Decode(*decoder_, "picture 4").ok());
  EXPECT_EQ(Count("/proc/self/fd"), descriptors);
  decoder_.reset();
  decoders_.reset();
  EXPECT_FALSE(Lives(fork_server));
  EXPECT_EQ(ChildrenOf(getpid()).size(), 0u);
}

TEST(ProcessDecodersStart, SaysWhatIsMissing) {
  const auto none = ProcessDecoders::Start({.program = "/no/such/parley-decoder"});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("/no/such/parley-decoder"));
  const auto other = ProcessDecoders::Start({.program = "/bin/true"});
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition) << other.status();
}

}  // namespace
}  // namespace parley::streaming
