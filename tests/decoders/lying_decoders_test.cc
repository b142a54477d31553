// Decoders that lie, hang or are gone, played by threads of the test: the frame has a status, the call goes
// on with another decoder, and nothing is left behind.
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "streaming/decoders/process_decoders.h"
#include "tests/decoders/decoding.h"

namespace parley::streaming {
namespace {

using testing::HasSubstr;

constexpr int kSmall = 1000;  // pixels

// The decoder's end.
struct Fake {
  int socket = -1;
  int memory = -1;
  DecoderConfig config;

  // False: the server has closed its end.
  bool Await(DecodeRequest* request) const {
    return recv(socket, request, sizeof(*request), 0) == static_cast<ssize_t>(sizeof(*request));
  }
  void AwaitEnd() const {
    DecodeRequest request;
    while (Await(&request)) {
    }
  }
  void Send(const DecodeReply& reply) const { (void)!send(socket, &reply, sizeof(reply), MSG_NOSIGNAL); }
  DecodeReply Picture(const DecodeRequest& request, int width, int height) const {
    DecodeReply reply = MakeReply(request.number, absl::OkStatus());
    reply.code = DecodeCode::kPicture;
    reply.width = width;
    reply.height = height;
    return reply;
  }
};

void BeHonest(const Fake& fake) {
  DecodeRequest request;
  while (fake.Await(&request)) fake.Send(fake.Picture(request, 10, 10));
}

// The first decoder behaves as the test says, those after it honestly.
class Fakes : public ChildSource {
 public:
  using Behaviour = std::function<void(const Fake&)>;
  explicit Fakes(Behaviour first)
      : first_(std::move(first)), event_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Fakes() override {
    for (std::thread& thread : threads_) thread.join();
  }

  absl::Status Launch() override {
    ++launches;
    Push({.kind = Event::kReady, .codecs = ~0u});
    return absl::OkStatus();
  }
  int fd() const override { return event_fd_.get(); }
  std::optional<Event> Next() override {
    absl::MutexLock lock(&mutex_);
    if (events_.empty()) {
      uint64_t count = 0;
      (void)!read(event_fd_.get(), &count, sizeof(count));
      return std::nullopt;
    }
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  bool Spawn(uint64_t child, const DecoderConfig& config, const Descriptor& socket,
             const Descriptor& memory) override {
    if (deaf) return false;
    const Fake fake = {dup(socket.get()), dup(memory.get()), config};
    Behaviour behaviour = std::exchange(first_, BeHonest);
    if (all_hang) behaviour = [](const Fake& hanging) { hanging.AwaitEnd(); };
    // Above any pid that Linux gives: its processor time is not known.
    if (tells_start) Push({.kind = Event::kSpawned, .child = child, .pid = (1 << 22) + 1});
    threads_.emplace_back([this, child, fake, behaviour = std::move(behaviour)] {
      behaviour(fake);
      close(fake.socket);
      close(fake.memory);
      if (tells_end) Push({.kind = Event::kEnded, .child = child, .status = ended_status});
    });
    ++started;
    return true;
  }
  bool Kill(uint64_t) override { return true; }  // the server closes its end

  std::atomic<bool> deaf = false;
  std::atomic<bool> all_hang = false;
  std::atomic<bool> tells_start = true;
  std::atomic<bool> tells_end = true;
  std::atomic<int> ended_status = 0;  // of waitpid
  std::atomic<int> launches = 0;
  std::atomic<int> started = 0;  // decoders

 private:
  void Push(Event event) {
    absl::MutexLock lock(&mutex_);
    events_.push_back(std::move(event));
    const uint64_t one = 1;
    (void)!write(event_fd_.get(), &one, sizeof(one));
  }

  Behaviour first_;
  const Descriptor event_fd_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
};

class LyingDecoders : public testing::Test {
 protected:
  void Start(Fakes::Behaviour first) {
    auto fakes = std::make_unique<Fakes>(std::move(first));
    fakes_ = fakes.get();
    auto decoders = ProcessDecoders::Start({.max_frame_bytes = 1000, .clock = &clock_}, std::move(fakes));
    ASSERT_TRUE(decoders.ok()) << decoders.status();
    decoders_ = *std::move(decoders);
    decoder_ = Open(*decoders_, VideoCodec::kJpeg, kSmall);
  }
  // The frame that meets the first decoder is reported damaged, and the next one has an honest one.
  void ExpectRefused(Fakes::Behaviour first, const std::string& words) {
    Start(std::move(first));
    const auto refused = Decode(*decoder_, "frame");
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << refused.status();
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(words));
    ExpectGoesOn();
  }
  // A frame that waits while the clock moves is dropped, and meets no decoder: this one has met the first.
  Outcome AskAndAwaitStart() {
    const Outcome outcome = Ask(*decoder_, "frame");
    while (fakes_->started < 1) std::this_thread::yield();
    return outcome;
  }
  // The test's clock counts as what decoders used, where it was moved: time gives their share back.
  void ExpectGoesOn(absl::Duration after = absl::ZeroDuration()) {
    clock_.Advance(after);
    const auto image = Decode(*decoder_, "frame");
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ((*image)->width, 10);
  }

  SimulatedClock clock_;
  Fakes* fakes_ = nullptr;
  std::unique_ptr<ProcessDecoders> decoders_;
  std::unique_ptr<PictureDecoder> decoder_;
};

TEST_F(LyingDecoders, APictureLargerThanTheLimitIsRefused) {
  ExpectRefused(
      [](const Fake& fake) {
        DecodeRequest request;
        fake.Await(&request);
        fake.Send(fake.Picture(request, kSmall, kSmall));
        fake.AwaitEnd();
      },
      "a picture of 1000 x 1000");
}

TEST_F(LyingDecoders, AReplyToAnotherRequestIsRefused) {
  ExpectRefused(
      [](const Fake& fake) {
        DecodeRequest request;
        fake.Await(&request);
        ++request.number;
        fake.Send(fake.Picture(request, 10, 10));
        fake.AwaitEnd();
      },
      "number");
}

TEST_F(LyingDecoders, AReplyOfAnotherSizeIsRefused) {
  ExpectRefused(
      [](const Fake& fake) {
        DecodeRequest request;
        fake.Await(&request);
        const std::string more(sizeof(DecodeReply) + 1000, 'x');
        (void)!send(fake.socket, more.data(), more.size(), MSG_NOSIGNAL);
        fake.AwaitEnd();
      },
      "bytes");
}

TEST_F(LyingDecoders, OneThatSpeaksUnaskedIsEndedAndCostsItsCallOneDecoder) {
  Start([](const Fake& fake) {
    DecodeRequest request;
    fake.Await(&request);
    for (int i = 0; i < 1000; ++i) fake.Send(fake.Picture(request, 10, 10));
    fake.AwaitEnd();
  });
  ExpectGoesOn();  // the first reply is in order
  // What follows ends it: the frame that meets it in between is refused, the next one is not.
  const auto met = Decode(*decoder_, "frame");
  EXPECT_TRUE(met.ok() || absl::IsInvalidArgument(met.status())) << met.status();
  ExpectGoesOn();
}

TEST_F(LyingDecoders, TheSharedMemoryCannotBeTakenAway) {
  std::atomic<int> shrunk = 0;
  std::atomic<int> grown = 0;
  std::atomic<int> sealed = 0;
  Start([&](const Fake& fake) {
    DecodeRequest request;
    fake.Await(&request);
    shrunk = ftruncate(fake.memory, 0);
    grown = ftruncate(fake.memory, int64_t{1} << 40);
    sealed = fcntl(fake.memory, F_ADD_SEALS, F_SEAL_WRITE);
    fallocate(fake.memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, fake.config.shared_bytes());
    fake.Send(fake.Picture(request, 20, 50));
    BeHonest(fake);
  });
  const auto image = Decode(*decoder_, "frame");
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->pixels, std::vector<uint8_t>(3 * 20 * 50));
  EXPECT_EQ(shrunk, -1);
  EXPECT_EQ(grown, -1);
  EXPECT_EQ(sealed, -1);
  ExpectGoesOn();
}

TEST_F(LyingDecoders, DescriptorsThatComeAlongAreNotKept) {
  const auto count = [] {
    int descriptors = 0;
    DIR* folder = opendir("/proc/self/fd");
    while (readdir(folder) != nullptr) ++descriptors;
    closedir(folder);
    return descriptors;
  };
  Start([](const Fake& fake) {
    DecodeRequest request;
    while (fake.Await(&request)) {
      DecodeReply reply = fake.Picture(request, 10, 10);
      iovec part = {&reply, sizeof(reply)};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof(control);
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(rights), &fake.memory, sizeof(int));
      (void)!sendmsg(fake.socket, &message, MSG_NOSIGNAL);
    }
  });
  ExpectGoesOn();
  const int before = count();
  for (int i = 0; i < 50; ++i) ExpectGoesOn();
  EXPECT_EQ(count(), before);
}

TEST_F(LyingDecoders, OneThatHangsIsGivenUpAfterTheFrameLimit) {
  Start([](const Fake& fake) { fake.AwaitEnd(); });
  const Outcome outcome = AskAndAwaitStart();
  clock_.Advance(DecodePolicy().frame_limit - absl::Milliseconds(1));
  decoders_->Wake();
  EXPECT_FALSE(outcome.told());
  clock_.Advance(absl::Milliseconds(1));
  decoders_->Wake();
  EXPECT_TRUE(absl::IsDeadlineExceeded(outcome.Get().status())) << outcome.Get().status();
  ExpectGoesOn(absl::Minutes(1));
}

TEST_F(LyingDecoders, OneThatIsGoneInMidFrameIsReportedByItsEnd) {
  struct Case {
    int status;
    absl::StatusCode code;
  };
  for (const Case& each :
       {Case{SIGXCPU, absl::StatusCode::kDeadlineExceeded}, Case{SIGKILL, absl::StatusCode::kAborted},
        Case{SIGSYS, absl::StatusCode::kInvalidArgument}, Case{SIGSEGV, absl::StatusCode::kInvalidArgument},
        Case{2 << 8, absl::StatusCode::kAborted}}) {
    Start([this, &each](const Fake& fake) {
      DecodeRequest request;
      fake.Await(&request);
      fakes_->ended_status = each.status;
    });
    EXPECT_EQ(Decode(*decoder_, "frame").status().code(), each.code) << each.status;
    ExpectGoesOn();
    decoder_.reset();
    decoders_.reset();
  }
}

TEST_F(LyingDecoders, OneWhoseEndIsNeverToldIsGivenUpAllTheSame) {
  Start([](const Fake& fake) {
    DecodeRequest request;
    fake.Await(&request);
  });
  fakes_->tells_end = false;
  const Outcome outcome = AskAndAwaitStart();
  while (!outcome.told()) {
    clock_.Advance(absl::Milliseconds(100));
    decoders_->Wake();
    std::this_thread::yield();
  }
  EXPECT_TRUE(absl::IsInvalidArgument(outcome.Get().status()) ||
              absl::IsDeadlineExceeded(outcome.Get().status()));
  ExpectGoesOn(absl::Minutes(1));
}

// It stands still, and with it every process that it should have started: as in a machine that was suspended.
TEST_F(LyingDecoders, AForkServerThatStartsNothingForManyCallsIsStartedAgainAndTheyGoOn) {
  Start(BeHonest);
  fakes_->all_hang = true;
  fakes_->tells_start = false;
  std::vector<std::unique_ptr<PictureDecoder>> calls;
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(Open(*decoders_, VideoCodec::kJpeg, kSmall));
    outcomes.push_back(Ask(*calls.back(), "frame"));
  }
  // Two decode at a time: both are overdue at once.
  while (fakes_->started < 2) std::this_thread::yield();
  clock_.Advance(absl::Minutes(1));
  decoders_->Wake();
  for (const Outcome& outcome : outcomes) EXPECT_FALSE(outcome.Get().ok());
  fakes_->all_hang = false;
  fakes_->tells_start = true;
  clock_.Advance(absl::Minutes(1));
  for (const auto& call : calls) {
    while (!Decode(*call, "frame").ok()) {
      clock_.Advance(absl::Seconds(1));
      decoders_->Wake();
      std::this_thread::yield();
    }
  }
}

TEST_F(LyingDecoders, AForkServerThatStartsNothingIsStartedAgain) {
  Start([](const Fake& fake) { fake.AwaitEnd(); });
  fakes_->tells_start = false;
  const Outcome outcome = AskAndAwaitStart();
  clock_.Advance(absl::Hours(1));
  decoders_->Wake();
  EXPECT_TRUE(absl::IsDeadlineExceeded(outcome.Get().status())) << outcome.Get().status();
  fakes_->tells_start = true;
  // The call's share of time pays neither for the wait nor for the machine's sleep.
  clock_.Advance(absl::Seconds(10));
  while (absl::IsAborted(Decode(*decoder_, "frame").status())) std::this_thread::yield();
  ExpectGoesOn();
  EXPECT_EQ(fakes_->launches, 2);
}

TEST_F(LyingDecoders, AForkServerThatDoesNotListenLosesTheFrameOnly) {
  Start(BeHonest);
  fakes_->deaf = true;
  EXPECT_TRUE(absl::IsAborted(Decode(*decoder_, "frame").status()));
  fakes_->deaf = false;
  ExpectGoesOn();
}

TEST_F(LyingDecoders, AFrameOverTheLimitNeverReachesADecoder) {
  Start(BeHonest);
  EXPECT_TRUE(absl::IsInvalidArgument(Decode(*decoder_, std::string(1001, 'x')).status()));
  ExpectGoesOn();
}

TEST_F(LyingDecoders, AfterAFrameThatWasDroppedTheDecoderIsTold) {
  std::vector<int> after_loss;
  Start([&](const Fake& fake) {
    DecodeRequest request;
    while (fake.Await(&request)) {
      after_loss.push_back(request.after_loss);
      fake.Send(fake.Picture(request, 10, 10));
      if (after_loss.size() == 2) {
        // Uses up its call's share: its time cannot be told, so the clock's counts.
        fake.Await(&request);
        after_loss.push_back(request.after_loss);
        clock_.Advance(absl::Seconds(3));
        fake.Send(fake.Picture(request, 10, 10));
      }
    }
  });
  ExpectGoesOn();
  ExpectGoesOn();
  ExpectGoesOn();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Decode(*decoder_, "frame").status())) << "over its share";
  clock_.Advance(absl::Seconds(10));
  ExpectGoesOn();
  decoder_.reset();
  decoders_.reset();
  EXPECT_THAT(after_loss, testing::ElementsAre(0, 0, 0, 1));
}

}  // namespace
}  // namespace parley::streaming
