#include "engine/runtime/conversation_history.h"

#include <algorithm>
#include <limits>

namespace parley::engine {

ConversationHistory::ConversationHistory(const text::PromptLayout* layout, absl::string_view instructions,
                                         int capacity)
    : layout_(layout), capacity_(capacity), tokens_(layout->System(instructions)) {
  system_size_ = size();
  part_limit_ = capacity - Brackets() - std::min(64, capacity / 16);
  valid_prefix_ = std::numeric_limits<int>::max();
}

// Around an answer.
int ConversationHistory::Brackets() const {
  return static_cast<int>(layout_->AnswerOpen().size() + layout_->AnswerClose().size());
}

int ConversationHistory::HeldIn(int begin, int end) const {
  int held = end - begin;
  for (const Range& range : forgotten_) {
    if (range.begin >= begin && range.end <= end) held -= range.end - range.begin;
  }
  return held;
}

void ConversationHistory::PageStarts(int begin, int end, std::vector<int>& starts) const {
  starts.clear();
  const auto add = [&](int position) {
    if (position < begin || position >= end) return;
    if (starts.empty() || starts.back() != position - begin) starts.push_back(position - begin);
  };
  add(system_size_);
  for (const Frame& frame : frames_) {
    add(frame.begin);
    add(frame.end);
  }
}

void ConversationHistory::Append(const std::vector<TokenId>& tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void ConversationHistory::OpenTurn(const std::vector<TokenId>& opening) {
  turn_begins_.push_back(size());
  turn_ = Turn{};
  turn_.open = true;
  turn_.usage.template_tokens = static_cast<int>(opening.size());
  Append(opening);
}

void ConversationHistory::CutBack(int to) {
  if (to < size()) valid_prefix_ = std::min(valid_prefix_, to);
  tokens_.resize(to);
  const auto drop = [](auto& list, auto begins_after) {
    while (!list.empty() && begins_after(list.back())) list.pop_back();
  };
  drop(forgotten_, [to](const Range& range) { return range.begin >= to; });
  drop(frames_, [to](const Frame& frame) { return frame.begin >= to; });
  drop(turn_begins_, [to](int begin) { return begin >= to; });
  drop(answers_, [to](const AnswerRange& answer) { return answer.begin > to; });
}

void ConversationHistory::Splice(int begin, int end, const std::vector<TokenId>& with) {
  tokens_.erase(tokens_.begin() + begin, tokens_.begin() + end);
  tokens_.insert(tokens_.begin() + begin, with.begin(), with.end());
  valid_prefix_ = std::min(valid_prefix_, begin);
  const int moved = static_cast<int>(with.size()) - (end - begin);
  const auto move = [&](int& position) {
    if (position >= end) {
      position += moved;
    } else if (position > begin) {
      position = begin;
    }
  };
  for (int& turn : turn_begins_) move(turn);
  for (AnswerRange& answer : answers_) {
    move(answer.begin);
    move(answer.end);
  }
  for (Frame& frame : frames_) {
    move(frame.begin);
    move(frame.end);
  }
  for (Place& mark : marks_) move(mark.size);
  move(before_.size);
}

void ConversationHistory::Replace(int begin, int end, const std::vector<TokenId>& with) {
  while (!forgotten_.empty() && forgotten_.back().begin >= begin) {
    const Range gap = forgotten_.back();
    forgotten_.pop_back();
    if (gap.begin >= end) Splice(gap.begin, gap.end, {});
  }
  Splice(begin, end, with);
}

int ConversationHistory::TakeValidPrefix() {
  const int prefix = std::min(valid_prefix_, size());
  valid_prefix_ = std::numeric_limits<int>::max();
  return prefix;
}

int ConversationHistory::RoomForPart(absl::string_view words) const {
  const int opening = turn_.open ? 0 : static_cast<int>(layout_->UserOpen(turns_ == 0).size());
  return part_limit_ - opening - static_cast<int>(layout_->UserPart(words, turn_.parts == 0).size());
}

int ConversationHistory::AppendPart(PartKind kind, absl::string_view words, absl::Time now) {
  const std::vector<TokenId> part = layout_->UserPart(words, turn_.parts == 0);
  if (part.empty()) return 0;
  const int before = size();
  const std::vector<TokenId>& opening = layout_->UserOpen(turns_ == 0);
  const int opening_size = turn_.open ? 0 : static_cast<int>(opening.size());
  const int part_size = static_cast<int>(part.size());
  if (before + opening_size + part_size > part_limit_) return -1;
  before_ = {0, before, turns_, turn_};
  if (!turn_.open) OpenTurn(opening);
  const int begin = size();
  Append(part);
  ++turn_.parts;
  switch (kind) {
    case PartKind::kText:
      turn_.usage.text_tokens += part_size;
      break;
    case PartKind::kSpeech:
      turn_.usage.speech_tokens += part_size;
      break;
    case PartKind::kFrame:
      turn_.usage.frame_tokens += part_size;
      frames_.push_back({begin, size(), now});
      break;
  }
  if (kind != PartKind::kFrame) turn_.words = true;
  return size() - before;
}

int ConversationHistory::RoomForAnswer(int tokens) const {
  const int opening = turn_.open ? 0 : static_cast<int>(layout_->UserOpen(turns_ == 0).size());
  return capacity_ - opening - Brackets() - tokens;
}

bool ConversationHistory::OpenAnswer(AnswerId answer) {
  if (size() > RoomForAnswer(1)) return false;
  before_ = {0, size(), turns_, turn_};
  if (!turn_.open) OpenTurn(layout_->UserOpen(turns_ == 0));
  Append(layout_->AnswerOpen());
  turn_.usage.template_tokens += static_cast<int>(layout_->AnswerOpen().size());
  answers_.push_back({answer, size(), size()});
  answering_ = true;
  return true;
}

void ConversationHistory::AppendAnswerToken(TokenId token) {
  tokens_.push_back(token);
  answers_.back().end = size();
}

bool ConversationHistory::AnswerTokenFits() const {
  return size() + 1 + static_cast<int>(layout_->AnswerClose().size()) <= capacity_;
}

absl::Span<const TokenId> ConversationHistory::answer_tokens() const {
  if (!answering_) return {};
  const AnswerRange& answer = answers_.back();
  return absl::MakeConstSpan(tokens_).subspan(answer.begin, answer.end - answer.begin);
}

void ConversationHistory::CloseAnswer(int tokens) {
  const AnswerRange& answer = answers_.back();
  const int end = std::clamp(answer.begin + tokens, answer.begin, answer.end);
  if (end < answer.end) Replace(end, answer.end, {});
  turn_.usage.answer_tokens = end - answer.begin;
  turn_.usage.template_tokens += static_cast<int>(layout_->AnswerClose().size());
  Append(layout_->AnswerClose());
  turn_.open = turn_.words = false;
  turn_.parts = 0;
  answering_ = false;
  ++turns_;
}

void ConversationHistory::Abandon() {
  if (answering_) answers_.pop_back();
  answering_ = false;
  CutBack(before_.size);
  turn_ = before_.turn;
}

bool ConversationHistory::TrimAnswer(AnswerId id, int tokens) {
  const auto answer =
      std::find_if(answers_.begin(), answers_.end(), [&](const AnswerRange& a) { return a.id == id; });
  if (answer == answers_.end()) return false;
  const int end = answer->begin + std::clamp(tokens, 0, answer->end - answer->begin);
  if (end == answer->end) return false;
  // Marks stand between operations, so never inside an answer.
  Replace(end, answer->end, {});
  return true;
}

void ConversationHistory::Mark(MarkId mark) { marks_.push_back({mark, size(), turns_, turn_}); }

bool ConversationHistory::Rewind(MarkId id) {
  const auto mark = std::find_if(marks_.begin(), marks_.end(), [&](const Place& m) { return m.id == id; });
  if (mark == marks_.end()) return false;
  CutBack(mark->size);
  turn_ = mark->turn;
  turns_ = mark->turns;
  marks_.erase(mark + 1, marks_.end());
  return true;
}

int ConversationHistory::MayForget() const {
  const auto in_open_turn = [this](const Frame& frame) {
    return turn_.open && frame.begin >= turn_begins_.back();
  };
  if (!asking()) return frames_.empty() || !in_open_turn(frames_.back()) ? frames() : frames() - 1;
  return static_cast<int>(std::find_if(frames_.begin(), frames_.end(), in_open_turn) - frames_.begin());
}

int ConversationHistory::ToForget(const ContextPolicy& policy, absl::Time now) const {
  int tokens = 0;
  for (const Frame& frame : frames_) tokens += frame.end - frame.begin;
  const int most = MayForget();
  int count = 0;
  for (; count < most; ++count) {
    const Frame& frame = frames_[count];
    const bool many = frames() - count > policy.max_frames;
    const bool old = now - frame.appended > policy.max_frame_age;
    const bool large = policy.max_frame_tokens > 0 && tokens > policy.max_frame_tokens;
    if (!many && !old && !large) break;
    tokens -= frame.end - frame.begin;
  }
  return count;
}

int ConversationHistory::TokensAfterCutting(int count) const {
  int tokens = HeldIn(frames_.front().begin, size());
  for (int i = 0; i < count; ++i) tokens -= frames_[i].end - frames_[i].begin;
  return tokens;
}

void ConversationHistory::ForgetOldestFrame(int filled) {
  const Frame frame = frames_.front();
  frames_.erase(frames_.begin());
  if (frame.end <= filled) {
    forgotten_.push_back({frame.begin, frame.end});
  } else {
    Replace(frame.begin, frame.end, {});
  }
}

ConversationHistory::Drop ConversationHistory::PlanCompaction(int want, int must) const {
  const size_t all = turn_begins_.size();
  const size_t answered = turn_.open ? all - 1 : all;  // the open turn stays
  Drop drop = {0, held()};
  for (size_t i = 0; i < answered; ++i) {
    const bool newest = i + 1 == all;
    if (drop.held <= must && (drop.held <= want || newest)) break;
    drop.held -= HeldIn(turn_begins_[i], i + 1 < all ? turn_begins_[i + 1] : size());
    ++drop.turns;
  }
  return drop;
}

void ConversationHistory::Compact(int turns) {
  if (turns == 0) {
    if (!forgotten_.empty()) Replace(forgotten_.front().begin, forgotten_.front().begin, {});
    return;
  }
  const bool all = turns == static_cast<int>(turn_begins_.size());
  const int end = all ? size() : turn_begins_[turns];
  const auto dropped = [end](int begin) { return begin < end; };
  frames_.erase(
      std::remove_if(frames_.begin(), frames_.end(), [&](const Frame& f) { return dropped(f.begin); }),
      frames_.end());
  answers_.erase(std::remove_if(answers_.begin(), answers_.end(),
                                [&](const AnswerRange& a) { return dropped(a.begin); }),
                 answers_.end());
  turn_begins_.erase(turn_begins_.begin(), turn_begins_.begin() + turns);
  for (Place& mark : marks_) {
    mark.turns = std::max(0, mark.turns - turns);
    if (!dropped(mark.size)) continue;
    mark.turn = Turn{};
    mark.turns = 0;
  }
  before_.turns -= turns;
  turns_ -= turns;
  Replace(system_size_, end, {});
  // The turn that is the first now opens as a first one does.
  const std::vector<TokenId>& opening = layout_->UserOpen(/*first_turn=*/false);
  const std::vector<TokenId>& first = layout_->UserOpen(/*first_turn=*/true);
  if (!all && opening != first) {
    Splice(system_size_, system_size_ + static_cast<int>(opening.size()), first);
  }
}

}  // namespace parley::engine
