// Sound over an answer: is it a turn of the user? Its words say.
//
// Once it has lasted interruption_min_duration, delivery of the answer pauses. Once it has lasted kShort what
// was said so far is transcribed: words interrupt the answer; without words it is asked again as the sound
// goes on. When the sound is over, all of it is transcribed: words make it a turn that interrupts the answer,
// and without words the answer goes on.
//
// A transcriber finds words in a hum ("M. M. Thun"), and others in a part of it ("An anthem"), of which it
// may be sure: so a sound up to kShort is judged as a whole, and its words count when the transcriber is sure
// of them. Nobody hears a difference, as the answer is paused. Longer ones are speech: nobody hums for so
// long, and who speaks in noise is to be heard.
//
// What cannot be transcribed counts as words: better an answer too few than a user who is not heard.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/conversation.h"
#include "streaming/call/conversation_link.h"
#include "streaming/call/user_turn.h"

namespace parley::streaming {

// Used by the call's strand.
class BargeIn {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // There are words in what goes on.
    virtual void OnWordsOverAnswer(absl::Duration speech) = 0;
    virtual void OnDecided(UserTurn turn, bool words) = 0;
  };

  static constexpr absl::Duration kShort = absl::Milliseconds(1'200);
  // Measured with Whisper base on synthetic voices: "mm-hmm" and "hmm", whole or in part, -0.83 to -1.55 but
  // for one voice; "hold on", "wait a minute", "that is wrong" -0.13 to -0.55 where they were written
  // rightly.
  static constexpr double kSureLogProbability = -0.7;

  // Both outlive it.
  BargeIn(ConversationLink* conversation, Host* host) : conversation_(conversation), host_(host) {}

  // The sound has lasted `speech` so far; `samples`: all of it.
  void GoesOn(absl::Duration speech, std::vector<float> samples);
  // It is over: OnDecided follows. REQUIRES: !deciding().
  void Decide(UserTurn turn);
  // Nothing is asked any more; a turn that waits to be decided counts as one with words.
  void Reset();

  // The same, and a turn that waits to be decided is none. 0: none waits. Else its id.
  uint64_t Forget();

  bool deciding() const { return turn_.has_value(); }

 private:
  void Ask(std::vector<float> samples);
  void OnWritten(uint64_t question, absl::Duration sound, const absl::StatusOr<engine::SpeechResult>& result);

  ConversationLink* const conversation_;
  Host* const host_;
  uint64_t question_ = 0;         // counts what was asked; answers to older ones go nowhere
  bool asked_ = false;            // and not answered
  absl::Duration speech_;         // how long the sound has been
  std::optional<UserTurn> turn_;  // to be decided
};

}  // namespace parley::streaming
