#include "engine/runtime/conversation_history.h"

#include <algorithm>
#include <limits>

namespace parley::engine {

ConversationHistory::ConversationHistory(const text::PromptLayout* layout, absl::string_view instructions,
                                         int capacity)
    : layout_(layout), capacity_(capacity), tokens_(layout->System(instructions)) {
  const int brackets = static_cast<int>(layout->AnswerOpen().size() + layout->AnswerClose().size());
  part_limit_ = capacity - brackets - std::min(64, capacity / 16);
  valid_prefix_ = std::numeric_limits<int>::max();
}

void ConversationHistory::Append(const std::vector<TokenId>& tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void ConversationHistory::Cut(int begin, int end) {
  tokens_.erase(tokens_.begin() + begin, tokens_.begin() + end);
  valid_prefix_ = std::min(valid_prefix_, begin);
}

int ConversationHistory::TakeValidPrefix() {
  const int prefix = std::min(valid_prefix_, size());
  valid_prefix_ = std::numeric_limits<int>::max();
  return prefix;
}

int ConversationHistory::AppendPart(PartKind kind, absl::string_view words) {
  const std::vector<TokenId> part = layout_->UserPart(words, turn_.parts == 0);
  if (part.empty()) return 0;
  const int before = size();
  const std::vector<TokenId>& opening = layout_->UserOpen(turns_ == 0);
  const int opening_size = turn_.open ? 0 : static_cast<int>(opening.size());
  const int part_size = static_cast<int>(part.size());
  if (before + opening_size + part_size > part_limit_) return -1;
  if (!turn_.open) {
    turn_ = Turn{};
    turn_.open = true;
    turn_.usage.template_tokens = opening_size;
    Append(opening);
  }
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
      break;
  }
  return size() - before;
}

bool ConversationHistory::OpenAnswer(AnswerId answer) {
  const std::vector<TokenId>& opening = layout_->UserOpen(turns_ == 0);
  const int opening_size = turn_.open ? 0 : static_cast<int>(opening.size());
  const int brackets = static_cast<int>(layout_->AnswerOpen().size() + layout_->AnswerClose().size());
  if (size() + opening_size + brackets >= capacity_) return false;
  before_answer_ = {0, size(), turns_, turn_};
  if (!turn_.open) {
    turn_ = Turn{};
    Append(opening);
    turn_.usage.template_tokens = opening_size;
  }
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
  AnswerRange& answer = answers_.back();
  const int end = std::clamp(answer.begin + tokens, answer.begin, answer.end);
  if (end < answer.end) Cut(end, answer.end);
  answer.end = end;
  turn_.usage.answer_tokens = answer.end - answer.begin;
  turn_.usage.template_tokens += static_cast<int>(layout_->AnswerClose().size());
  Append(layout_->AnswerClose());
  turn_.open = false;
  turn_.parts = 0;
  answering_ = false;
  ++turns_;
}

void ConversationHistory::AbandonAnswer() {
  Cut(before_answer_.size, size());
  turn_ = before_answer_.turn;
  answers_.pop_back();
  answering_ = false;
}

bool ConversationHistory::TrimAnswer(AnswerId id, int tokens) {
  const auto answer =
      std::find_if(answers_.begin(), answers_.end(), [&](const AnswerRange& a) { return a.id == id; });
  if (answer == answers_.end()) return false;
  const int end = answer->begin + std::clamp(tokens, 0, answer->end - answer->begin);
  const int removed = answer->end - end;
  if (removed == 0) return false;
  Cut(end, answer->end);
  answer->end = end;
  for (auto later = answer + 1; later != answers_.end(); ++later) {
    later->begin -= removed;
    later->end -= removed;
  }
  // Marks stand between operations, so never inside an answer.
  for (Place& mark : marks_) {
    if (mark.size > end) mark.size -= removed;
  }
  return true;
}

void ConversationHistory::Mark(MarkId mark) { marks_.push_back({mark, size(), turns_, turn_}); }

bool ConversationHistory::Rewind(MarkId id) {
  const auto mark = std::find_if(marks_.begin(), marks_.end(), [&](const Place& m) { return m.id == id; });
  if (mark == marks_.end()) return false;
  if (mark->size < size()) Cut(mark->size, size());
  turn_ = mark->turn;
  turns_ = mark->turns;
  marks_.erase(mark + 1, marks_.end());
  answers_.erase(std::remove_if(answers_.begin(), answers_.end(),
                                [&](const AnswerRange& a) { return a.begin > size(); }),
                 answers_.end());
  return true;
}

}  // namespace parley::engine
