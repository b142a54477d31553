// What a conversation holds, as tokens: turns, frames, answers, marks. Plain data, no model: the KV cache is
// brought after it (see TakeValidPrefix).
//
// A place in it is a position, as in Sequence: forgotten frames keep theirs, so nothing moves when one goes.
// They stop to take positions when what comes after them is prefilled again (a cut further up, a compaction).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/api/conversation.h"
#include "engine/text/prompt_layout.h"

namespace parley::engine {

// One thread.
class ConversationHistory {
 public:
  enum class PartKind { kText, kSpeech, kFrame };
  // A frame's tokens, positions [begin, end): it fills pages of its own.
  struct Frame {
    int begin = 0;
    int end = 0;
    absl::Time appended;
  };

  // `layout` must outlive the history. `capacity`: the positions the model has.
  ConversationHistory(const text::PromptLayout* layout, absl::string_view instructions, int capacity);

  // By position; forgotten ones are there, and mean nothing.
  absl::Span<const TokenId> tokens() const { return tokens_; }
  // The next token's position.
  int size() const { return static_cast<int>(tokens_.size()); }
  // Tokens held: without what is forgotten.
  int held() const { return HeldIn(0, size()); }
  int system_size() const { return system_size_; }
  int capacity() const { return capacity_; }
  const Usage& turn_usage() const { return turn_.usage; }
  bool turn_open() const { return turn_.open; }
  // A question is being put or answered: words of the user are in the turn, or its answer is open.
  bool asking() const { return turn_.words || answering_; }
  // Whether the instructions leave room for a turn.
  bool fits() const { return size() + kSmallestTurn <= part_limit_; }
  // Which of the positions [begin, end) begin a page, counted from `begin`.
  void PageStarts(int begin, int end, std::vector<int>& starts) const;

  // Appends a part to the user's turn, which it opens when there is none. Returns the tokens appended, the
  // turn's opening included: 0 for words without a word; -1 and nothing changed when there is no room for it
  // and an answer after it.
  int AppendPart(PartKind kind, absl::string_view words, absl::Time now);
  // The most tokens that may be held for AppendPart to find room; negative when it never can.
  int RoomForPart(absl::string_view words) const;

  // Closes the user's turn (an empty one when none is open) and opens the answer. False, and nothing changed,
  // when there is no room.
  bool OpenAnswer(AnswerId answer);
  // The most tokens that may be held for an answer of `tokens`.
  int RoomForAnswer(int tokens) const;
  void AppendAnswerToken(TokenId token);
  // Whether another answer token fits, with the answer's closing after it.
  bool AnswerTokenFits() const;
  absl::Span<const TokenId> answer_tokens() const;
  // Ends the open answer after its first `tokens` tokens.
  void CloseAnswer(int tokens);
  // As if the last AppendPart, or the open answer, had not been asked for.
  void Abandon();

  // See op::TrimAnswer. Returns false when there is nothing to cut.
  bool TrimAnswer(AnswerId answer, int tokens);

  void Mark(MarkId mark);
  // False when the mark is unknown.
  bool Rewind(MarkId mark);

  // Frames held.
  int frames() const { return static_cast<int>(frames_.size()); }
  // REQUIRES: there are frames.
  const Frame& oldest_frame() const { return frames_.front(); }
  // How many of the oldest may be forgotten: none of a turn in which something is asked, nor the newest one
  // of an open turn.
  int MayForget() const;
  // How many of these the policy wants forgotten.
  int ToForget(const ContextPolicy& policy, absl::Time now) const;
  // Tokens to prefill again if the `count` oldest frames were cut out.
  int TokensAfterCutting(int count) const;
  // Forgets the oldest frame: in place when the KV cache, which holds [0, filled), has all of it; else it is
  // cut out. REQUIRES: there are frames.
  void ForgetOldestFrame(int filled);

  // What a compaction would drop: the oldest answered turns until at most `want` tokens are held, but for the
  // newest turn; that one too when more than `must` would be.
  struct Drop {
    int turns = 0;
    int held = 0;  // tokens after it
  };
  Drop PlanCompaction(int want, int must) const;
  // Drops that many turns and closes the gaps of forgotten frames; marks within what is dropped then stand at
  // its place.
  void Compact(int turns);

  // Tokens from the front that no cut has touched since the last call: what a KV cache may keep.
  int TakeValidPrefix();

 private:
  static constexpr int kSmallestTurn = 16;

  struct Turn {
    bool open = false;
    bool words = false;  // of the user's
    int parts = 0;
    Usage usage;
  };
  struct AnswerRange {
    AnswerId id;
    int begin;
    int end;
  };
  struct Place {
    MarkId id = 0;
    int size = 0;
    int turns = 0;
    Turn turn;
  };
  struct Range {
    int begin;
    int end;
  };

  int HeldIn(int begin, int end) const;
  int Brackets() const;
  void Append(const std::vector<TokenId>& tokens);
  void OpenTurn(const std::vector<TokenId>& opening);
  // Forgets everything from position `size` on.
  void CutBack(int size);
  // Puts `with` where [begin, end) is, and moves everything after it; gaps of forgotten frames after `begin`
  // close.
  void Replace(int begin, int end, const std::vector<TokenId>& with);
  void Splice(int begin, int end, const std::vector<TokenId>& with);

  const text::PromptLayout* const layout_;
  const int capacity_;
  int system_size_ = 0;
  int part_limit_ = 0;  // parts end here: the rest is kept for an answer
  std::vector<TokenId> tokens_;
  Turn turn_;
  int turns_ = 0;  // answered ones
  bool answering_ = false;
  Place before_;                      // the last AppendPart or OpenAnswer
  std::vector<int> turn_begins_;      // in order; the open one last
  std::vector<AnswerRange> answers_;  // in order; the open one last
  std::vector<Frame> frames_;         // in order
  std::vector<Place> marks_;          // in order
  std::vector<Range> forgotten_;      // in order
  int valid_prefix_ = 0;
};

}  // namespace parley::engine
