// A call's turns on their way through the model: read, answered, heard.
//
//   idle -> reading   the turn's speech or text is being prefilled
//        -> answering the answer is being made; its tokens go out
//        -> idle      it may still be heard: PlaybackAck says how far
//
// One turn is under way at a time; turns that are committed meanwhile wait, at most kMaxWaiting of them, and
// are answered in order. An answer that is interrupted or cancelled is fenced at once: no token of it is let
// out any more, whenever the engine stops making them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/api/conversation.h"
#include "streaming/call/call_audio.h"
#include "streaming/call/call_events.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/call_outlet.h"
#include "streaming/call/call_video.h"
#include "streaming/call/conversation_link.h"

namespace parley::streaming {

// A committed turn of the user.
struct UserTurn {
  uint64_t id = 0;
  std::string text;     // TEXT
  Utterance utterance;  // the others; RESPONSE_CREATE and TEXT have no samples
};

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

  // All outlive it.
  Responses(ConversationLink* conversation, CallOutlet* outlet, std::shared_ptr<CallLoop> loop,
            const Clock* clock, Host* host)
      : conversation_(conversation), outlet_(outlet), loop_(std::move(loop)), clock_(clock), host_(host) {}

  void SetGeneration(engine::GenerationConfig config) { generation_ = std::move(config); }

  // Takes the turn up now, or when those before it are done. False: too many wait, the turn is dropped.
  bool Commit(UserTurn turn);
  // The user's words take precedence: what is being read is not answered, what is being made or heard ends.
  // Nothing when no answer is active.
  void Interrupt(absl::Duration speech);
  // False: there is no such answer, or it is done. 0: the one under way.
  bool Cancel(uint64_t response_id);
  // False: no such answer was ever given.
  bool Ack(uint64_t response_id, int heard_tokens);

  // An answer is owed, being made, or being heard by a client that acknowledges.
  bool answer_active() const;
  // Nothing is being read or answered and nothing waits.
  bool idle() const { return phase_ == Phase::kIdle && waiting_.empty(); }
  bool busy() const { return phase_ != Phase::kIdle; }

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
    std::shared_ptr<TurnFrames> frames;
    engine::MarkId mark = 0;           // before its speech
    std::optional<ResponseEnd> ended;  // by the user, before the engine ended it
    Answer answer;
    TurnTimes times;
  };

  void TakeUp(UserTurn turn);
  void OnSpeechRead(const absl::StatusOr<engine::SpeechResult>& result);
  void OnTextRead(const absl::StatusOr<engine::TextResult>& result);
  void OnRead(bool has_content);
  void OnReadFailed(const absl::Status& status);
  void StartAnswer();
  void OnText(uint64_t response_id, std::string text, int tokens, absl::Time made);
  void OnDone(uint64_t response_id, const engine::AnswerResult& result);
  void Finish();
  void Fence(Answer& answer, int kept_tokens);
  int HeardOf(const Answer& answer) const;
  void FillFrameTimes();

  ConversationLink* const conversation_;
  CallOutlet* const outlet_;
  const std::shared_ptr<CallLoop> loop_;
  const Clock* const clock_;
  Host* const host_;

  engine::GenerationConfig generation_;
  std::deque<UserTurn> waiting_;
  Phase phase_ = Phase::kIdle;
  Current current_;
  Answer last_;               // the answer before the current one; it may still be heard
  bool client_acks_ = false;  // has sent a PlaybackAck in this call
  uint64_t last_response_id_ = 0;
};

}  // namespace parley::streaming
