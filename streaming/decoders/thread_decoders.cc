#include "streaming/decoders/thread_decoders.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace parley::streaming {
namespace {

using CallId = DecodeQueue::CallId;

constexpr int kNice = 5;  // as decoders' processes have

absl::Duration ThreadCpuTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

class ThreadDecoders : public PictureDecoders {
 public:
  ThreadDecoders(const DecodePolicy& policy, const Clock* clock) : clock_(clock), queue_(policy) {
    for (int i = 0; i < policy.places; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~ThreadDecoders() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.SignalAll();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  absl::StatusOr<std::unique_ptr<PictureDecoder>> Open(VideoCodec codec, int64_t max_pixels) override {
    auto input = VideoInput::Create(codec, max_pixels);
    if (!input.ok()) return input.status();
    auto call = std::make_shared<Call>(*std::move(input));
    absl::MutexLock lock(&mutex_);
    const CallId id = ++last_call_;
    queue_.Open(id, clock_->Now());
    calls_[id] = call;
    return std::make_unique<Decoder>(this, id);
  }

 private:
  struct Job {
    PictureDecoder::Frame frame;
    PictureDecoder::Done done;
  };
  // Kept by a thread while it decodes for it. `job` and `lost` under the mutex; `input` is the thread's.
  struct Call {
    explicit Call(std::unique_ptr<VideoInput> input_of) : input(std::move(input_of)) {}
    std::unique_ptr<VideoInput> input;
    std::optional<Job> job;
    bool lost = false;  // a frame was dropped that the next one may refer to
  };

  class Decoder : public PictureDecoder {
   public:
    Decoder(ThreadDecoders* decoders, CallId call) : decoders_(decoders), call_(call) {}
    ~Decoder() override {
      absl::MutexLock lock(&decoders_->mutex_);
      decoders_->queue_.Close(call_);
      decoders_->calls_.erase(call_);
    }
    void Decode(Frame frame, Done done) override {
      {
        absl::MutexLock lock(&decoders_->mutex_);
        const std::shared_ptr<Call>& call = decoders_->calls_.at(call_);
        if (decoders_->queue_.Ask(call_, decoders_->clock_->Now())) {
          call->job = Job{std::move(frame), std::move(done)};
          decoders_->changed_.Signal();
          return;
        }
        call->lost = true;
      }
      done(absl::DeadlineExceededError("this call's pictures have used its share of time"));
    }

   private:
    ThreadDecoders* const decoders_;
    const CallId call_;
  };

  struct Work {
    CallId id = 0;
    std::shared_ptr<Call> call;
    Job job;
  };

  void Run() {
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
    for (;;) {
      std::optional<Work> work;
      std::vector<Job> expired;
      {
        absl::MutexLock lock(&mutex_);
        while (!stopping_ && !work.has_value() && expired.empty()) {
          expired = TakeExpired();
          if (const std::optional<CallId> id = queue_.Start(); id.has_value()) {
            const std::shared_ptr<Call>& call = calls_.at(*id);
            work = Work{*id, call, TakeJob(*call)};
          }
          if (!work.has_value() && expired.empty()) changed_.Wait(&mutex_);
        }
        if (stopping_) return;
      }
      for (Job& job : expired)
        job.done(absl::DeadlineExceededError("no time for this picture: the decoders are busy"));
      if (work.has_value()) Decode(*std::move(work));
    }
  }

  // Looked for when a frame comes or a place gets free: until then nothing could be done with it anyway.
  std::vector<Job> TakeExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Job> expired;
    for (const CallId id : queue_.TakeExpired(clock_->Now())) {
      calls_.at(id)->lost = true;
      expired.push_back(TakeJob(*calls_.at(id)));
    }
    return expired;
  }

  static Job TakeJob(Call& call) {
    Job job = *std::move(call.job);
    call.job.reset();
    return job;
  }

  void Decode(Work work) {
    Call& call = *work.call;
    bool after_loss = work.job.frame.after_loss;
    {
      absl::MutexLock lock(&mutex_);
      after_loss |= std::exchange(call.lost, false);
    }
    const absl::Duration before = ThreadCpuTime();
    absl::StatusOr<engine::ImagePtr> image = nullptr;
    if (after_loss) call.input->OnLoss(work.job.frame.parameter_set_bytes());
    image = call.input->Decode(work.job.frame.data, work.job.frame.rotation_degrees, work.job.frame.want);
    {
      absl::MutexLock lock(&mutex_);
      queue_.Finish(work.id, ThreadCpuTime() - before, clock_->Now());
      changed_.Signal();
    }
    work.job.done(std::move(image));
  }

  const Clock* const clock_;
  absl::Mutex mutex_;
  absl::CondVar changed_;  // a frame came, a place got free, or the end
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  DecodeQueue queue_ ABSL_GUARDED_BY(mutex_);
  std::map<CallId, std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
  CallId last_call_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<PictureDecoders> MakeThreadDecoders(const DecodePolicy& policy, const Clock* clock) {
  return std::make_unique<ThreadDecoders>(policy, clock);
}

}  // namespace parley::streaming
