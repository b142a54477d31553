// A call's turns on their way through the model: read, answered, heard.
//
//   idle -> reading   the turn's speech or text is being prefilled
//        -> answering the answer is being made; its tokens go out
//        -> idle      it may still be heard: PlaybackAck says how far
//
// One turn is under way at a time; turns that are committed meanwhile wait, at most kMaxWaiting of them, and
// are answered in order. An answer that is interrupted or cancelled is fenced at once: no token of it is let
// out any more, whenever the engine stops making them.
//
// Delivery of an answer can be paused, while it is not known whether sound over it is an interruption: the
// engine goes on, and what it makes is held here. Then the answer goes on from the token after the last one
// sent, or it is interrupted there.
//
// Speculation: work begun at a pause of the user's, in case it is the end of the turn. Policy:
//   begun     when nothing is read or answered and no turn waits, at most 1 + max_retries times a turn. It
//             is done on the audio that a commit by silence would hand over, and on what has been shown so
//             far. In a pause that goes on it is begun as soon as it may be.
//   held      the transcript and the tokens stay here: nothing is told and no epoch is raised.
//   frames    that come meanwhile wait: for the next turn when it is accepted, for this one when it is
//             dropped. So an accepted answer is the one that the plain path gives for the same frames. One
//             that comes kFrameGrace after the pause or later drops it, since a long silence may be there to
//             show something; it is begun again with the frame in it.
//   accepted  by a commit of that very audio: what is held goes out at once, the rest as it is made.
//   dropped   when speech goes on, and by all that changes what the plain path would read or answer: a commit
//             of other audio, typed text, ResponseCreate, a cut of an earlier answer, InputClear, another
//             configuration. The conversation is rewound to where it was before the speech.
// Where the engine has no room for it, it is dropped and not tried again in this turn: the engine gives
// nothing up for what nobody waits for yet, as it may for the turn itself.
// What is said in a turn that goes on is transcribed early, while nothing else is done for the call, so that
// little is left to do when it ends. Nothing of that is told, and the transcript is the same.
// An engine that fails while it speculates has lost the conversation, and that is told at once.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/api/conversation.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/call_outlet.h"
#include "streaming/call/call_video.h"
#include "streaming/call/conversation_link.h"
#include "streaming/call/user_turn.h"

namespace parley::streaming {

// Used by the call's strand.
class Responses {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // The turn goes to the model now: what was seen in it.
    virtual std::shared_ptr<TurnFrames> TakeTurnFrames() = 0;
    virtual void GiveBackFrames(std::shared_ptr<TurnFrames> frames) = 0;
    // answer_active() may have changed, or the call became idle.
    virtual void OnResponseState() = 0;
    virtual void OnConversationFailed(const absl::Status& status) = 0;
  };

  static constexpr size_t kMaxWaiting = 4;
  static constexpr absl::Duration kFrameGrace = absl::Milliseconds(500);

  // All outlive it.
  Responses(ConversationLink* conversation, CallOutlet* outlet, std::shared_ptr<CallLoop> loop,
            const Clock* clock, Host* host)
      : conversation_(conversation), outlet_(outlet), loop_(std::move(loop)), clock_(clock), host_(host) {}

  void Configure(const engine::GenerationConfig& generation, const SpeculationConfig& speculation);

  // Takes the turn up now, or when those before it are done. False: too many wait, the turn is dropped.
  bool Commit(UserTurn turn);
  // What was said so far of the turn being spoken, which goes on.
  void TranscribeEarly(std::vector<float> samples);
  // The turn being spoken may be over: see the policy above.
  void Speculate(Utterance so_far);
  // It is not. A no-op when there is nothing to drop.
  void DropSpeculation();
  // A frame waits for it: dropped, if that is too long.
  void DropForFrame();
  // What was being spoken is thrown away.
  void ForgetSpeech();
  // The user's words take precedence: what is being read is not answered, what is being made or heard ends.
  // Nothing when no answer is active.
  void Interrupt(absl::Duration speech);
  // Of the active answer; see above. Both may be called again, and without an answer.
  void PauseDelivery(absl::Duration speech);
  void ResumeDelivery();
  bool delivery_paused() const { return delivery_paused_; }
  // False: there is no such answer, or it is done. 0: the one under way.
  bool Cancel(uint64_t response_id);
  // False: no such answer was ever given.
  bool Ack(uint64_t response_id, int heard_tokens);

  // An answer is owed, being made, or being heard by a client that acknowledges.
  bool answer_active() const;
  // Nothing is being read or answered and nothing waits.
  bool idle() const { return phase_ == Phase::kIdle && waiting_.empty(); }
  bool busy() const { return phase_ != Phase::kIdle; }
  // Whether the user's turn is open: what is appended now is part of it.
  bool turn_open() const { return phase_ == Phase::kIdle && speculation_ == nullptr; }

 private:
  class Listener;
  enum class Phase { kIdle, kReading, kAnswering };

  struct Answer {
    uint64_t turn_id = 0;
    uint64_t response_id = 0;
    engine::AnswerId engine_id = 0;
    int sent_tokens = 0;
    int heard_tokens = 0;
    int kept_tokens = 0;
    bool fenced = false;
  };
  // The turn being read or answered.
  struct Current {
    UserTurn turn;
    uint64_t attempt = 0;
    std::shared_ptr<TurnFrames> frames;
    engine::MarkId mark = 0;           // before its speech
    std::optional<ResponseEnd> ended;  // by the user, before the engine ended it
    Answer answer;
    TurnTimes times;
    // Made while delivery is paused.
    std::vector<TokenDelta> held_tokens;
    std::optional<engine::AnswerResult> held_done;
  };

  // What is held of a turn that may be over.
  struct Speculation {
    uint64_t attempt = 0;
    int64_t begin = 0;  // of the audio
    size_t samples = 0;
    std::shared_ptr<TurnFrames> frames;
    engine::MarkId mark = 0;  // before its speech
    absl::Time begun;
    std::optional<engine::SpeechResult> speech;
    engine::AnswerId answer = 0;  // 0: not asked for
    std::vector<TokenDelta> tokens;
    std::optional<engine::AnswerResult> done;
  };

  void BeginTurn(UserTurn turn);
  bool IsSpeculatedOn(const Utterance& utterance) const;
  void Accept(UserTurn turn);
  void Open(UserTurn turn, std::shared_ptr<TurnFrames> frames);
  void AppendSpeech(std::vector<float> samples, uint64_t attempt);
  void OnSpeechRead(uint64_t attempt, const absl::StatusOr<engine::SpeechResult>& result);
  void RefuseSpeculation();
  void HoldSpeech(const absl::StatusOr<engine::SpeechResult>& result);
  void TakeSpeech(const absl::StatusOr<engine::SpeechResult>& result);
  void TellTranscript(const engine::SpeechResult& result);
  engine::AnswerId Ask(uint64_t attempt);
  void OnTextRead(const absl::StatusOr<engine::TextResult>& result);
  void OnRead(bool has_content);
  void OnReadFailed(const absl::Status& status);
  void StartAnswer(engine::AnswerId answer);
  bool IsHeld(uint64_t attempt) const { return speculation_ != nullptr && speculation_->attempt == attempt; }
  void OnText(uint64_t attempt, TokenDelta delta);
  void OnDone(uint64_t attempt, const engine::AnswerResult& result);
  void EndAnswer(const engine::AnswerResult& result);
  // The answer that ended while its delivery was paused. False: there is none.
  bool EndHeldAnswer();
  void Finish();
  void EmitOfActiveAnswer(decltype(CallEvent::payload) payload);
  void Fence(Answer& answer, int kept_tokens);
  int HeardOf(const Answer& answer) const;
  void FillFrameTimes();

  ConversationLink* const conversation_;
  CallOutlet* const outlet_;
  const std::shared_ptr<CallLoop> loop_;
  const Clock* const clock_;
  Host* const host_;

  engine::GenerationConfig generation_;
  SpeculationConfig speculation_config_;
  std::deque<UserTurn> waiting_;
  Phase phase_ = Phase::kIdle;
  Current current_;
  Answer last_;  // the answer before the current one; it may still be heard
  bool delivery_paused_ = false;
  bool client_acks_ = false;  // has sent a PlaybackAck in this call
  uint64_t last_response_id_ = 0;
  uint64_t last_attempt_ = 0;  // to read and answer a turn; completions of one that was dropped go nowhere
  std::unique_ptr<Speculation> speculation_;  // only while idle with no turn waiting
  // Of the turn being spoken:
  int speculations_ = 0;
  int wasted_tokens_ = 0;
  bool refused_ = false;  // the engine has no room for speculation: not tried again
};

}  // namespace parley::streaming
