#include "bench/peers/composition.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/executor.h"
#include "bench/wav.h"
#include "engine/bundle/language_model_files.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/safetensors.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/efficientnet/efficientnet.h"
#include "engine/runtime/answer_stream.h"
#include "engine/runtime/conversation_history.h"
#include "engine/text/prompt_layout.h"
#include "engine/text/tokenizer.h"

namespace parley::bench {
namespace {

namespace op = engine::op;
using engine::AnswerId;
using engine::AnswerResult;
using engine::ConversationHistory;
using engine::Done;
using engine::FinishReason;
using engine::MarkId;
using engine::TokenId;

absl::Status Cancelled() { return absl::CancelledError("the conversation was closed"); }
absl::Status Full() { return absl::ResourceExhaustedError("the conversation's context is full"); }

// What the conversations share. Thread-safe.
class Machine {
 public:
  struct Parts {
    engine::EngineInfo info;
    std::unique_ptr<const engine::text::Tokenizer> tokenizer;
    std::unique_ptr<const engine::text::PromptLayout> layout;
    std::unique_ptr<const engine::cpu::EfficientNet> vision_encoder;
    engine::bundle::BundleManifest::VisionBridge vision_bridge;
    Transcriber transcriber;
    std::unique_ptr<LlamaCpp> llama;
  };

  Machine(Parts parts, int slots) : parts_(std::move(parts)), llama_(std::move(parts_.llama), slots) {
    for (int slot = slots - 1; slot >= 0; --slot) free_slots_.push_back(slot);
  }

  const engine::EngineInfo& info() const { return parts_.info; }
  const engine::text::Tokenizer& tokenizer() const { return *parts_.tokenizer; }
  const engine::text::PromptLayout& layout() const { return *parts_.layout; }

  void Describe(engine::ImagePtr image, std::function<void(absl::StatusOr<std::string>)> done) {
    vision_.Post([this, image = std::move(image), done = std::move(done)] {
      const auto labels = parts_.vision_encoder->Labels({&image, 1}, parts_.vision_bridge.labels);
      if (!labels.ok()) return done(labels.status());
      done(engine::cpu::DescribeLabels(parts_.vision_bridge, labels->front()));
    });
  }

  struct Words {
    std::string text;
    absl::Time began;
  };
  void Transcribe(std::vector<float> samples, std::function<void(absl::StatusOr<Words>)> done) {
    speech_.Post([this, samples = std::move(samples), done = std::move(done)] {
      const absl::Time began = absl::Now();
      const std::string path = absl::StrCat(std::filesystem::temp_directory_path().string(),
                                            "/parley-composition-", getpid(), ".wav");
      absl::Status written = WriteWav(path, samples);
      if (!written.ok()) return done(written);
      const absl::StatusOr<Transcript> transcript = parts_.transcriber.Transcribe(path);
      std::filesystem::remove(path);
      if (!transcript.ok()) return done(transcript.status());
      done(Words{transcript->text, began});
    });
  }

  void Submit(LlamaServer::Request request) { llama_.Submit(std::move(request)); }

  absl::StatusOr<int> TakeSlot() {
    absl::MutexLock lock(&mutex_);
    if (free_slots_.empty()) return absl::ResourceExhaustedError("no slot is free");
    const int slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  void GiveSlot(int slot) {
    absl::MutexLock lock(&mutex_);
    free_slots_.push_back(slot);
  }
  int room() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(free_slots_.size());
  }

 private:
  Parts parts_;
  mutable absl::Mutex mutex_;
  std::vector<int> free_slots_ ABSL_GUARDED_BY(mutex_);
  LlamaServer llama_;
  ThreadPool speech_{1};
  ThreadPool vision_{1};
};

// A conversation's state, which outlives it until what is under way has come back. Operations run one after
// the other; each ends with Next.
class Talk {
 public:
  // `machine` outlives it.
  Talk(Machine* machine, int slot, const engine::ConversationOptions& options)
      : machine_(machine),
        slot_(slot),
        history_(&machine_->layout(), options.instructions, kCompositionTokens) {}
  ~Talk() { machine_->GiveSlot(slot_); }

  void Add(std::function<void()> operation) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      operations_.push_back(std::move(operation));
      if (operations_.size() > 1) return;
    }
    RunFirst();
  }
  // The first operation is done.
  void Next() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      operations_.pop_front();
      if (operations_.empty()) return;
    }
    RunFirst();
  }
  void Close() { closed_ = true; }
  bool closed() const { return closed_; }

  Machine& machine() { return *machine_; }
  int slot() const { return slot_; }
  // Of the operation under way.
  ConversationHistory& history() { return history_; }

  // Puts a part into the user's turn and says what `done` is told.
  template <typename Result>
  absl::StatusOr<Result> AddPart(ConversationHistory::PartKind kind, const std::string& words,
                                 Result result) {
    result.tokens = history_.AppendPart(kind, words, absl::Now());
    if (result.tokens < 0) return Full();
    return result;
  }

 private:
  void RunFirst() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::function<void()> first;  // it holds this talk, and is dropped here when it has ended
    {
      absl::MutexLock lock(&mutex_);
      first = std::exchange(operations_.front(), nullptr);
    }
    first();
  }

  Machine* const machine_;
  const int slot_;
  std::atomic<bool> closed_{false};
  ConversationHistory history_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> operations_ ABSL_GUARDED_BY(mutex_);
};

// An answer under way; llama.cpp's thread's once it has begun.
class Answering {
 public:
  Answering(std::shared_ptr<Talk> talk, AnswerId id, const engine::GenerationConfig& config,
            std::shared_ptr<engine::AnswerListener> listener)
      : talk_(std::move(talk)),
        id_(id),
        config_(config),
        listener_(std::move(listener)),
        stream_(config, &talk_->machine().tokenizer()) {
    result_.queued = absl::Now();
    result_.first_token = result_.last_token = absl::InfiniteFuture();
  }

  void Cancel() { cancelled_ = true; }

  static void Begin(const std::shared_ptr<Answering>& answer) {
    answer->result_.prefill_start = answer->result_.prefill_end = absl::Now();
    ConversationHistory& history = answer->talk_->history();
    if (answer->stopped()) return answer->End(FinishReason::kCancelled);
    if (!history.OpenAnswer(answer->id_)) return answer->End(FinishReason::kContextFull);
    answer->open_ = true;
    answer->talk_->machine().Submit({.slot = answer->talk_->slot(),
                                     .prompt = {history.tokens().begin(), history.tokens().end()},
                                     .on_token = [answer](TokenId token) { return answer->Take(token); },
                                     .on_error =
                                         [answer](const absl::Status& status) {
                                           answer->result_.status = status;
                                           answer->End(FinishReason::kFailed);
                                         }});
  }

 private:
  bool stopped() const { return cancelled_ || talk_->closed(); }

  bool Take(TokenId token) {
    ConversationHistory& history = talk_->history();
    const absl::Time now = absl::Now();
    if (history.answer_tokens().empty()) result_.prefill_end = now;
    if (stopped()) return End(FinishReason::kCancelled), false;
    if (talk_->machine().layout().EndsAnswer(token)) return End(FinishReason::kEndOfTurn), false;
    history.AppendAnswerToken(token);
    if (history.answer_tokens().size() == 1) result_.first_token = now;
    result_.last_token = now;
    std::string text = stream_.Add(token);
    if (!text.empty()) listener_->OnText(std::move(text), stream_.text_tokens());
    if (static_cast<int>(history.answer_tokens().size()) >= config_.max_tokens) {
      return End(FinishReason::kMaxTokens), false;
    }
    if (!history.AnswerTokenFits()) return End(FinishReason::kContextFull), false;
    return true;
  }

  void End(FinishReason reason) {
    ConversationHistory& history = talk_->history();
    result_.reason = reason;
    if (open_) {
      const int tokens = static_cast<int>(history.answer_tokens().size());
      std::string rest = stream_.Finish();
      if (!rest.empty() && reason != FinishReason::kCancelled) listener_->OnText(std::move(rest), tokens);
      if (tokens == 0) {
        history.Abandon();
      } else {
        history.CloseAnswer(tokens);
      }
      result_.answer_tokens = tokens;
    }
    result_.turn_usage = history.turn_usage();
    result_.context_tokens = history.held();
    listener_->OnDone(result_);
    talk_->Next();
  }

  const std::shared_ptr<Talk> talk_;
  const AnswerId id_;
  const engine::GenerationConfig config_;
  const std::shared_ptr<engine::AnswerListener> listener_;
  engine::AnswerStream stream_;
  AnswerResult result_;
  bool open_ = false;
  std::atomic<bool> cancelled_{false};
};

class ComposedConversation final : public engine::Conversation {
 public:
  explicit ComposedConversation(std::shared_ptr<Talk> talk) : talk_(std::move(talk)) {}
  ~ComposedConversation() override { talk_->Close(); }

  uint64_t Submit(engine::Operation operation) override {
    const auto run = [this](auto& each) { return Run(each); };
    return std::visit([&](auto& kind) { return std::visit(run, kind); }, operation);
  }

 private:
  uint64_t Run(op::AppendFrame& frame) {
    // std::function copies what it holds, and Done cannot be copied.
    auto done = std::make_shared<Done<engine::FrameResult>>(std::move(frame.done));
    engine::OperationTimes times = Queued();
    talk_->Add([talk = talk_, image = std::move(frame.image), done, times]() mutable {
      if (talk->closed()) return (*done)(Cancelled()), talk->Next();
      times.encode_start = absl::Now();
      talk->machine().Describe(image, [talk, done, times](absl::StatusOr<std::string> words) mutable {
        times.encode_end = times.prefill_start = times.prefill_end = absl::Now();
        if (!words.ok()) return (*done)(words.status()), talk->Next();
        (*done)(talk->AddPart(ConversationHistory::PartKind::kFrame, *words,
                              engine::FrameResult{*words, 0, times}));
        talk->Next();
      });
    });
    return 0;
  }

  uint64_t Run(op::AppendSpeech& speech) {
    auto done = std::make_shared<Done<engine::SpeechResult>>(std::move(speech.done));
    engine::OperationTimes times = Queued();
    talk_->Add([talk = talk_, samples = std::move(speech.samples), done, times]() mutable {
      if (talk->closed()) return (*done)(Cancelled()), talk->Next();
      talk->machine().Transcribe(
          std::move(samples), [talk, done, times](absl::StatusOr<Machine::Words> words) mutable {
            times.encode_end = times.prefill_start = times.prefill_end = absl::Now();
            if (!words.ok()) return (*done)(words.status()), talk->Next();
            times.encode_start = words->began;
            (*done)(talk->AddPart(
                ConversationHistory::PartKind::kSpeech, words->text,
                engine::SpeechResult{.transcript = words->text, .language = "en", .times = times}));
            talk->Next();
          });
    });
    return 0;
  }

  uint64_t Run(op::AppendText& text) {
    auto done = std::make_shared<Done<engine::TextResult>>(std::move(text.done));
    const engine::OperationTimes times = Queued();
    talk_->Add([talk = talk_, text = std::move(text.text), done, times] {
      (*done)(talk->AddPart(ConversationHistory::PartKind::kText, text, engine::TextResult{0, times}));
      talk->Next();
    });
    return 0;
  }

  AnswerId Run(op::Answer& answer) {
    answer_ = std::make_shared<Answering>(talk_, ++last_answer_, answer.config, std::move(answer.listener));
    talk_->Add([answer = answer_] { Answering::Begin(answer); });
    return last_answer_;
  }
  uint64_t Run(const op::TrimAnswer& trim) {
    AddAtOnce([trim](ConversationHistory& history) { history.TrimAnswer(trim.answer, trim.tokens); });
    return 0;
  }
  MarkId Run(const op::Mark&) {
    const MarkId mark = ++last_mark_;
    AddAtOnce([mark](ConversationHistory& history) { history.Mark(mark); });
    return mark;
  }
  MarkId Run(const op::Speculate&) { return Run(op::Mark{}); }
  uint64_t Run(const op::Rewind& rewind) {
    AddAtOnce([rewind](ConversationHistory& history) { history.Rewind(rewind.mark); });
    return 0;
  }

  uint64_t Run(const op::TranscribeEarly&) { return 0; }
  uint64_t Run(op::Transcribe& speech) {
    auto done = std::make_shared<Done<engine::SpeechResult>>(std::move(speech.done));
    talk_->machine().Transcribe(std::move(speech.samples), [done](absl::StatusOr<Machine::Words> words) {
      if (!words.ok()) return (*done)(words.status());
      (*done)(engine::SpeechResult{.transcript = words->text, .language = "en"});
    });
    return 0;
  }
  uint64_t Run(const op::CancelAnswer& cancel) {
    if (cancel.answer == last_answer_ && answer_ != nullptr) answer_->Cancel();
    return 0;
  }
  uint64_t Run(const op::Promote&) { return 0; }

  static engine::OperationTimes Queued() {
    const absl::Time now = absl::Now();
    return {now, now, now, now, now};
  }
  void AddAtOnce(std::function<void(ConversationHistory&)> change) {
    talk_->Add([talk = talk_, change = std::move(change)] {
      change(talk->history());
      talk->Next();
    });
  }

  const std::shared_ptr<Talk> talk_;
  std::shared_ptr<Answering> answer_;  // the last one
  AnswerId last_answer_ = 0;
  MarkId last_mark_ = 0;
};

class Composition final : public engine::Engine {
 public:
  Composition(Machine::Parts parts, int slots) : machine_(std::move(parts), slots) {}

  const engine::EngineInfo& info() const override { return machine_.info(); }
  bool hears() const override { return true; }
  bool sees() const override { return true; }
  absl::Status WarmUp() override { return absl::OkStatus(); }  // the suites place a call of each kind first
  absl::StatusOr<std::unique_ptr<engine::Conversation>> StartConversation(
      engine::ConversationOptions options) override {
    const absl::StatusOr<int> slot = machine_.TakeSlot();
    if (!slot.ok()) return slot.status();
    return std::make_unique<ComposedConversation>(std::make_shared<Talk>(&machine_, *slot, options));
  }
  engine::EngineStats stats() const override {
    engine::EngineStats stats;
    stats.room = machine_.room();
    return stats;
  }

 private:
  Machine machine_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Engine>> MakeComposition(
    CompositionParts parts, int conversations, const engine::bundle::BundleManifest& manifest) {
  const auto files = engine::bundle::LanguageModelFiles::Open(manifest.language_model);
  if (!files.ok()) return files.status();
  auto read = engine::bundle::ReadTokenizer(*files);
  if (!read.ok()) return read.status();
  auto tokenizer = engine::text::Tokenizer::Create(std::move(read->tokenizer));
  if (!tokenizer.ok()) return tokenizer.status();
  auto layout = engine::text::PromptLayout::Create(
      {.chat_template = read->chat_template, .system = manifest.prompt.system}, tokenizer->get());
  if (!layout.ok()) return layout.status();
  const std::string& folder = manifest.vision_encoder->path;
  const auto weights = engine::bundle::Safetensors::OpenFolder(folder);
  if (!weights.ok()) return weights.status();
  const auto labels = engine::bundle::ReadTextFile(folder + "/labels.json");
  if (!labels.ok()) return labels.status();
  auto vision_encoder = engine::cpu::EfficientNet::Load(*weights, *labels, parts.threads);
  if (!vision_encoder.ok()) return vision_encoder.status();
  if (absl::Status status = parts.llama->Start(conversations, kCompositionTokens); !status.ok())
    return status;

  Machine::Parts machine;
  machine.info = {.bundle = "composition",
                  .language_model = parts.language_model,
                  .audio_encoder = parts.transcriber.name,
                  .vision_encoder = "EfficientNet-Lite0",
                  .speech_detector = "Silero VAD",
                  .arithmetic = "the peers'",
                  .device = "cpu",
                  .context_tokens = kCompositionTokens};
  machine.tokenizer = *std::move(tokenizer);
  machine.layout = std::make_unique<const engine::text::PromptLayout>(*std::move(layout));
  machine.vision_encoder = *std::move(vision_encoder);
  machine.vision_bridge = *manifest.vision_bridge;
  machine.transcriber = std::move(parts.transcriber);
  machine.llama = std::move(parts.llama);
  return std::make_unique<Composition>(std::move(machine), conversations);
}

}  // namespace parley::bench
