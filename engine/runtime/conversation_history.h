// What a conversation holds, as tokens: turns, answers, marks. Plain data, no model: the KV cache is brought
// after it (see valid_prefix).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/api/conversation.h"
#include "engine/text/prompt_layout.h"

namespace parley::engine {

// One thread.
class ConversationHistory {
 public:
  enum class PartKind { kText, kSpeech, kFrame };

  // `layout` must outlive the history. `capacity`: the tokens the model can hold.
  ConversationHistory(const text::PromptLayout* layout, absl::string_view instructions, int capacity);

  absl::Span<const TokenId> tokens() const { return tokens_; }
  int size() const { return static_cast<int>(tokens_.size()); }
  const Usage& turn_usage() const { return turn_.usage; }
  // Whether the instructions leave room for a turn.
  bool fits() const { return size() + kSmallestTurn <= part_limit_; }

  // Appends a part to the user's turn, which it opens when there is none. Returns the tokens appended, the
  // turn's opening included: 0 for words without a word; -1 and nothing changed when there is no room for it
  // and an answer after it.
  int AppendPart(PartKind kind, absl::string_view words);

  // Closes the user's turn (an empty one when none is open) and opens the answer. False, and nothing changed,
  // when there is no room.
  bool OpenAnswer(AnswerId answer);
  void AppendAnswerToken(TokenId token);
  // Whether another answer token fits, with the answer's closing after it.
  bool AnswerTokenFits() const;
  absl::Span<const TokenId> answer_tokens() const;
  // Ends the open answer after its first `tokens` tokens.
  void CloseAnswer(int tokens);
  // As if the open answer had not been asked for: the user's turn is open again as it was.
  void AbandonAnswer();

  // See Conversation::TrimAnswer. Returns false when there is nothing to cut.
  bool TrimAnswer(AnswerId answer, int tokens);

  void Mark(MarkId mark);
  // False when the mark is unknown.
  bool Rewind(MarkId mark);

  // Tokens from the front that no cut has touched since the last call: what a KV cache may keep.
  int TakeValidPrefix();

 private:
  static constexpr int kSmallestTurn = 16;

  struct Turn {
    bool open = false;
    int parts = 0;
    Usage usage;
  };
  struct AnswerRange {
    AnswerId id;
    int begin;
    int end;
  };
  struct Place {
    MarkId id;
    int size;
    int turns;
    Turn turn;
  };

  void Append(const std::vector<TokenId>& tokens);
  void Cut(int begin, int end);

  const text::PromptLayout* const layout_;
  const int capacity_;
  int part_limit_ = 0;  // parts end here: the rest is kept for an answer
  std::vector<TokenId> tokens_;
  Turn turn_;
  int turns_ = 0;  // answered ones
  bool answering_ = false;
  Place before_answer_{};             // of the open answer
  std::vector<AnswerRange> answers_;  // in order; the open one last
  std::vector<Place> marks_;          // in order
  int valid_prefix_ = 0;
};

}  // namespace parley::engine
