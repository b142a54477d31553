#include "engine/whisper/draft.h"

#include <algorithm>

namespace parley::engine::whisper {
namespace {

// More audio changes, adds or leaves out a few tokens at one place: a capital, a comma, a word cut short.
constexpr size_t kReach = 6;

}  // namespace

const WhisperDraft::Window* WhisperDraft::WindowAt(size_t begin) const {
  const auto found = std::find_if(windows.begin(), windows.end(),
                                  [&](const Window& window) { return window.begin == begin; });
  return found == windows.end() ? nullptr : &*found;
}

size_t WhisperDraft::tokens() const {
  size_t tokens = 0;
  for (const Window& window : windows) tokens += window.written.size();
  return tokens;
}

bool DraftFollower::Wrote(TokenId token) {
  const bool expected = at_ < draft_.size() && Next(at_) == token;
  const size_t end = std::min(at_ + kReach, draft_.size());
  for (size_t i = at_; i < end; ++i) {
    const bool timestamps = IsTimestamp(token) && IsTimestamp(draft_[i]);
    if (!timestamps && draft_[i] != token) continue;
    if (timestamps) shift_ = token - draft_[i];
    at_ = i + 1;
    break;
  }
  return expected;
}

void DraftFollower::Propose(int most, std::vector<TokenId>& tokens) const {
  const size_t end = std::min(at_ + static_cast<size_t>(std::max(most, 0)), draft_.size());
  for (size_t i = at_; i < end; ++i) tokens.push_back(Next(i));
}

TokenId DraftFollower::Next(size_t at) const {
  if (!IsTimestamp(draft_[at])) return draft_[at];
  return std::clamp(draft_[at] + shift_, first_timestamp_, last_timestamp_);
}

}  // namespace parley::engine::whisper
