#include "engine/fake/fake_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
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

text::TokenizerData FakeVocabulary() {
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
  return data;
}

std::string DescribeColour(const Image& image) {
  struct Named {
    const char* name;
    std::array<int, 3> rgb;
  };
  static constexpr Named kColours[] = {
      {"a black", {0, 0, 0}},       {"a white", {255, 255, 255}}, {"a grey", {128, 128, 128}},
      {"a red", {255, 0, 0}},       {"a green", {0, 255, 0}},     {"a blue", {0, 0, 255}},
      {"a yellow", {255, 255, 0}},  {"a cyan", {0, 255, 255}},    {"a magenta", {255, 0, 255}},
      {"an orange", {255, 128, 0}},
  };
  std::array<int64_t, 3> sum{};
  for (size_t i = 0; i < image.pixels.size(); ++i) sum[i % 3] += image.pixels[i];
  const auto count = static_cast<int64_t>(image.pixels.size() / 3);
  const auto distance = [&](const Named& colour) {
    int64_t total = 0;
    for (int c = 0; c < 3; ++c) total += std::abs(sum[c] / count - colour.rgb[c]);
    return total;
  };
  const auto nearest =
      std::min_element(std::begin(kColours), std::end(kColours),
                       [&](const Named& a, const Named& b) { return distance(a) < distance(b); });
  return absl::StrCat(nearest->name, " picture");
}

}  // namespace

// Held tokens in order of position. The hash is a sum, so that what is forgotten leaves it; where pages begin
// is part of it, as in a real model, whose last bits depend on it.
class FakeModel::FakeSequence final : public Sequence {
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
    fork->sum_ = sum_;
    return fork;
  }
  absl::Status Reserve(int tokens, absl::Span<const int> page_starts,
                       int64_t most = std::numeric_limits<int64_t>::max()) override {
    return table_.Reserve(tokens, page_starts, most, [](int, int) {});
  }
  int64_t pages() const override { return static_cast<int64_t>(table_.entries().size()); }
  int64_t bytes() const override { return pages() * kFakePageBytes; }

  // REQUIRES: they were reserved.
  void Append(absl::Span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
      const int position = table_.length();
      sum_ += HashOf(position, token);
      positions_.push_back(position);
      tokens_.push_back(token);
      table_.Advance(1);
    }
  }
  absl::Span<const TokenId> tokens() const { return tokens_; }
  uint64_t hash() const {
    uint64_t hash = sum_;
    for (const schedule::PageTable::Entry& page : table_.entries()) hash += HashOf(page.first, -1);
    return Mix(hash);
  }

 private:
  static uint64_t HashOf(int position, TokenId token) {
    return Mix(static_cast<uint64_t>(position) << 32 ^ static_cast<uint32_t>(token + 1));
  }
  void Drop(int begin, int end) {
    const auto from = std::lower_bound(positions_.begin(), positions_.end(), begin) - positions_.begin();
    const auto to = std::lower_bound(positions_.begin(), positions_.end(), end) - positions_.begin();
    for (auto i = from; i < to; ++i) sum_ -= HashOf(positions_[i], tokens_[i]);
    positions_.erase(positions_.begin() + from, positions_.begin() + to);
    tokens_.erase(tokens_.begin() + from, tokens_.begin() + to);
  }

  schedule::PagePool* const pool_;
  schedule::PageTable table_;
  std::vector<int> positions_;
  std::vector<TokenId> tokens_;
  uint64_t sum_ = 0;
};

struct FakeModel::FakeDraft final : TranscriptDraft {
  int seconds = 0;
};

// One chunk a second of audio that is not in the draft.
class FakeModel::FakeTranscription final : public Transcription {
 public:
  FakeTranscription(FakeModel* model, size_t samples, const FakeDraft* draft) : model_(model) {
    const double seconds = static_cast<double>(samples) / kSampleRateHz;
    drafted_ = draft == nullptr ? 0 : draft->seconds;
    chunks_left_ = std::max(1, static_cast<int>(std::ceil(seconds)) - drafted_);
    result_ = {absl::StrFormat("%.1f seconds of speech", seconds), "en",
               std::max(1, static_cast<int>(std::ceil(seconds))), drafted_};
  }
  absl::StatusOr<bool> Advance() override {
    const absl::Status status =
        model_->Work(model_->options_.transcription_time, &FakeFaults::transcription_);
    if (!status.ok()) return status;
    ++drafted_;
    return --chunks_left_ == 0;
  }
  const Result& result() const override { return result_; }
  std::shared_ptr<const TranscriptDraft> draft() const override {
    auto draft = std::make_shared<FakeDraft>();
    draft->seconds = drafted_;
    return draft;
  }

 private:
  FakeModel* const model_;
  int drafted_;  // seconds: given, and done
  int chunks_left_;
  Result result_;
};

FakeModel::FakeModel(const FakeOptions& options)
    : options_(options),
      pool_(options.kv_bytes / kFakePageBytes),
      tokenizer_(text::Tokenizer::Create(FakeVocabulary()).value()),
      layout_(text::PromptLayout::Create({.family = "chatml", .system = "You are a fake."}, tokenizer_.get())
                  .value()),
      im_start_(*tokenizer_->Find("<|im_start|>")),
      im_end_(*tokenizer_->Find("<|im_end|>")) {
  info_.bundle = "fake";
  info_.language_model = "hash";
  info_.audio_tower = options.hears ? "length" : "";
  info_.vision_tower = options.sees ? "mean colour" : "";
  info_.speech_detector = "energy";
  info_.arithmetic = "integer hash";
  info_.device = "none";
  info_.context_tokens = options.context_tokens;
}

absl::Status FakeModel::Work(absl::Duration cost, absl::Status FakeFaults::*fault) {
  if (cost > absl::ZeroDuration()) {
    if (options_.simulated != nullptr) {
      options_.simulated->Advance(cost);
    } else {
      absl::SleepFor(cost);
    }
  }
  FakeFaults* const faults = options_.faults.get();
  if (faults == nullptr) return absl::OkStatus();
  absl::MutexLock lock(&faults->mutex_);
  faults->mutex_.Await(absl::Condition(
      +[](FakeFaults* f) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !f->stalled_; }, faults));
  return std::exchange(faults->*fault, absl::OkStatus());
}

absl::Status FakeModel::CheckHeld(absl::Span<const StepEntry> entries) {
  FakeFaults* const faults = options_.faults.get();
  if (faults == nullptr) return absl::OkStatus();
  std::string text;
  absl::Status status;
  {
    absl::MutexLock lock(&faults->mutex_);
    text = faults->holding_;
    status = faults->holding_status_;
  }
  if (text.empty()) return absl::OkStatus();
  for (const StepEntry& entry : entries) {
    const std::string held = tokenizer_->DecodeAll(static_cast<FakeSequence*>(entry.sequence)->tokens()) +
                             tokenizer_->DecodeAll(entry.tokens);
    if (held.find(text) != std::string::npos) return status;
  }
  return absl::OkStatus();
}

void FakeModel::Score(absl::Span<const TokenId> history, std::vector<float>* logits) const {
  const TokenId last = history.back();
  if (const int missing = MissingByte(tokenizer_->Decode(last)); missing >= 0) {
    (*logits)[missing] = 100;
    return;
  }
  // An answer begins after "<|im_start|>assistant\n", whose letters are a token each.
  constexpr ptrdiff_t kHeader = 1 + 10;
  const auto role = std::find(history.rbegin(), history.rend(), im_start_);
  const ptrdiff_t made = role - history.rbegin() + 1 - kHeader;
  if (made >= options_.answer_tokens) (*logits)[im_end_] = 100;
}

absl::StatusOr<std::unique_ptr<Sequence>> FakeModel::NewSequence() {
  return std::make_unique<FakeSequence>(&pool_);
}

absl::Status FakeModel::Step(absl::Span<StepEntry> entries) {
  size_t rows = 0;
  for (const StepEntry& entry : entries) rows += entry.tokens.size();
  const absl::Duration cost = options_.step_time + options_.row_time * static_cast<int64_t>(rows);
  if (const absl::Status status = Work(cost, &FakeFaults::step_); !status.ok()) return status;
  if (const absl::Status status = CheckHeld(entries); !status.ok()) return status;
  for (const StepEntry& entry : entries) {
    auto* sequence = static_cast<FakeSequence*>(entry.sequence);
    if (sequence->length() + static_cast<int>(entry.tokens.size()) > options_.context_tokens) {
      return absl::InternalError("a step past the context's end");
    }
    const int tokens = static_cast<int>(entry.tokens.size());
    if (absl::Status status = sequence->Reserve(tokens, entry.page_starts); !status.ok()) return status;
  }
  for (const StepEntry& entry : entries) {
    auto* sequence = static_cast<FakeSequence*>(entry.sequence);
    sequence->Append(entry.tokens);
    if (entry.logits == nullptr) continue;
    entry.logits->assign(vocabulary(), -30.0f);
    for (int id = im_end_ + 1; id < vocabulary(); ++id) {
      (*entry.logits)[id] =
          static_cast<float>(Mix(sequence->hash() + static_cast<uint64_t>(id)) >> 40) * 0x1.0p-22f;
    }
    Score(sequence->tokens(), entry.logits);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeModel::DescribeImages(absl::Span<const ImagePtr> images) {
  const absl::Duration cost =
      options_.encode_pass_time + options_.encode_time * static_cast<int64_t>(images.size());
  if (const absl::Status status = Work(cost, &FakeFaults::encode_); !status.ok()) return status;
  std::vector<std::string> words;
  for (const ImagePtr& image : images) words.push_back(DescribeColour(*image));
  return words;
}

absl::StatusOr<std::unique_ptr<Transcription>> FakeModel::StartTranscription(
    std::vector<float> samples, std::shared_ptr<const TranscriptDraft> draft) {
  return std::make_unique<FakeTranscription>(this, samples.size(),
                                             static_cast<const FakeDraft*>(draft.get()));
}

}  // namespace parley::engine
