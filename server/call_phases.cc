#include "server/call_phases.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::server {
namespace {

// A stream that opens no call within this is ended.
constexpr absl::Duration kOpenLimit = absl::Seconds(5);

}  // namespace

CallPhases::CallPhases(const ServerOptions& options, absl::Time now) : options_(options) {
  entered_.fill(absl::InfinitePast());
  entered_[static_cast<size_t>(current_)] = now;
}

void CallPhases::Enter(Phase next, absl::Time now) {
  current_ = next;
  entered_[static_cast<size_t>(next)] = now;
  if (next == Phase::kOpen) last_read_ = now;
}

bool CallPhases::ResumeReading(absl::Time now) {
  if (!std::exchange(paused_, false) || current_ != Phase::kOpen) return false;
  last_read_ = now;
  return true;
}

std::optional<absl::Duration> CallPhases::open_for(absl::Time now) const {
  if (entered(Phase::kOpen) == absl::InfinitePast()) return std::nullopt;
  return now - entered(Phase::kOpen);
}

std::optional<Fault> CallPhases::Overdue(absl::Time now) const {
  std::string what;
  switch (current_) {
    case Phase::kOpening:
      if (now - entered(Phase::kOpening) > kOpenLimit) {
        what = absl::StrCat("no SessionOpen within ", absl::FormatDuration(kOpenLimit));
      }
      break;
    case Phase::kOpen:
      if (!paused_ && now - last_read_ > options_.idle) {
        what = absl::StrCat("no message for ", absl::FormatDuration(options_.idle));
      } else if (now - entered(Phase::kOpen) > options_.max_call) {
        what = absl::StrCat("the call has lasted ", absl::FormatDuration(options_.max_call));
      }
      break;
    case Phase::kClosing:
      if (now - entered(Phase::kClosing) > options_.drain_limit) {
        what = "what was owed at SessionClose took too long";
      }
      break;
    case Phase::kWaiting:
    case Phase::kEnding:
      break;
  }
  if (what.empty()) return std::nullopt;
  return MakeFault(v1::DEADLINE, std::move(what));
}

}  // namespace parley::server
