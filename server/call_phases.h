// The phases of a call in order, when it entered each, and the time limits that hold in them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "absl/time/time.h"
#include "server/codes.h"
#include "server/options.h"

namespace parley::server {

enum class Phase {
  kOpening,  // waits for SessionOpen
  kWaiting,  // waits for a place; nothing is read
  kOpen,     // takes messages
  kClosing,  // the client has said all; the LiveCall finishes what it owes
  kEnding,   // the status is decided; what is queued is written before it
};

// Not thread-safe: the session's lock guards it.
class CallPhases {
 public:
  // Begins with kOpening. `options` outlives it.
  CallPhases(const ServerOptions& options, absl::Time now);

  Phase current() const { return current_; }
  bool before_open() const { return current_ < Phase::kOpen; }
  bool ended() const { return current_ == Phase::kEnding; }
  // REQUIRES: `next` comes after the current one. Any but kOpen may be left out.
  void Enter(Phase next, absl::Time now);

  // A message has come. The time without one is limited.
  void MessageRead(absl::Time now) { last_read_ = now; }
  // Nothing is read because the call is behind, which is not the client's fault.
  void PauseReading() { paused_ = true; }
  // False: reading was not paused, or the call takes no messages any more.
  bool ResumeReading(absl::Time now);

  // Since it asked for a place. REQUIRES: it did.
  absl::Duration waited(absl::Time now) const { return now - entered(Phase::kWaiting); }
  // Since it was open; nothing: it never was.
  std::optional<absl::Duration> open_for(absl::Time now) const;

  // What the client is told once the current phase has lasted too long. kWaiting is the registry's to limit.
  std::optional<Fault> Overdue(absl::Time now) const;

 private:
  absl::Time entered(Phase phase) const { return entered_[static_cast<size_t>(phase)]; }

  const ServerOptions& options_;
  Phase current_ = Phase::kOpening;
  std::array<absl::Time, 5> entered_;  // by phase; InfinitePast: it was not
  absl::Time last_read_ = absl::InfinitePast();
  bool paused_ = false;
};

}  // namespace parley::server
