// A live call's state: its parts (audio, video, answers, sound over an answer), and what one of them means
// for the others.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "engine/api/conversation.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"
#include "streaming/api/call_inputs.h"
#include "streaming/call/barge_in.h"
#include "streaming/call/call_audio.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/call_outlet.h"
#include "streaming/call/call_video.h"
#include "streaming/call/conversation_link.h"
#include "streaming/call/live_call.h"
#include "streaming/call/responses.h"
#include "streaming/call/user_turn.h"

namespace parley::streaming {

// Where an input stands among the others.
struct InputPlace {
  uint64_t client_seq = 0;
  uint64_t frames = 0;  // sent before it
};

// Used by tasks of its loop, but where it says otherwise. Lives while the call's handle or such a task holds
// it.
class CallCore : public CallAudio::Host,
                 public CallVideo::Host,
                 public Responses::Host,
                 public BargeIn::Host {
 public:
  CallCore(std::shared_ptr<CallLoop> loop, CallConfig config, const LiveCall::Dependencies& dependencies,
           CallSink* sink);

  // Each once, before anything else.
  void OpenConversation(std::unique_ptr<engine::Conversation> conversation);
  absl::Status OpenMedia(const CallLimits& limits, const LiveCall::Dependencies& dependencies);

  // Any thread. Null where the call has none; never changes after OpenMedia.
  CallAudio* audio() { return audio_.get(); }
  CallVideo* video() { return video_.get(); }

  // Any thread: nothing runs and nothing is told any more. The outlet first: that is what the caller waits
  // for.
  void Stop();

  void Refuse(CallCode code, std::string message, uint64_t client_seq);

  // Runs when all audio sent before it has been judged.
  void InOrder(Task task);
  // Runs when the first `frames` sent have been decoded, or it has waited long enough for them.
  void AfterFrames(uint64_t frames, Task task);

  // The client's messages, when their time has come.
  void Handle(input::Text& text, InputPlace place);
  void Handle(const input::ActivityStart& start, InputPlace place);
  void Handle(const input::ActivityEnd& end, InputPlace place);
  void Handle(const input::AudioStreamEnd& end, InputPlace place);
  void Handle(const input::Commit& commit, InputPlace place);
  void Handle(const input::Clear& clear, InputPlace place);
  void Handle(const input::CreateResponse& create, InputPlace place);
  void Handle(const input::CancelResponse& cancel, InputPlace place);
  void Handle(const input::AckPlayback& ack, InputPlace place);
  void Handle(const input::Update& update, InputPlace place);
  void Handle(const input::Close& close, InputPlace place);
  // `behind`: messages or audio wait that came before now.
  void Tick(bool behind);

  void OnCompaction(const engine::Compaction& compaction) { outlet_.Emit(ContextCompacted{compaction}); }

  // ---- CallAudio::Host

  void OnSpeechStarted(const SpeechStarted& event) override;
  void OnSpeechStopped(const SpeechStopped& event) override;
  void OnUtterance(Utterance utterance) override;
  void OnPause(Utterance so_far) override { responses_.Speculate(std::move(so_far)); }
  void OnSpeechResumed() override { responses_.DropSpeculation(); }
  void OnTurnGrown(std::vector<float> samples) override { responses_.TranscribeEarly(std::move(samples)); }
  void OnUserInterrupts() override { responses_.Interrupt(absl::ZeroDuration()); }
  void OnSoundOverAnswer(absl::Duration speech, std::vector<float> samples) override;
  void OnAudioWarning(CallCode code, std::string message) override;
  void OnAudioError(CallCode code, std::string message, uint64_t client_seq, bool fatal) override;

  // ---- CallVideo::Host

  void OnInputStatus(InputStatus status) override { outlet_.Emit(std::move(status)); }
  void OnVideoError(CallCode code, std::string message, uint64_t client_seq) override;
  void OnFrameFailed(const absl::Status& status) override { OnConversationFailed(status); }
  bool MayAppendFrames() const override { return responses_.turn_open(); }
  void OnFrameWaits() override { responses_.DropForFrame(); }
  void OnFramesIdle() override { EndIfDone(); }

  // ---- BargeIn::Host

  void OnWordsOverAnswer(absl::Duration speech) override { responses_.Interrupt(speech); }
  void OnDecided(UserTurn turn, bool words) override;

  // ---- Responses::Host

  std::shared_ptr<TurnFrames> TakeTurnFrames() override;
  void GiveBackFrames(std::shared_ptr<TurnFrames> frames) override;
  void OnResponseState() override;
  void OnConversationFailed(const absl::Status& status) override;

 private:
  void Commit(UserTurn turn);
  void CommitSpoken(UserTurn turn);
  // What was said over the answer is no turn.
  void Dismiss(uint64_t turn_id, DismissReason reason);
  // Whatever is said is a turn, or will be: nothing waits for its words.
  void StopAsking();
  void OnSpeakingMayHaveChanged();
  void EndIfDone();

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

}  // namespace parley::streaming
