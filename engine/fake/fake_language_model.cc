#include "engine/fake/fake_language_model.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "engine/model/step_entry_check.h"
#include "engine/text/byte_pair_encoding.h"

namespace parley::engine {
namespace {

// Answers are made of these. Two end inside a character, whose last byte is the next token.
constexpr absl::string_view kWords[] = {
    " alpha", " bravo", " charlie", " delta", " echo",    " foxtrot",  " golf",         " hotel",
    " india", " kilo",  " lima",    " mike",  " oscar",   " papa",     " romeo",        " sierra",
    " tango", " union", " victor",  " zulu",  " caf\xC3", " \xE6\x97", " \xF0\x9F\x98", " yankee",
};

// What completes the character that a token ends inside; -1 when it does not.
int MissingByte(absl::string_view token) {
  if (token == " caf\xC3") return 0xA9;       // é
  if (token == " \xE6\x97") return 0xA5;      // 日
  if (token == " \xF0\x9F\x98") return 0x80;  // a smiling face
  return -1;
}

uint64_t Mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93;
  return x ^ (x >> 32);
}

// Of a row's contents, past those of tokens.
uint64_t HashOfFeature(const Features& features, int row) {
  uint64_t hash = uint64_t{1} << 31;
  for (int i = 0; i < features.hidden; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, &features.values.get()[row * features.hidden + i], sizeof(bits));
    hash = Mix(hash ^ bits);
  }
  return hash;
}

uint64_t ContentOf(TokenId token) { return static_cast<uint32_t>(token + 1); }

}  // namespace

// Held rows in order of position. The hash is a sum, so that what is forgotten leaves it; where pages begin
// is part of it, as in a real model, whose last bits depend on it.
class FakeLanguageModel::FakeSequence final : public Sequence {
 public:
  explicit FakeSequence(schedule::PagePool* pool) : pool_(pool), table_(pool) {}

  int length() const override { return table_.length(); }
  void Truncate(int length) override {
    table_.Truncate(length);
    Drop(length, std::numeric_limits<int>::max());
  }
  void Forget(int begin, int end) override {
    table_.Forget(begin, end);
    Drop(begin, end);
  }
  std::unique_ptr<Sequence> Fork() const override {
    auto fork = std::make_unique<FakeSequence>(pool_);
    fork->table_.Share(table_);
    fork->positions_ = positions_;
    fork->tokens_ = tokens_;
    fork->hashes_ = hashes_;
    fork->sum_ = sum_;
    return fork;
  }
  absl::Status Reserve(int tokens, absl::Span<const int> page_starts,
                       int64_t most = std::numeric_limits<int64_t>::max()) override {
    return table_.Reserve(tokens, page_starts, most, [](int, int) {});
  }
  int64_t pages() const override { return static_cast<int64_t>(table_.entries().size()); }
  int64_t bytes() const override { return pages() * kFakePageBytes; }

  // REQUIRES: its place was reserved. `content`: of the row, a token or a feature.
  void Append(TokenId token, uint64_t content) {
    const int position = table_.length();
    positions_.push_back(position);
    tokens_.push_back(token);
    hashes_.push_back(HashOf(position, content));
    sum_ += hashes_.back();
    table_.Advance(1);
  }
  absl::Span<const TokenId> tokens() const { return tokens_; }
  uint64_t hash() const {
    uint64_t hash = sum_;
    for (const schedule::PageTable::Entry& page : table_.entries()) hash += HashOf(page.first, 0);
    return Mix(hash);
  }

 private:
  static uint64_t HashOf(int position, uint64_t content) {
    return Mix(static_cast<uint64_t>(position) << 32 ^ content);
  }
  void Drop(int begin, int end) {
    const auto from = std::lower_bound(positions_.begin(), positions_.end(), begin) - positions_.begin();
    const auto to = std::lower_bound(positions_.begin(), positions_.end(), end) - positions_.begin();
    for (auto i = from; i < to; ++i) sum_ -= hashes_[i];
    positions_.erase(positions_.begin() + from, positions_.begin() + to);
    tokens_.erase(tokens_.begin() + from, tokens_.begin() + to);
    hashes_.erase(hashes_.begin() + from, hashes_.begin() + to);
  }

  schedule::PagePool* const pool_;
  schedule::PageTable table_;
  std::vector<int> positions_;
  std::vector<TokenId> tokens_;
  std::vector<uint64_t> hashes_;
  uint64_t sum_ = 0;
};

std::unique_ptr<text::Tokenizer> MakeFakeTokenizer() {
  text::TokenizerData data;
  data.pre_tokenizer = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(text::BytesToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  data.tokens.push_back("<|im_start|>");
  data.tokens.push_back("<|im_end|>");
  data.kinds.assign(256, text::TokenKind::kNormal);
  data.kinds.insert(data.kinds.end(), 2, text::TokenKind::kControl);
  for (const absl::string_view word : kWords) {
    data.tokens.push_back(text::BytesToByteAlphabet(word));
    data.kinds.push_back(text::TokenKind::kNormal);
  }
  data.bos = 256;
  data.eos = 257;
  return text::Tokenizer::Create(std::move(data)).value();
}

FakeLanguageModel::FakeLanguageModel(const FakeOptions& options, const text::Tokenizer* tokenizer)
    : options_(options),
      tokenizer_(tokenizer),
      im_start_(*tokenizer->Find("<|im_start|>")),
      im_end_(*tokenizer->Find("<|im_end|>")),
      work_(options),
      pool_(options.kv_bytes / kFakePageBytes) {}

absl::StatusOr<std::unique_ptr<Sequence>> FakeLanguageModel::NewSequence() {
  return std::make_unique<FakeSequence>(&pool_);
}

absl::Status FakeLanguageModel::CheckPrompts(absl::Span<const StepEntry> entries) const {
  const FakeWork::FailingPrompt failing = work_.failing_prompt();
  if (failing.text.empty()) return absl::OkStatus();
  for (const StepEntry& entry : entries) {
    const std::string held = tokenizer_->DecodeAll(static_cast<FakeSequence*>(entry.sequence)->tokens()) +
                             tokenizer_->DecodeAll(entry.tokens);
    if (held.find(failing.text) != std::string::npos) return failing.status;
  }
  return absl::OkStatus();
}

absl::Status FakeLanguageModel::Submit(absl::Span<const StepEntry> entries) {
  for (const StepEntry& entry : entries) {
    if (absl::Status status = CheckEntry(entry, *this, options_.context_tokens); !status.ok()) return status;
  }
  if (absl::Status status = CheckPrompts(entries); !status.ok()) return status;
  for (const StepEntry& entry : entries) {
    const int tokens = static_cast<int>(entry.tokens.size());
    if (absl::Status status = entry.sequence->Reserve(tokens, entry.page_starts); !status.ok()) return status;
  }
  submitted_.assign(entries.begin(), entries.end());
  return absl::OkStatus();
}

absl::Status FakeLanguageModel::Complete() {
  int64_t rows = 0;
  for (const StepEntry& entry : submitted_) rows += static_cast<int64_t>(entry.tokens.size());
  const absl::Status status = work_.Step(options_.step_time + options_.row_time * rows);
  if (!status.ok()) return status;
  for (const StepEntry& entry : submitted_) Run(entry);
  return absl::OkStatus();
}

void FakeLanguageModel::Run(const StepEntry& entry) {
  auto* const sequence = static_cast<FakeSequence*>(entry.sequence);
  auto features = entry.features.begin();
  auto request = entry.requests.begin();
  for (int row = 0; row < static_cast<int>(entry.tokens.size()); ++row) {
    if (features != entry.features.end() && row == features->row + features->count) ++features;
    const bool is_feature = features != entry.features.end() && row >= features->row;
    const uint64_t content = is_feature
                                 ? HashOfFeature(*features->features, features->begin + row - features->row)
                                 : ContentOf(entry.tokens[row]);
    sequence->Append(entry.tokens[row], content);
    if (request != entry.requests.end() && request->row == row) Answer(*sequence, *request++);
  }
}

void FakeLanguageModel::Answer(const FakeSequence& sequence, const RowRequest& request) {
  const uint64_t hash = sequence.hash();
  if (request.hidden != nullptr) {
    request.hidden->clear();
    for (uint64_t i = 0; i < 4; ++i) {
      request.hidden->push_back(static_cast<float>(Mix(hash + i) >> 40) * 0x1.0p-24f);
    }
  }
  if (!request.wants_scores()) return;
  scores_.assign(vocabulary(), -30.0f);
  for (int id = im_end_ + 1; id < vocabulary(); ++id) {
    scores_[id] = static_cast<float>(Mix(hash + static_cast<uint64_t>(id)) >> 40) * 0x1.0p-22f;
  }
  // What ends a character, and an answer, is certain.
  const absl::Span<const TokenId> history = sequence.tokens();
  // An answer begins after "<|im_start|>assistant\n", whose letters are a token each.
  constexpr ptrdiff_t kHeader = 1 + 10;
  const auto role = std::find(history.rbegin(), history.rend(), im_start_);
  const ptrdiff_t made = role - history.rbegin() + 1 - kHeader;
  if (const int missing = MissingByte(tokenizer_->Decode(history.back())); missing >= 0) {
    scores_[missing] = 100;
  } else if (made >= options_.answer_tokens) {
    scores_[im_end_] = 100;
  }
  AnswerFromScores(request, absl::MakeSpan(scores_));
}

}  // namespace parley::engine
