#include "streaming/call/call_core.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::streaming {

CallCore::CallCore(std::shared_ptr<CallLoop> loop, CallConfig config,
                   const LiveCall::Dependencies& dependencies, CallSink* sink)
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

void CallCore::OpenConversation(std::unique_ptr<engine::Conversation> conversation) {
  conversation_.Open(std::move(conversation));
}

absl::Status CallCore::OpenMedia(const CallLimits& limits, const LiveCall::Dependencies& dependencies) {
  if (config_.audio.has_value()) {
    auto audio =
        CallAudio::Create(*config_.audio, config_.turn, limits, dependencies.detector, loop_, clock_, this);
    if (!audio.ok()) return audio.status();
    audio_ = *std::move(audio);
  }
  if (config_.video.has_value()) {
    auto video = CallVideo::Create(
        *config_.video, config_.video_policy, limits,
        dependencies.pictures != nullptr ? dependencies.pictures : PictureDecoders::Inline(), &conversation_,
        loop_, clock_, this);
    if (!video.ok()) return video.status();
    video_ = *std::move(video);
  }
  return absl::OkStatus();
}

void CallCore::Stop() {
  outlet_.Close();
  // Whoever comes second waits for the first, who may be a task of the loop: the owner lets go of the
  // engine and the detector when it returns.
  absl::MutexLock lock(&teardown_);
  loop_->Close();
  conversation_.Close();
  if (audio_ != nullptr) audio_->Stop();
}

void CallCore::Refuse(CallCode code, std::string message, uint64_t client_seq) {
  outlet_.Emit(CallError{.code = code, .message = std::move(message), .client_seq = client_seq});
}

void CallCore::InOrder(Task task) {
  if (audio_ != nullptr) {
    audio_->InOrder(std::move(task));
  } else {
    task();
  }
}

void CallCore::AfterFrames(uint64_t frames, Task task) {
  if (video_ != nullptr) {
    video_->AfterFrames(frames, std::move(task));
  } else {
    task();
  }
}

void CallCore::Handle(input::Text& text, InputPlace) {
  responses_.Interrupt(absl::ZeroDuration());
  Commit({.id = ++last_turn_id_,
          .text = std::move(text.text),
          .utterance = {.reason = CommitReason::kText, .end_decided = clock_->Now()}});
}

void CallCore::Handle(const input::ActivityStart&, InputPlace place) {
  if (audio_ == nullptr)
    return Refuse(CallCode::kWrongMode, "ActivityStart in a call without audio", place.client_seq);
  audio_->ActivityStart(place.client_seq);
  OnSpeakingMayHaveChanged();
}

void CallCore::Handle(const input::ActivityEnd&, InputPlace place) {
  if (audio_ == nullptr)
    return Refuse(CallCode::kWrongMode, "ActivityEnd in a call without audio", place.client_seq);
  audio_->ActivityEnd(place.client_seq);
  OnSpeakingMayHaveChanged();
}

void CallCore::Handle(const input::AudioStreamEnd&, InputPlace) {
  if (audio_ != nullptr) audio_->StreamEnd();
  OnSpeakingMayHaveChanged();
}

void CallCore::Handle(const input::Commit&, InputPlace) {
  if (audio_ != nullptr) {
    audio_->Commit();
  } else {
    OnUtterance({.reason = CommitReason::kInputCommit, .end_decided = clock_->Now()});
  }
  OnSpeakingMayHaveChanged();
}

void CallCore::Handle(const input::Clear&, InputPlace place) {
  if (responses_.delivery_paused()) {
    const uint64_t waiting = barge_in_.Forget();
    Dismiss(speech_turn_id_.value_or(waiting), DismissReason::kCleared);
  }
  responses_.ForgetSpeech();
  if (audio_ != nullptr) audio_->Clear();
  if (video_ != nullptr) video_->Clear(place.frames);
  speech_turn_id_.reset();
  OnSpeakingMayHaveChanged();
}

void CallCore::Handle(const input::CreateResponse&, InputPlace place) {
  if (responses_.busy()) {
    return Refuse(CallCode::kInvalidMessage, "ResponseCreate while an answer is being given",
                  place.client_seq);
  }
  Commit({.id = ++last_turn_id_,
          .utterance = {.reason = CommitReason::kResponseCreate, .end_decided = clock_->Now()}});
}

void CallCore::Handle(const input::CancelResponse& cancel, InputPlace) {
  const uint64_t response_id = cancel.response_id;
  if (responses_.Cancel(response_id)) return;
  outlet_.Emit(CallWarning{CallCode::kUnknownResponse,
                           response_id == 0 ? "no answer is being given"
                                            : absl::StrCat("answer ", response_id, " is not being given")});
}

void CallCore::Handle(const input::AckPlayback& ack, InputPlace) {
  if (responses_.Ack(ack.response_id, ack.heard_tokens)) return;
  outlet_.Emit(
      CallWarning{CallCode::kUnknownResponse, absl::StrCat("there was no answer ", ack.response_id)});
}

void CallCore::Handle(const input::Update& update, InputPlace place) {
  const CallConfig& config = update.config;
  if (audio_ != nullptr && config.turn.mode == TurnMode::kVad && !detects_) {
    return Refuse(CallCode::kInvalidMessage, "VAD mode: the bundle has no speech detector", place.client_seq);
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

void CallCore::Handle(const input::Close&, InputPlace) {
  if (closing_) return;
  if (audio_ != nullptr) audio_->EndInput();
  closing_ = true;
  EndIfDone();
}

void CallCore::Tick(bool behind) {
  if (video_ != nullptr) video_->Tick();
  if (audio_ == nullptr) return;
  audio_->Tick(behind);
  OnSpeakingMayHaveChanged();
}

void CallCore::OnSpeechStarted(const SpeechStarted& event) {
  speech_turn_id_ = ++last_turn_id_;
  outlet_.Emit(event, *speech_turn_id_);
  OnSpeakingMayHaveChanged();
}

void CallCore::OnSpeechStopped(const SpeechStopped& event) {
  outlet_.Emit(event, speech_turn_id_.value_or(0));
}

void CallCore::OnUtterance(Utterance utterance) {
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

void CallCore::OnSoundOverAnswer(absl::Duration speech, std::vector<float> samples) {
  responses_.PauseDelivery(speech);
  barge_in_.GoesOn(speech, std::move(samples));
}

void CallCore::OnAudioWarning(CallCode code, std::string message) {
  outlet_.Emit(CallWarning{code, std::move(message)});
}

void CallCore::OnAudioError(CallCode code, std::string message, uint64_t client_seq, bool fatal) {
  outlet_.Emit(CallError{code, std::move(message), client_seq, fatal});
  if (fatal) Stop();
}

void CallCore::OnVideoError(CallCode code, std::string message, uint64_t client_seq) {
  Refuse(code, std::move(message), client_seq);
}

void CallCore::OnDecided(UserTurn turn, bool words) {
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

std::shared_ptr<TurnFrames> CallCore::TakeTurnFrames() {
  return video_ != nullptr ? video_->TakeTurn() : std::make_shared<TurnFrames>();
}

void CallCore::GiveBackFrames(std::shared_ptr<TurnFrames> frames) {
  if (video_ != nullptr) video_->GiveBack(std::move(frames));
}

void CallCore::OnResponseState() {
  if (audio_ != nullptr) {
    audio_->SetAnswerActive(responses_.answer_active());
    if (!responses_.answer_active()) StopAsking();
    if (responses_.turn_open()) audio_->RepeatPause();  // it may be speculated on now
  }
  if (video_ != nullptr) video_->Pump();
  EndIfDone();
}

void CallCore::OnConversationFailed(const absl::Status& status) {
  const CallCode code = absl::IsResourceExhausted(status) ? CallCode::kContextFull : CallCode::kEngineFailed;
  outlet_.Emit(CallError{.code = code, .message = std::string(status.message()), .fatal = true});
  Stop();
}

void CallCore::Commit(UserTurn turn) {
  const uint64_t id = turn.id;
  if (responses_.Commit(std::move(turn))) return;
  Refuse(CallCode::kTooLarge,
         absl::StrCat("turn ", id, " is dropped: ", Responses::kMaxWaiting, " turns wait to be answered"), 0);
}

void CallCore::CommitSpoken(UserTurn turn) {
  const CommitReason reason = turn.utterance.reason;
  const bool by_message = reason == CommitReason::kActivityEnd || reason == CommitReason::kInputCommit ||
                          reason == CommitReason::kAudioStreamEnd;
  AfterFrames(by_message && video_ != nullptr ? video_->announced() : 0,
              [this, turn = std::move(turn)]() mutable { Commit(std::move(turn)); });
}

void CallCore::Dismiss(uint64_t turn_id, DismissReason reason) {
  outlet_.Emit(SpeechDismissed{reason}, turn_id);
  barge_in_.Forget();
  responses_.ForgetSpeech();
  responses_.ResumeDelivery();
}

void CallCore::StopAsking() {
  responses_.ResumeDelivery();
  barge_in_.Reset();
}

void CallCore::OnSpeakingMayHaveChanged() {
  if (video_ != nullptr) video_->SetSpeaking(audio_ != nullptr && audio_->user_speaking());
}

void CallCore::EndIfDone() {
  if (!closing_ || !responses_.idle() || barge_in_.deciding() || turn_owed_ ||
      (video_ != nullptr && !video_->idle()))
    return;
  outlet_.Emit(CallEnded{});
  Stop();
}

}  // namespace parley::streaming
