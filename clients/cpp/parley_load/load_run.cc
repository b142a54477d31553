#include "clients/cpp/parley_load/load_run.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cpp/call.h"

namespace parley::client {
namespace {

struct CallOutcome {
  absl::Status status;
  std::vector<TurnOutcome> turns;
  LatencyHistogram lateness;
};

// One call from its scheduled start to its end; blocks.
CallOutcome Play(const ChannelOptions& server, v1::SessionConfig config, const Recording& recording,
                 absl::Time start) {
  CallOutcome outcome;
  if (recording.audio_format) *config.mutable_audio() = *recording.audio_format;
  if (recording.video_format) *config.mutable_video() = *recording.video_format;
  auto channel = MakeChannel(server);
  if (!channel.ok()) {
    outcome.status = channel.status();
    return outcome;
  }
  const auto rate_hz = recording.audio_format ? recording.audio_format->sample_rate_hz() : 0;
  // The reader's, then this thread's once the call has ended.
  TurnLog log(start, start + recording.length,
              rate_hz != 0 ? static_cast<int>(rate_hz) : media::kSampleRateHz);
  absl::Notification open;
  const auto opened = [&open] {
    if (!open.HasBeenNotified()) open.Notify();
  };
  const auto call = Call::Open(
      *channel, config,
      [&](const v1::ServerMessage& event) {
        log.Observe(event, absl::Now());
        if (event.has_ready()) opened();
      },
      [&](const absl::Status&) { opened(); });
  open.WaitForNotification();
  for (const media::Item& item : recording.items) {
    const absl::Time due = start + item.due;
    absl::SleepFor(due - absl::Now());
    outcome.lateness.Record(absl::Now() - due);
    const auto captured = static_cast<uint64_t>(absl::ToUnixMicros(start + item.captured));
    const absl::Status sent = item.kind == media::Item::Kind::kAudio
                                  ? call->SendAudio(item.data, item.first_sample_index, captured)
                                  : call->SendVideo(item.data, item.rotation_degrees, captured).status();
    if (!sent.ok()) break;  // the call has ended; its outcome says why
  }
  v1::ClientMessage end;
  end.mutable_audio_stream_end();
  call->Send(std::move(end)).status().IgnoreError();
  call->Close().IgnoreError();
  outcome.status = call->Wait();
  outcome.turns = log.Turns();
  return outcome;
}

// The threads of calls under way. One thread's.
class CallThreads {
 public:
  ~CallThreads() {
    for (Entry& entry : entries_) entry.thread.join();
  }
  void Start(std::function<void()> call) {
    entries_.remove_if([](Entry& entry) {
      if (!entry.done.load()) return false;
      entry.thread.join();
      return true;
    });
    Entry& entry = entries_.emplace_back();
    entry.thread = std::thread([&entry, call = std::move(call)] {
      call();
      entry.done.store(true);
    });
  }

 private:
  struct Entry {
    std::thread thread;
    std::atomic<bool> done{false};
  };
  std::list<Entry> entries_;
};

// Collects what the calls of a run lived through. Thread-safe.
class Tally {
 public:
  explicit Tally(const Objective& objective) : objective_(objective) {}

  void Started() {
    absl::MutexLock lock(&mutex_);
    ++result_.calls_started;
    result_.most_at_once = std::max(result_.most_at_once, ++live_);
  }

  // `counts`: the call's turns count, because it started when the load had built up.
  void Ended(const Scene& scene, const CallOutcome& outcome, bool counts) {
    absl::MutexLock lock(&mutex_);
    --live_;
    result_.lateness.Merge(outcome.lateness);
    if (outcome.status.ok()) {
      ++result_.calls_ended;
    } else if (absl::IsResourceExhausted(outcome.status) || absl::IsUnavailable(outcome.status)) {
      ++result_.calls_refused;
    } else {
      ++result_.failures[outcome.status.ToString()];
    }
    if (!counts) return;
    // What did not come is a turn that was not answered.
    result_.turns += static_cast<int64_t>(std::max(scene.turns.size(), outcome.turns.size()));
    for (size_t i = 0; i < outcome.turns.size(); ++i) {
      const TurnOutcome& turn = outcome.turns[i];
      if (!turn.answered) continue;
      ++result_.turns_answered;
      const bool same = i < scene.turns.size() && turn.transcript == scene.turns[i].transcript &&
                        turn.answer == scene.turns[i].answer;
      if (!same) ++result_.turns_other;
      if (turn.first_token == absl::InfiniteFuture()) continue;
      result_.first_token.Record(turn.first_token_latency());
      if (turn.first_token_latency() <= objective_.first_token) ++result_.turns_inside;
      for (const absl::Duration gap : turn.gaps) result_.token_gap.Record(gap);
    }
  }

  LoadResult Take(int* live) {
    absl::MutexLock lock(&mutex_);
    *live = live_;
    return result_;
  }
  void WaitUntilQuiet() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* live) { return *live == 0; }, &live_));
  }

 private:
  const Objective objective_;
  absl::Mutex mutex_;
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
  int live_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Duration MeanLength(const std::vector<Scene>& scenes) {
  absl::Duration total;
  for (const Scene& scene : scenes) total += scene.recording.length;
  return total / static_cast<int64_t>(scenes.size());
}

}  // namespace

bool LoadResult::Meets(const Objective& objective) const {
  return turns > 0 && failures.empty() &&
         static_cast<double>(turns_inside) >= objective.share * static_cast<double>(turns) &&
         token_gap.Quantile(0.99) <= objective.token_gap;
}

absl::StatusOr<Scene> PlaceAlone(const ChannelOptions& server, const v1::SessionConfig& config,
                                 Recording recording) {
  CallOutcome outcome = Play(server, config, recording, absl::Now());
  if (!outcome.status.ok()) return outcome.status;
  const bool answered = std::any_of(outcome.turns.begin(), outcome.turns.end(),
                                    [](const TurnOutcome& turn) { return turn.answered; });
  if (!answered) {
    return absl::FailedPreconditionError(absl::StrCat(recording.path, ": no turn of it was answered"));
  }
  return Scene{std::move(recording), std::move(outcome.turns)};
}

LoadResult RunLoad(const ChannelOptions& server, const v1::SessionConfig& config,
                   const std::vector<Scene>& scenes, const LoadOptions& options,
                   const std::function<void(const LoadResult&, int)>& progress) {
  std::mt19937_64 random(options.seed);
  const absl::Duration length = MeanLength(scenes);
  // Little's law: calls at once = starts a second x length of a call.
  std::exponential_distribution<double> seconds_between(options.calls / absl::ToDoubleSeconds(length));
  std::uniform_int_distribution<size_t> any_scene(0, scenes.size() - 1);

  Tally tally(options.objective);
  const absl::Time begin = absl::Now();
  const absl::Time built_up = begin + length;
  CallThreads threads;
  absl::Time next_report = begin + absl::Seconds(1);
  const auto report = [&] {
    int live = 0;
    const LoadResult so_far = tally.Take(&live);
    progress(so_far, live);
    next_report = std::max(next_report + absl::Seconds(1), absl::Now());
  };
  // Counting begins after one call's length, and goes on for the whole duration.
  const absl::Time end = built_up + options.duration;
  for (absl::Time start = begin + absl::Seconds(seconds_between(random)); start < end;
       start += absl::Seconds(seconds_between(random))) {
    while (next_report < start) {
      absl::SleepFor(next_report - absl::Now());
      report();
    }
    absl::SleepFor(start - absl::Now());
    const Scene& scene = scenes[any_scene(random)];
    const bool counts = start >= built_up;
    tally.Started();
    threads.Start([&, start, counts, scene = &scene] {
      tally.Ended(*scene, Play(server, config, scene->recording, start), counts);
    });
  }
  tally.WaitUntilQuiet();
  report();
  int live = 0;
  LoadResult result = tally.Take(&live);
  result.took = absl::Now() - begin;
  return result;
}

}  // namespace parley::client
