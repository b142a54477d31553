#include "streaming/call/live_call.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "streaming/call/barge_in.h"
#include "streaming/call/call_audio.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/call_outlet.h"
#include "streaming/call/call_video.h"
#include "streaming/call/conversation_link.h"
#include "streaming/call/message_backlog.h"
#include "streaming/call/responses.h"

namespace parley::streaming {
namespace {

// The call's state, on its loop. Lives while the handle or a task of the loop holds it.
class CallCore : public CallAudio::Host,
                 public CallVideo::Host,
                 public Responses::Host,
                 public BargeIn::Host {
 public:
  CallCore(std::shared_ptr<CallLoop> loop, CallConfig config, const LiveCall::Dependencies& dependencies,
           CallSink* sink)
      : loop_(std::move(loop)),
        config_(std::move(config)),
        clock_(dependencies.clock),
        detects_(dependencies.detector != nullptr),
        outlet_(sink),
        conversation_(loop_),
        responses_(&conversation_, &outlet_, loop_, clock_, this),
        barge_in_(&conversation_, this) {
    responses_.Configure(config_.generation, config_.turn.speculation);
  }

  void OpenConversation(std::unique_ptr<engine::Conversation> conversation) {
    conversation_.Open(std::move(conversation));
  }

  absl::Status OpenMedia(const CallLimits& limits, const LiveCall::Dependencies& dependencies) {
    if (config_.audio.has_value()) {
      auto audio =
          CallAudio::Create(*config_.audio, config_.turn, limits, dependencies.detector, loop_, clock_, this);
      if (!audio.ok()) return audio.status();
      audio_ = *std::move(audio);
    }
    if (config_.video.has_value()) {
      auto video = CallVideo::Create(
          *config_.video, config_.video_policy, limits,
          dependencies.pictures != nullptr ? dependencies.pictures : PictureDecoders::Inline(),
          &conversation_, loop_, clock_, this);
      if (!video.ok()) return video.status();
      video_ = *std::move(video);
    }
    return absl::OkStatus();
  }

  // Any thread. Null where the call has none; never changes after OpenMedia.
  CallAudio* audio() { return audio_.get(); }
  CallVideo* video() { return video_.get(); }

  // Any thread: nothing runs and nothing is told any more. The outlet first: that is what the caller waits
  // for.
  void Stop() {
    outlet_.Close();
    // Whoever comes second waits for the first, who may be a task of the loop: the owner lets go of the
    // engine and the detector when it returns.
    absl::MutexLock lock(&teardown_);
    loop_->Close();
    conversation_.Close();
    if (audio_ != nullptr) audio_->Stop();
  }

  void Refuse(CallCode code, std::string message, uint64_t client_seq) {
    outlet_.Emit(CallError{.code = code, .message = std::move(message), .client_seq = client_seq});
  }

  // Runs when all audio sent before it has been judged.
  void InOrder(Task task) {
    if (audio_ != nullptr) {
      audio_->InOrder(std::move(task));
    } else {
      task();
    }
  }

  // Runs when the first `frames` sent have been decoded, or it has waited long enough for them.
  void AfterFrames(uint64_t frames, Task task) {
    if (video_ != nullptr) {
      video_->AfterFrames(frames, std::move(task));
    } else {
      task();
    }
  }

  void PushText(std::string text) {
    responses_.Interrupt(absl::ZeroDuration());
    Commit({.id = ++last_turn_id_,
            .text = std::move(text),
            .utterance = {.reason = CommitReason::kText, .end_decided = clock_->Now()}});
  }

  void ActivityStart(uint64_t client_seq) {
    if (audio_ == nullptr)
      return Refuse(CallCode::kWrongMode, "ActivityStart in a call without audio", client_seq);
    audio_->ActivityStart(client_seq);
    OnSpeakingMayHaveChanged();
  }

  void ActivityEnd(uint64_t client_seq) {
    if (audio_ == nullptr)
      return Refuse(CallCode::kWrongMode, "ActivityEnd in a call without audio", client_seq);
    audio_->ActivityEnd(client_seq);
    OnSpeakingMayHaveChanged();
  }

  void AudioStreamEnd() {
    if (audio_ != nullptr) audio_->StreamEnd();
    OnSpeakingMayHaveChanged();
  }

  void CommitInput() {
    if (audio_ != nullptr) {
      audio_->Commit();
    } else {
      OnUtterance({.reason = CommitReason::kInputCommit, .end_decided = clock_->Now()});
    }
    OnSpeakingMayHaveChanged();
  }

  // `frames`: how many were sent before it.
  void ClearInput(uint64_t frames) {
    if (responses_.delivery_paused()) {
      const uint64_t waiting = barge_in_.Forget();
      Dismiss(speech_turn_id_.value_or(waiting), DismissReason::kCleared);
    }
    responses_.ForgetSpeech();
    if (audio_ != nullptr) audio_->Clear();
    if (video_ != nullptr) video_->Clear(frames);
    speech_turn_id_.reset();
    OnSpeakingMayHaveChanged();
  }

  void CreateResponse(uint64_t client_seq) {
    if (responses_.busy()) {
      return Refuse(CallCode::kInvalidMessage, "ResponseCreate while an answer is being given", client_seq);
    }
    Commit({.id = ++last_turn_id_,
            .utterance = {.reason = CommitReason::kResponseCreate, .end_decided = clock_->Now()}});
  }

  void CancelResponse(uint64_t response_id) {
    if (responses_.Cancel(response_id)) return;
    outlet_.Emit(CallWarning{CallCode::kUnknownResponse,
                             response_id == 0 ? "no answer is being given"
                                              : absl::StrCat("answer ", response_id, " is not being given")});
  }

  void AckPlayback(uint64_t response_id, int heard_tokens) {
    if (responses_.Ack(response_id, heard_tokens)) return;
    outlet_.Emit(CallWarning{CallCode::kUnknownResponse, absl::StrCat("there was no answer ", response_id)});
  }

  void UpdateConfig(const CallConfig& config) {
    if (audio_ != nullptr && config.turn.mode == TurnMode::kVad && !detects_) {
      return Refuse(CallCode::kInvalidMessage, "VAD mode: the bundle has no speech detector", 0);
    }
    config_.turn = config.turn;
    config_.generation = config.generation;
    config_.video_policy = config.video_policy;
    responses_.Configure(config_.generation, config_.turn.speculation);
    if (responses_.delivery_paused()) {
      // The client ends the turn now, or lets the answer go on whatever is said.
      if (config_.turn.mode == TurnMode::kManual) {
        responses_.Interrupt(absl::ZeroDuration());
      } else if (!config_.turn.interruption_enabled) {
        StopAsking();
      }
    }
    if (audio_ != nullptr) audio_->Configure(config_.turn);
    if (video_ != nullptr) video_->SetPolicy(config_.video_policy);
    outlet_.Emit(ConfigChanged{config_});
  }

  // What was said is committed; the answers it is owed are given; then the call ends.
  void Close() {
    if (closing_) return;
    if (audio_ != nullptr) audio_->EndInput();
    closing_ = true;
    EndIfDone();
  }

  void Tick(bool behind) {
    if (video_ != nullptr) video_->Tick();
    if (audio_ == nullptr) return;
    audio_->Tick(behind);
    OnSpeakingMayHaveChanged();
  }

  void OnCompaction(const engine::Compaction& compaction) { outlet_.Emit(ContextCompacted{compaction}); }

  // ---- CallAudio::Host

  void OnSpeechStarted(const SpeechStarted& event) override {
    speech_turn_id_ = ++last_turn_id_;
    outlet_.Emit(event, *speech_turn_id_);
    OnSpeakingMayHaveChanged();
  }
  void OnSpeechStopped(const SpeechStopped& event) override {
    outlet_.Emit(event, speech_turn_id_.value_or(0));
  }
  void OnUtterance(Utterance utterance) override {
    const uint64_t id = speech_turn_id_.has_value() ? *speech_turn_id_ : ++last_turn_id_;
    speech_turn_id_.reset();
    OnSpeakingMayHaveChanged();
    if (barge_in_.deciding()) StopAsking();  // the turn before comes first
    UserTurn turn{.id = id, .utterance = std::move(utterance)};
    const absl::Duration over_answer = turn.utterance.over_answer;
    const bool too_short = over_answer < config_.turn.interruption_min_duration;
    if (turn.utterance.reason == CommitReason::kInputCommit) {  // the client says that it is one
      if (responses_.delivery_paused()) responses_.Interrupt(over_answer);
      CommitSpoken(std::move(turn));
    } else if (responses_.delivery_paused() || (over_answer > absl::ZeroDuration() && !too_short)) {
      responses_.PauseDelivery(over_answer);
      barge_in_.Decide(std::move(turn));
    } else if (over_answer > absl::ZeroDuration()) {
      Dismiss(id, DismissReason::kTooShort);
    } else {
      CommitSpoken(std::move(turn));
    }
  }
  void OnPause(Utterance so_far) override { responses_.Speculate(std::move(so_far)); }
  void OnSpeechResumed() override { responses_.DropSpeculation(); }
  void OnTurnGrown(std::vector<float> samples) override { responses_.HearAhead(std::move(samples)); }
  void OnUserInterrupts() override { responses_.Interrupt(absl::ZeroDuration()); }
  void OnSoundOverAnswer(absl::Duration speech, std::vector<float> samples) override {
    responses_.PauseDelivery(speech);
    barge_in_.GoesOn(speech, std::move(samples));
  }
  void OnAudioWarning(CallCode code, std::string message) override {
    outlet_.Emit(CallWarning{code, std::move(message)});
  }
  void OnAudioError(CallCode code, std::string message, uint64_t client_seq, bool fatal) override {
    outlet_.Emit(CallError{code, std::move(message), client_seq, fatal});
    if (fatal) Stop();
  }

  // ---- CallVideo::Host

  void OnInputStatus(InputStatus status) override { outlet_.Emit(std::move(status)); }
  void OnVideoError(CallCode code, std::string message, uint64_t client_seq) override {
    Refuse(code, std::move(message), client_seq);
  }
  void OnFrameFailed(const absl::Status& status) override { OnConversationFailed(status); }
  bool MayAppendFrames() const override { return responses_.turn_open(); }
  void OnFrameWaits() override { responses_.DropForFrame(); }
  void OnFramesIdle() override { EndIfDone(); }

  // ---- BargeIn::Host

  void OnWordsOverAnswer(absl::Duration speech) override { responses_.Interrupt(speech); }
  void OnDecided(UserTurn turn, bool words) override {
    if (words) {
      turn_owed_ = true;  // the call does not end with the answer
      responses_.Interrupt(turn.utterance.over_answer);
      turn_owed_ = false;
      CommitSpoken(std::move(turn));
    } else {
      Dismiss(turn.id, DismissReason::kNoWords);
      EndIfDone();
    }
  }

  // ---- Responses::Host

  std::shared_ptr<TurnFrames> TakeTurnFrames() override {
    return video_ != nullptr ? video_->TakeTurn() : std::make_shared<TurnFrames>();
  }
  void GiveBackFrames(std::shared_ptr<TurnFrames> frames) override {
    if (video_ != nullptr) video_->GiveBack(std::move(frames));
  }
  void OnResponseState() override {
    if (audio_ != nullptr) {
      audio_->SetAnswerActive(responses_.answer_active());
      if (!responses_.answer_active()) StopAsking();
      if (responses_.turn_open()) audio_->TellPauseAgain();  // it may be speculated on now
    }
    if (video_ != nullptr) video_->Pump();
    EndIfDone();
  }
  void OnConversationFailed(const absl::Status& status) override {
    const CallCode code =
        absl::IsResourceExhausted(status) ? CallCode::kContextFull : CallCode::kEngineFailed;
    outlet_.Emit(CallError{.code = code, .message = std::string(status.message()), .fatal = true});
    Stop();
  }

 private:
  void Commit(UserTurn turn) {
    const uint64_t id = turn.id;
    if (responses_.Commit(std::move(turn))) return;
    Refuse(CallCode::kTooLarge,
           absl::StrCat("turn ", id, " is dropped: ", Responses::kMaxWaiting, " turns wait to be answered"),
           0);
  }

  void CommitSpoken(UserTurn turn) {
    const CommitReason reason = turn.utterance.reason;
    const bool by_message = reason == CommitReason::kActivityEnd || reason == CommitReason::kInputCommit ||
                            reason == CommitReason::kAudioStreamEnd;
    AfterFrames(by_message && video_ != nullptr ? video_->announced() : 0,
                [this, turn = std::move(turn)]() mutable { Commit(std::move(turn)); });
  }

  // What was said over the answer is no turn.
  void Dismiss(uint64_t turn_id, DismissReason reason) {
    outlet_.Emit(SpeechDismissed{reason}, turn_id);
    barge_in_.Forget();
    responses_.ForgetSpeech();
    responses_.ResumeDelivery();
  }

  // Whatever is said is a turn, or will be: nothing waits for its words.
  void StopAsking() {
    responses_.ResumeDelivery();
    barge_in_.Reset();
  }

  void OnSpeakingMayHaveChanged() {
    if (video_ != nullptr) video_->SetSpeaking(audio_ != nullptr && audio_->user_speaking());
  }

  void EndIfDone() {
    if (!closing_ || !responses_.idle() || barge_in_.deciding() || turn_owed_ ||
        (video_ != nullptr && !video_->idle()))
      return;
    outlet_.Emit(CallEnded{});
    Stop();
  }

  absl::Mutex teardown_;  // held while the call lets go of the engine and the detector
  const std::shared_ptr<CallLoop> loop_;
  CallConfig config_;
  const Clock* const clock_;
  const bool detects_;
  CallOutlet outlet_;
  ConversationLink conversation_;
  Responses responses_;
  BargeIn barge_in_;
  std::unique_ptr<CallAudio> audio_;
  std::unique_ptr<CallVideo> video_;
  uint64_t last_turn_id_ = 0;
  std::optional<uint64_t> speech_turn_id_;  // of the turn that is being spoken
  bool turn_owed_ = false;                  // one is about to be committed
  bool closing_ = false;
};

class LiveCallImpl : public LiveCall {
 public:
  LiveCallImpl(std::shared_ptr<CallLoop> loop, std::shared_ptr<CallCore> core, const CallLimits& limits)
      : loop_(std::move(loop)), core_(std::move(core)), limits_(limits) {}
  ~LiveCallImpl() override { Abort(); }

  void PushAudio(std::string data, uint64_t first_sample_index, absl::Time captured,
                 uint64_t client_seq) override {
    if (core_->audio() == nullptr) return Refuse("the call has no audio", client_seq);
    core_->audio()->Announce(data.size());
    Post([core = core_.get(), data = std::move(data), first_sample_index, captured, client_seq]() mutable {
      core->audio()->Push(std::move(data), first_sample_index, captured, client_seq);
    });
  }
  void PushFrame(std::string data, uint64_t frame_id, int rotation_degrees, absl::Time captured,
                 uint64_t client_seq) override {
    if (core_->video() == nullptr) return Refuse("the call has no video", client_seq);
    if (core_->video()->Announce({std::move(data), frame_id, rotation_degrees, captured, client_seq}))
      Post([core = core_.get()] { core->video()->TakeAnnounced(); });
  }
  void PushText(std::string text, uint64_t /*client_seq*/) override {
    PostMessage(Frames(),
                [core = core_.get(), text = std::move(text)]() mutable { core->PushText(std::move(text)); });
  }
  void ActivityStart(uint64_t client_seq) override {
    PostInOrder([core = core_.get(), client_seq] { core->ActivityStart(client_seq); });
  }
  void ActivityEnd(uint64_t client_seq) override {
    PostInOrder([core = core_.get(), client_seq] { core->ActivityEnd(client_seq); });
  }
  void AudioStreamEnd(uint64_t /*client_seq*/) override {
    PostInOrder([core = core_.get()] { core->AudioStreamEnd(); });
  }
  void CommitInput(uint64_t /*client_seq*/) override {
    PostInOrder([core = core_.get()] { core->CommitInput(); });
  }
  void ClearInput(uint64_t /*client_seq*/) override {
    PostInOrder([core = core_.get(), frames = Frames()] { core->ClearInput(frames); });
  }
  void CreateResponse(uint64_t client_seq) override {
    PostMessage(Frames(), [core = core_.get(), client_seq] { core->CreateResponse(client_seq); });
  }
  void CancelResponse(uint64_t response_id, uint64_t /*client_seq*/) override {
    PostMessage(kNoFrames, [core = core_.get(), response_id] { core->CancelResponse(response_id); });
  }
  void AckPlayback(uint64_t response_id, int heard_tokens, uint64_t /*client_seq*/) override {
    PostMessage(kNoFrames, [core = core_.get(), response_id, heard_tokens] {
      core->AckPlayback(response_id, heard_tokens);
    });
  }
  void UpdateConfig(CallConfig config) override {
    PostInOrder([core = core_.get(), config = std::move(config)] { core->UpdateConfig(config); });
  }
  void Close() override {
    PostInOrder([core = core_.get()] { core->Close(); });
  }
  void Abort() override { core_->Stop(); }
  void Tick() override {
    Post([core = core_.get(), behind = backlogged()] { core->Tick(behind); });
  }

  int audio_backlog_ms() const override {
    return core_->audio() != nullptr ? core_->audio()->backlog_ms() : 0;
  }
  bool backlogged() const override {
    return audio_backlog_ms() > limits_.max_audio_backlog_ms || backlog_->full();
  }
  void NotifyWhenDrained(absl::AnyInvocable<void()> notify) override {
    // First the messages, then the audio; the owner reads nothing more of either meanwhile.
    backlog_->NotifyWhenDrained([loop = loop_, core = core_.get(), notify = std::move(notify)]() mutable {
      loop->Post([core, notify = std::move(notify)]() mutable {
        if (core->audio() != nullptr) {
          core->audio()->NotifyWhenDrained(std::move(notify));
        } else {
          notify();
        }
      });
    });
  }

 private:
  static constexpr uint64_t kNoFrames = 0;  // it keeps its place, and waits for no picture

  // How many frames were sent before now.
  uint64_t Frames() const { return core_->video() != nullptr ? core_->video()->announced() : kNoFrames; }

  // The loop keeps the core alive while a task runs.
  void Post(Task task) { loop_->Post(std::move(task)); }
  // For what a client can send as fast as it likes: counted until it has run. `frames`: those that it is
  // about, see CallVideo::AfterFrames.
  void PostMessage(uint64_t frames, Task task) {
    Post([core = core_.get(), frames, task = Counted(std::move(task))]() mutable {
      core->AfterFrames(frames, std::move(task));
    });
  }
  void PostInOrder(Task task) {
    Post([core = core_.get(), task = Counted(std::move(task))]() mutable { core->InOrder(std::move(task)); });
  }
  Task Counted(Task task) {
    return [task = std::move(task), ticket = backlog_->Take()]() mutable { task(); };
  }
  void Refuse(std::string message, uint64_t client_seq) {
    PostMessage(kNoFrames, [core = core_.get(), message = std::move(message), client_seq]() mutable {
      core->Refuse(CallCode::kInvalidMessage, std::move(message), client_seq);
    });
  }

  const std::shared_ptr<CallLoop> loop_;
  const std::shared_ptr<CallCore> core_;
  const CallLimits limits_;
  const std::shared_ptr<MessageBacklog> backlog_ = std::make_shared<MessageBacklog>();
};

}  // namespace

absl::StatusOr<std::unique_ptr<LiveCall>> LiveCall::Start(CallConfig config, CallLimits limits,
                                                          Dependencies dependencies, CallSink* sink) {
  if (config.audio.has_value() && !dependencies.engine->hears()) {
    return absl::InvalidArgumentError("audio: this bundle does not hear");
  }
  if (config.video.has_value() && !dependencies.engine->sees()) {
    return absl::InvalidArgumentError("video: this bundle does not see");
  }
  if (config.audio.has_value() && config.turn.mode == TurnMode::kVad && dependencies.detector == nullptr) {
    return absl::InvalidArgumentError("turn.mode VAD: this bundle has no speech detector");
  }
  auto loop = std::make_shared<CallLoop>(dependencies.media_pool);
  auto core = std::make_shared<CallCore>(loop, config, dependencies, sink);
  // The core lives while the loop runs a task.
  auto conversation = dependencies.engine->StartConversation(
      {.instructions = std::move(config.instructions),
       .context = config.context_policy,
       .on_compaction = [loop, core = core.get()](const engine::Compaction& compaction) {
         loop->Post([core, compaction] { core->OnCompaction(compaction); });
       }});
  if (!conversation.ok()) return conversation.status();
  core->OpenConversation(*std::move(conversation));
  if (absl::Status status = core->OpenMedia(limits, dependencies); !status.ok()) return status;
  loop->SetOwner(core);
  return std::make_unique<LiveCallImpl>(std::move(loop), std::move(core), limits);
}

}  // namespace parley::streaming
