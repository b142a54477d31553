#include "engine/fake/fake_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

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

class FakeModel::FakeSequence final : public Sequence {
 public:
  int length() const override { return static_cast<int>(tokens_.size()); }
  void Truncate(int length) override {
    tokens_.resize(length);
    hashes_.resize(length);
  }
  int64_t bytes() const override { return static_cast<int64_t>(tokens_.size() * kBytesPerToken); }

  void Append(absl::Span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
      hashes_.push_back(Mix(hash() * 31 + static_cast<uint64_t>(token) + 1));
      tokens_.push_back(token);
    }
  }
  absl::Span<const TokenId> tokens() const { return tokens_; }
  uint64_t hash() const { return hashes_.empty() ? 0 : hashes_.back(); }

 private:
  static constexpr size_t kBytesPerToken = sizeof(TokenId) + sizeof(uint64_t);
  std::vector<TokenId> tokens_;
  std::vector<uint64_t> hashes_;  // of the tokens up to each
};

// One slice a second of audio.
class FakeModel::FakeTranscription final : public Transcription {
 public:
  FakeTranscription(FakeModel* model, size_t samples) : model_(model) {
    const double seconds = static_cast<double>(samples) / kSampleRateHz;
    slices_left_ = std::max(1, static_cast<int>(std::ceil(seconds)));
    result_ = {absl::StrFormat("%.1f seconds of speech", seconds), "en"};
  }
  absl::StatusOr<bool> Advance() override {
    const absl::Status status =
        model_->Work(model_->options_.transcription_time, &FakeFaults::transcription_);
    if (!status.ok()) return status;
    return --slices_left_ == 0;
  }
  const Result& result() const override { return result_; }

 private:
  FakeModel* const model_;
  int slices_left_;
  Result result_;
};

FakeModel::FakeModel(const FakeOptions& options)
    : options_(options),
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
  return std::make_unique<FakeSequence>();
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

absl::StatusOr<std::unique_ptr<Transcription>> FakeModel::StartTranscription(std::vector<float> samples) {
  return std::make_unique<FakeTranscription>(this, samples.size());
}

}  // namespace parley::engine
