#include "streaming/call/call_audio.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {

absl::StatusOr<std::unique_ptr<CallAudio>> CallAudio::Create(const AudioFormat& format,
                                                             const TurnConfig& turn, const CallLimits& limits,
                                                             DetectorThread* detector,
                                                             std::shared_ptr<CallLoop> loop,
                                                             const Clock* clock, Host* host) {
  auto audio = absl::WrapUnique(new CallAudio(format, turn, limits, detector, std::move(loop), clock, host));
  auto input = AudioInput::Create(format, limits.max_audio_gap_ms);
  if (!input.ok()) return input.status();
  audio->input_ = *std::move(input);
  return audio;
}

CallAudio::CallAudio(const AudioFormat& format, const TurnConfig& turn, const CallLimits& limits,
                     DetectorThread* detector, std::shared_ptr<CallLoop> loop, const Clock* clock, Host* host)
    : format_(format),
      limits_(limits),
      detector_(detector),
      loop_(std::move(loop)),
      clock_(clock),
      host_(host),
      turn_(turn),
      endpointer_(turn) {
  if (detector_ != nullptr) stream_ = detector_->NewStream();
}

int CallAudio::backlog_ms() const {
  return static_cast<int>(std::max<int64_t>(0, backlog_samples_.load()) * 1000 / engine::kSampleRateHz);
}

// What a chunk will become, before it is decoded: exact for PCM of a millisecond or more; an Opus packet is
// nearly always 20 ms.
int64_t CallAudio::EstimateSamples(size_t bytes) const {
  if (format_.codec == AudioCodec::kOpus) return engine::kSampleRateHz / 50;
  constexpr int64_t kLeast = engine::kSampleRateHz / 1'000;  // chunks of one sample are work too
  return std::max(kLeast, static_cast<int64_t>(bytes) / (2 * format_.channels) * engine::kSampleRateHz /
                              format_.sample_rate_hz);
}

void CallAudio::Push(input::Audio audio, uint64_t client_seq) {
  if (deferred_.empty()) return PushNow(audio, client_seq);
  deferred_.push_back([this, audio = std::move(audio), client_seq] { PushNow(audio, client_seq); });
}

void CallAudio::InOrder(Task task) {
  if (deferred_.empty() && windows_in_flight_ == 0) {
    task();
  } else {
    deferred_.push_back(std::move(task));
  }
}

void CallAudio::RunDeferred() {
  while (!deferred_.empty() && windows_in_flight_ == 0) {
    Task task = std::move(deferred_.front());
    task();  // before it is popped: what it pushes waits behind it
    deferred_.pop_front();
  }
}

void CallAudio::PushNow(const input::Audio& audio, uint64_t client_seq) {
  Decode(audio, client_seq);
  AddBacklog(-EstimateSamples(audio.data.size()));  // its windows are counted now
}

void CallAudio::Decode(const input::Audio& sent, uint64_t client_seq) {
  // Silence may be of any length where it is not sent, as long as it is told by the wall clock, too: one
  // damaged index moves nothing. The user may have been silent while the server stood still.
  if (input_->dtx() && clock_->MachineTime() - last_arrival_on_machine_ >=
                           absl::Milliseconds(limits_.max_audio_gap_ms) - kDtxMargin)
    Flush();
  absl::StatusOr<AudioSamples> audio = input_->Push(sent.data, sent.first_sample_index);
  if (!audio.ok()) {
    if (absl::IsOutOfRange(audio.status())) {
      host_->OnAudioError(CallCode::kAudioGap, std::string(audio.status().message()), client_seq,
                          /*fatal=*/false);
      // The chunk is lost; the next one may take the clock to where it is. One damaged index moves nothing.
      Flush();
    } else {
      host_->OnAudioError(CallCode::kUndecodableAudio, std::string(audio.status().message()), client_seq,
                          /*fatal=*/false);
    }
    return;
  }
  if (audio->concealed_samples > 0 && !input_->dtx()) {
    Warn(CallCode::kAudioGap,
         absl::StrCat(ToMs(audio->concealed_samples), " ms of audio missing before sample ",
                      sent.first_sample_index, "; filled in"));
  }
  if (audio->repeated_samples > 0) {
    Warn(CallCode::kAudioOverlap, absl::StrCat(audio->repeated_samples, " samples from ",
                                               sent.first_sample_index, " on were heard already; dropped"));
  }
  Accept(*audio, sent.captured);
}

void CallAudio::Accept(const AudioSamples& audio, absl::Time captured) {
  if (audio.samples.empty()) return;
  last_arrival_ = clock_->Now();
  last_arrival_on_machine_ = clock_->MachineTime();
  if (audio.first_sample != buffer_.end()) {
    // The clock jumped: audio starts, or goes on after a pause longer than what is filled in.
    if (windows_in_flight_ > 0) {
      deferred_.push_front([this, audio, captured] { Accept(audio, captured); });
      return;
    }
    Handle(endpointer_.EndOpenTurn(CommitReason::kAudioIdle, buffer_.end()));
    buffer_.Reset(audio.first_sample);
    arrivals_.clear();
    next_window_ = audio.first_sample;
    const bool activity = activity_;
    endpointer_.Restart(audio.first_sample);
    if (activity) endpointer_.ActivityStart(audio.first_sample);
  }
  buffer_.Append(audio.samples);
  arrivals_.push_back({buffer_.end(), last_arrival_, captured});
  PumpWindows();
}

void CallAudio::PumpWindows() {
  constexpr int64_t kWindow = Endpointer::kWindow;
  while (buffer_.end() - next_window_ >= kWindow) {
    const int64_t start = next_window_;
    next_window_ += kWindow;
    if (detector_ == nullptr) {  // MANUAL mode: anything may be speech
      Handle(endpointer_.Push(start, 1));
      continue;
    }
    ++windows_in_flight_;
    AddBacklog(kWindow);
    auto done = [this, loop = loop_, start](absl::StatusOr<float> probability) {
      loop->Post([this, start, probability = std::move(probability)] { OnWindow(start, probability); });
    };
    absl::MutexLock lock(&stream_mutex_);
    if (!stopped_) stream_->Push(buffer_.Copy(start, start + kWindow), std::move(done));
  }
  // A turn may have ended past the last window: the rest of that window is not judged yet.
  buffer_.DiscardBefore(std::min(endpointer_.needed_from(), next_window_));
  while (arrivals_.size() > 1 && arrivals_.front().end_sample <= buffer_.begin()) arrivals_.pop_front();
}

void CallAudio::OnWindow(int64_t window_start, const absl::StatusOr<float>& probability) {
  --windows_in_flight_;
  AddBacklog(-Endpointer::kWindow);
  if (!probability.ok()) {
    Warn(CallCode::kEngineFailed, absl::StrCat("speech detection: ", probability.status().message(),
                                               "; this window counts as silence"));
  }
  Handle(endpointer_.Push(window_start, probability.value_or(0)));
  RunDeferred();
}

void CallAudio::Handle(const TurnEvents& events) {
  for (const TurnEvent& event : events) {
    switch (event.kind) {
      case TurnEvent::Kind::kSpeechStarted:
        host_->OnSpeechStarted({input_->ToWireIndex(event.sample), event.probability});
        break;
      case TurnEvent::Kind::kSpeechStopped:
        host_->OnSpeechStopped({input_->ToWireIndex(event.sample), event.probability});
        break;
      case TurnEvent::Kind::kOverAnswer:
        host_->OnSoundOverAnswer(event.speech, buffer_.Copy(event.start, event.end));
        break;
      case TurnEvent::Kind::kCommitted:
        host_->OnUtterance(UtteranceOf(event));
        break;
      case TurnEvent::Kind::kPaused:
        host_->OnPause(UtteranceOf(event));
        break;
      case TurnEvent::Kind::kResumed:
        host_->OnSpeechResumed();
        break;
      case TurnEvent::Kind::kGrown:
        host_->OnTurnGrown(buffer_.Copy(event.start, event.end));
        break;
    }
  }
}

Utterance CallAudio::UtteranceOf(const TurnEvent& event) const {
  const int64_t begin = std::max(event.start, buffer_.begin());
  Utterance utterance{
      .reason = event.reason,
      .begin = begin,
      .start_sample_index = input_->ToWireIndex(begin),
      .end_sample_index = input_->ToWireIndex(std::max(event.end, buffer_.begin())),
      .samples = event.has_speech ? buffer_.Copy(event.start, event.end) : std::vector<float>(),
      .end_decided = clock_->Now(),
      .over_answer = event.kind == TurnEvent::Kind::kCommitted ? event.speech : absl::ZeroDuration()};
  if (!utterance.samples.empty()) {
    const Arrival arrival = ArrivalOf(event.sample);
    utterance.speech_captured = arrival.captured;
    utterance.speech_end = arrival.time;
  }
  return utterance;
}

void CallAudio::Configure(const TurnConfig& turn) {
  if (turn.mode != turn_.mode) activity_ = turn.mode == TurnMode::kManual && endpointer_.turn_open();
  turn_ = turn;
  endpointer_.Configure(turn);
}

void CallAudio::ActivityStart(uint64_t client_seq) {
  if (turn_.mode != TurnMode::kManual) {
    host_->OnAudioError(CallCode::kWrongMode, "ActivityStart outside MANUAL mode", client_seq, false);
    return;
  }
  if (activity_) {
    host_->OnAudioError(CallCode::kInvalidMessage, "ActivityStart within an activity", client_seq, false);
    return;
  }
  activity_ = true;
  endpointer_.ActivityStart(buffer_.end());
  host_->OnUserInterrupts();
}

void CallAudio::ActivityEnd(uint64_t client_seq) {
  if (turn_.mode != TurnMode::kManual) {
    host_->OnAudioError(CallCode::kWrongMode, "ActivityEnd outside MANUAL mode", client_seq, false);
    return;
  }
  if (!activity_) {
    host_->OnAudioError(CallCode::kInvalidMessage, "ActivityEnd without ActivityStart", client_seq, false);
    return;
  }
  activity_ = false;
  Handle(endpointer_.ActivityEnd(buffer_.end()));
}

void CallAudio::Flush() {
  const AudioSamples rest = input_->Flush();
  if (!rest.samples.empty() && rest.first_sample == buffer_.end()) {
    buffer_.Append(rest.samples);
    arrivals_.push_back(
        {buffer_.end(), clock_->Now(), arrivals_.empty() ? absl::InfinitePast() : arrivals_.back().captured});
  }
}

void CallAudio::StreamEnd() {
  Flush();
  if (turn_.mode == TurnMode::kVad)
    Handle(endpointer_.EndOpenTurn(CommitReason::kAudioStreamEnd, buffer_.end()));
}

void CallAudio::EndInput() {
  Flush();
  activity_ = false;
  Handle(endpointer_.EndOpenTurn(CommitReason::kAudioStreamEnd, buffer_.end()));
}

void CallAudio::Commit() {
  Handle(endpointer_.Commit(buffer_.end()));
  // InputCommit closes the turn, not the activity: what is said next is part of the next turn.
  if (activity_) endpointer_.ActivityStart(buffer_.end());
}

void CallAudio::Clear() {
  endpointer_.Clear(buffer_.end());
  if (activity_) endpointer_.ActivityStart(buffer_.end());
}

void CallAudio::Tick(bool behind) {
  const absl::Time now = clock_->Now();
  const bool late = now - std::exchange(last_tick_, now) > kLateTick;
  if (behind || late || backlog_samples_ > 0 || windows_in_flight_ > 0 || !deferred_.empty()) {
    on_time_since_ = now;
    return;
  }
  if (turn_.mode != TurnMode::kVad || !endpointer_.turn_open()) return;
  absl::Duration limit = turn_.audio_idle;
  if (input_->dtx()) limit = std::min(limit, turn_.silence - endpointer_.silence() + kDtxMargin);
  if (now - std::max(last_arrival_, on_time_since_) < limit) return;
  Handle(endpointer_.EndOpenTurn(CommitReason::kAudioIdle, buffer_.end()));
}

void CallAudio::Stop() {
  std::unique_ptr<DetectorThread::Stream> stream;  // its destructor may wait for a callback: without the lock
  {
    absl::MutexLock lock(&stream_mutex_);
    stopped_ = true;
    stream.swap(stream_);
  }
}

void CallAudio::AddBacklog(int64_t samples) {
  backlog_samples_ += samples;
  if (drained_ != nullptr && backlog_ms() <= limits_.max_audio_backlog_ms / 2)
    std::exchange(drained_, nullptr)();
}

void CallAudio::NotifyWhenDrained(absl::AnyInvocable<void()> notify) {
  drained_ = std::move(notify);
  AddBacklog(0);
}

void CallAudio::Warn(CallCode code, std::string message) {
  WarningState& state = warnings_[code];
  const absl::Time now = clock_->Now();
  if (now - state.last < kWarningInterval) {
    ++state.left_out;
    return;
  }
  if (state.left_out > 0) absl::StrAppend(&message, " (and ", state.left_out, " times before it)");
  state = {.last = now};
  host_->OnAudioWarning(code, std::move(message));
}

// Of the sample before `sample`.
CallAudio::Arrival CallAudio::ArrivalOf(int64_t sample) const {
  for (const Arrival& arrival : arrivals_) {
    if (arrival.end_sample >= sample) return arrival;
  }
  return {sample, last_arrival_, absl::InfinitePast()};
}

}  // namespace parley::streaming
