#include "streaming/decoders/process_decoders.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "streaming/decoders/child_life.h"
#include "streaming/decoders/child_link.h"
#include "streaming/decoders/fork_server.h"
#include "streaming/video/picture_header.h"

namespace parley::streaming {
namespace {

using CallId = DecodeQueue::CallId;

constexpr absl::Duration kStartLimit = absl::Seconds(10);
// A process whose socket has ended is gone; how long to wait to be told why.
constexpr absl::Duration kCauseLimit = absl::Seconds(1);
// How often idle processes are looked at, and what they may have used since their last frame.
constexpr absl::Duration kIdleLook = absl::Seconds(1);
constexpr absl::Duration kIdleUse = absl::Milliseconds(200);

// Of epoll's events. Children are numbered from here.
constexpr uint64_t kWakeTag = 0;
constexpr uint64_t kSourceTag = 1;
constexpr uint64_t kFirstChild = 16;

class Impl final : public ProcessDecoders {
 public:
  Impl(ProcessDecodersOptions options, std::unique_ptr<ChildSource> source)
      : options_(std::move(options)),
        clock_(options_.clock),
        queue_(options_.policy),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        source_(std::move(source)) {}

  ~Impl() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    Wake();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Begin() {
    if (!epoll_.valid() || !wake_.valid() || !Watch(wake_.get(), kWakeTag))
      return absl::InternalError("no descriptors for the picture decoders");
    thread_ = std::thread([this] { Run(); });
    if (!started_.WaitForNotificationWithTimeout(kStartLimit))
      return absl::FailedPreconditionError("the picture decoders' fork server does not say that it is ready");
    return start_status_;
  }

  absl::StatusOr<std::unique_ptr<PictureDecoder>> Open(VideoCodec codec, int64_t max_pixels) override;
  PictureDecoderCounts counts() const override {
    absl::MutexLock lock(&mutex_);
    return counts_;
  }

  void Wake() override {
    const uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
  }

 private:
  class Decoder;

  struct Job {
    PictureDecoder::Frame frame;
    PictureDecoder::Done done;
  };
  struct Call {
    DecoderConfig config;
    std::unique_ptr<ChildLink> child;
    std::optional<Job> job;
    bool running = false;  // the job is with the child
    bool gone = false;     // the child's socket has ended
    bool lost = false;     // the child has not seen a frame that the next one may refer to
    absl::Time started;    // the job
    absl::Time deadline;   // of what `timed_` holds
    absl::Duration cpu;    // of the child, as it was counted last
    Backoff backoff;
  };
  // What other threads ask for: one of the three.
  struct Command {
    CallId call = 0;
    std::optional<DecoderConfig> open;
    std::optional<Job> job;
    bool close = false;
  };

  void Post(Command command) {
    {
      absl::MutexLock lock(&mutex_);
      commands_.push_back(std::move(command));
    }
    Wake();
  }

  // ---- Below: the thread's own.

  void Run() {
    Launch();
    std::vector<epoll_event> events(64);
    for (;;) {
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), TimeoutMs());
      for (int i = 0; i < count; ++i) Handle(events[i].data.u64);
      if (!TakeCommands()) break;
      LookAtTheClock();
      Start();
    }
    for (auto& [id, call] : calls_) {
      if (call.job.has_value()) Tell(call, absl::AbortedError("the server stops"));
    }
    calls_.clear();
    source_.reset();
  }

  void Handle(uint64_t tag) {
    if (tag == kWakeTag) {
      uint64_t count = 0;
      (void)!read(wake_.get(), &count, sizeof(count));
    } else if (tag == kSourceTag) {
      // Within one round the fork server may be started again: then its descriptor is another.
      while (source_watched_) {
        const std::optional<ChildSource::Event> event = source_->Next();
        if (!event.has_value()) break;
        OnSource(*event);
      }
    } else if (const auto owner = owners_.find(tag); owner != owners_.end()) {
      OnReadable(owner->second, calls_.at(owner->second));
    }
  }

  // False: stop.
  bool TakeCommands() {
    std::vector<Command> commands;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return false;
      commands.swap(commands_);
    }
    for (Command& command : commands) {
      if (command.open.has_value()) {
        calls_[command.call].config = *command.open;
        queue_.Open(command.call, clock_->Now());
      } else if (command.close) {
        DropChild(command.call, calls_.at(command.call));
        queue_.Close(command.call);
        calls_.erase(command.call);
      } else {
        Take(command.call, calls_.at(command.call), *std::move(command.job));
      }
    }
    return true;
  }

  void Take(CallId id, Call& call, Job job) {
    const absl::Time now = clock_->Now();
    if (call.job.has_value()) return job.done(absl::InternalError("a frame of this call is being decoded"));
    call.job = std::move(job);
    if (!ready_) {
      Lose(call, absl::AbortedError("the picture decoders are being started again"));
    } else if (now < call.backoff.not_before()) {
      Lose(call, absl::AbortedError(
                     "this call's picture decoder ended again and again; it is left alone for a while"));
    } else if (!queue_.Ask(id, now)) {
      Lose(call, absl::DeadlineExceededError("this call's pictures have used its share of time"));
    }
  }

  void LookAtTheClock() {
    const absl::Time now = clock_->Now();
    for (const CallId id : queue_.TakeExpired(now))
      Lose(calls_.at(id), absl::DeadlineExceededError("no time for this picture: the decoders are busy"));
    const std::vector<CallId> timed(timed_.begin(), timed_.end());
    for (const CallId id : timed) {
      // The one before may have ended them all, with the fork server.
      if (timed_.contains(id) && now >= calls_.at(id).deadline) OnOverdue(id, calls_.at(id));
    }
    if (now >= next_idle_look_) {
      next_idle_look_ = now + kIdleLook;
      for (auto& [id, call] : calls_) {
        if (call.child == nullptr || timed_.contains(id) || CpuSince(call, absl::ZeroDuration()) <= kIdleUse)
          continue;
        EndChild(id, call, absl::InvalidArgumentError("the picture decoder worked without being asked"));
      }
    }
    if (MayLaunch() && now >= source_backoff_.not_before()) Launch();
  }

  void OnOverdue(CallId id, Call& call) {
    if (call.gone) return EndChild(id, call, absl::InvalidArgumentError("the picture decoder ended"));
    const bool stuck = !call.child->started();
    EndChild(id, call,
             absl::DeadlineExceededError(absl::StrCat("a picture took longer than ",
                                                      absl::FormatDuration(options_.policy.frame_limit))));
    if (stuck) OnSourceLost("it does not start processes");
  }

  int TimeoutMs() const {
    absl::Time next = queue_.NextExpiry();
    for (const CallId id : timed_) next = std::min(next, calls_.at(id).deadline);
    if (!owners_.empty()) next = std::min(next, next_idle_look_);
    if (MayLaunch()) next = std::min(next, source_backoff_.not_before());
    if (next == absl::InfiniteFuture()) return -1;
    const int64_t ms = absl::ToInt64Milliseconds(next - clock_->Now()) + 1;
    return static_cast<int>(std::clamp<int64_t>(ms, 0, 60'000));
  }

  // ---- Frames

  void Start() {
    while (ready_) {
      const std::optional<CallId> next = queue_.Start();
      if (!next.has_value()) return;
      Begin(*next, calls_.at(*next));
    }
  }

  void Begin(CallId id, Call& call) {
    call.started = clock_->Now();
    if (call.gone) {  // since its last frame
      call.backoff.Failed(call.started);
      Count(&PictureDecoderCounts::crashed);
      Incident("a picture decoder ended that had nothing to do");
      DropChild(id, call);
    }
    call.running = true;
    SetDeadline(id, call, call.started + options_.policy.frame_limit);
    if (call.child == nullptr) {
      auto child = ChildLink::Start(next_child_, call.config, source_.get());
      if (!child.ok()) return EndChild(id, call, absl::AbortedError(child.status().message()));
      call.child = *std::move(child);
      call.cpu = absl::ZeroDuration();
      owners_[next_child_] = id;
      Watch(call.child->socket(), next_child_);
      ++next_child_;
    }
    const PictureDecoder::Frame& frame = call.job->frame;
    const absl::Status asked = call.child->Ask(frame, frame.after_loss || call.lost);
    if (absl::IsInvalidArgument(asked)) return Finish(id, call, asked);
    if (absl::IsUnavailable(asked)) return;  // its socket says so, too
    if (!asked.ok()) return EndChild(id, call, absl::AbortedError(asked.message()));
    call.lost = false;
    std::string().swap(call.job->frame.data);
  }

  void OnReadable(CallId id, Call& call) {
    ChildLink::Result result = call.child->Receive();
    if (!result.ok()) {
      if (absl::IsUnavailable(result.status())) return OnGone(id, call);
      return EndChild(id, call, absl::InvalidArgumentError(result.status().message()));
    }
    if (result->has_value()) Finish(id, call, std::move((*result)->image));
  }

  // The job is done, the child goes on.
  void Finish(CallId id, Call& call, absl::StatusOr<engine::ImagePtr> image) {
    GiveUpPlace(id, call);
    Tell(call, std::move(image));
  }

  void GiveUpPlace(CallId id, Call& call) {
    if (!std::exchange(call.running, false)) return;
    const absl::Time now = clock_->Now();
    // Where it cannot be told: what the clock says, up to the frame's limit. The clock also counts a
    // machine's sleep, and the wait for a process that the fork server never started.
    const bool began = call.child != nullptr && call.child->started();
    const absl::Duration used = CpuSince(
        call, began ? std::min(now - call.started, options_.policy.frame_limit) : absl::ZeroDuration());
    call.cpu += used;
    queue_.Finish(id, used, now);
    timed_.erase(id);
  }

  void SetDeadline(CallId id, Call& call, absl::Time deadline) {
    call.deadline = deadline;
    timed_.insert(id);
  }

  // The socket has ended; the fork server tells why.
  void OnGone(CallId id, Call& call) {
    call.gone = true;
    SetDeadline(id, call, clock_->Now() + kCauseLimit);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, call.child->socket(), nullptr);
  }

  // The child is no use any more; neither is the job that it has, if any.
  void EndChild(CallId id, Call& call, const absl::Status& why) {
    GiveUpPlace(id, call);
    if (call.child != nullptr) {
      Count(absl::IsDeadlineExceeded(why) ? &PictureDecoderCounts::overdue
            : absl::IsAborted(why)        ? &PictureDecoderCounts::killed
                                          : &PictureDecoderCounts::crashed);
    }
    call.backoff.Failed(clock_->Now());
    Incident(absl::StrCat("a call's picture decoder was given up: ", why.message()));
    DropChild(id, call);
    if (call.job.has_value() && !queue_.waits(id)) Tell(call, why);
  }

  void DropChild(CallId id, Call& call) {
    timed_.erase(id);
    call.lost = true;  // for the next child all frames before it are
    if (call.child == nullptr) return;
    source_->Kill(call.child->child());
    owners_.erase(call.child->child());
    call.child = nullptr;  // which ends its watch, too
    call.gone = false;
  }

  // Core time of the child that is not counted yet; `otherwise`: where that cannot be told.
  static absl::Duration CpuSince(const Call& call, absl::Duration otherwise) {
    const std::optional<absl::Duration> total = call.child == nullptr ? std::nullopt : call.child->CpuTime();
    return total.has_value() ? *total - call.cpu : otherwise;
  }

  // The frame is dropped before it reached a decoder.
  void Lose(Call& call, const absl::Status& why) {
    call.lost = true;
    Tell(call, why);
  }

  void Tell(Call& call, absl::StatusOr<engine::ImagePtr> image) {
    // An error's text of its own: threads that share one end it by a count that ThreadSanitizer does not see.
    if (!image.ok()) image = absl::Status(image.status().code(), image.status().message());
    PictureDecoder::Done done = std::move(call.job->done);
    call.job.reset();
    done(std::move(image));
  }

  // ---- The source of processes

  bool MayLaunch() const { return !ready_ && !source_watched_ && !given_up_; }

  void Launch() {
    const absl::Status status = source_->Launch();
    if (!status.ok()) return OnSourceLost(std::string(status.message()));
    source_watched_ = Watch(source_->fd(), kSourceTag);
  }

  void OnSource(const ChildSource::Event& event) {
    using Event = ChildSource::Event;
    if (event.kind == Event::kReady) {
      ready_ = true;
      codecs_ = event.codecs;
      if (!started_.HasBeenNotified()) started_.Notify();
      return;
    }
    if (event.kind == Event::kUnable || event.kind == Event::kLost) return OnSourceLost(event.message);
    const auto owner = owners_.find(event.child);
    const bool spawned = event.kind == Event::kSpawned;
    if (owner != owners_.end() && spawned) calls_.at(owner->second).child->SetPid(event.pid);
    if (spawned) Count(&PictureDecoderCounts::started);
    if (owner == owners_.end() || spawned) return;
    Call& call = calls_.at(owner->second);
    // What it said last still counts.
    if (call.running && !call.gone) OnReadable(owner->second, call);
    if (call.child != nullptr && call.child->child() == event.child)
      EndChild(owner->second, call, StatusOfEnd(event.status));
  }

  void OnSourceLost(const std::string& why) {
    if (!started_.HasBeenNotified()) {
      if (source_watched_) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source_->fd(), nullptr);
      source_watched_ = false;
      given_up_ = true;
      start_status_ = absl::FailedPreconditionError(why);
      return started_.Notify();
    }
    if (source_watched_) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source_->fd(), nullptr);
    source_watched_ = false;
    ready_ = false;
    Count(&PictureDecoderCounts::fork_server_restarts);
    Incident(absl::StrCat("the picture decoders' fork server is started again: ", why));
    source_backoff_.Failed(clock_->Now());
    for (auto& [id, call] : calls_) {
      GiveUpPlace(id, call);
      DropChild(id, call);
      if (!call.job.has_value()) continue;
      queue_.Forget(id);
      Lose(call, absl::AbortedError("the picture decoders are being started again"));
    }
  }

  void Count(int64_t PictureDecoderCounts::*count) {
    absl::MutexLock lock(&mutex_);
    ++(counts_.*count);
  }

  bool Watch(int fd, uint64_t tag) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = tag;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void Incident(const std::string& what) {
    if (options_.on_incident) options_.on_incident(what);
  }

  const ProcessDecodersOptions options_;
  const Clock* const clock_;
  DecodeQueue queue_;
  const Descriptor epoll_;
  const Descriptor wake_;
  std::unique_ptr<ChildSource> source_;  // made and ended on the thread
  bool source_watched_ = false;
  bool ready_ = false;
  bool given_up_ = false;  // it could not be had at the start
  Backoff source_backoff_;
  std::map<CallId, Call> calls_;
  std::set<CallId> timed_;             // those that have a deadline: a frame with the child, or a child gone
  std::map<uint64_t, CallId> owners_;  // child -> call
  uint64_t next_child_ = kFirstChild;
  absl::Time next_idle_look_ = absl::InfinitePast();

  absl::Notification started_;
  absl::Status start_status_;         // before started_
  std::atomic<uint32_t> codecs_ = 0;  // bit 1 << VideoCodec

  mutable absl::Mutex mutex_;
  PictureDecoderCounts counts_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  CallId last_call_ ABSL_GUARDED_BY(mutex_) = 0;
  // Bounded: of each call one frame, its beginning and its end.
  std::vector<Command> commands_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

class Impl::Decoder : public PictureDecoder {
 public:
  Decoder(Impl* decoders, CallId call) : decoders_(decoders), call_(call) {}
  ~Decoder() override { decoders_->Post({.call = call_, .close = true}); }
  void Decode(Frame frame, Done done) override {
    decoders_->Post({.call = call_, .job = Job{std::move(frame), std::move(done)}});
  }

 private:
  Impl* const decoders_;
  const CallId call_;
};

absl::StatusOr<std::unique_ptr<PictureDecoder>> Impl::Open(VideoCodec codec, int64_t max_pixels) {
  if (max_pixels < 1) return absl::InvalidArgumentError("max_pixels must be at least 1");
  if ((codecs_ >> static_cast<int>(codec) & 1) == 0)
    return absl::UnimplementedError(absl::StrCat("this FFmpeg has no ", CodecName(codec)));
  CallId call = 0;
  {
    absl::MutexLock lock(&mutex_);
    call = ++last_call_;
  }
  Post({.call = call, .open = ConfigOf(codec, max_pixels, options_.max_frame_bytes)});
  return std::make_unique<Decoder>(this, call);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessDecoders>> ProcessDecoders::Start(ProcessDecodersOptions options) {
  std::string program = options.program;
  return Start(std::move(options), MakeForkServer(std::move(program)));
}

absl::StatusOr<std::unique_ptr<ProcessDecoders>> ProcessDecoders::Start(ProcessDecodersOptions options,
                                                                        std::unique_ptr<ChildSource> source) {
  auto decoders = std::make_unique<Impl>(std::move(options), std::move(source));
  if (absl::Status status = decoders->Begin(); !status.ok()) return status;
  return decoders;
}

}  // namespace parley::streaming
