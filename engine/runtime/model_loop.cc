#include "engine/runtime/model_loop.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/text/utf8.h"

namespace parley::engine {
namespace {

constexpr absl::Duration kIntervalHalfLife = absl::Seconds(2);  // see EngineStats::token_interval

}  // namespace

ModelLoop::ModelLoop(Model* model, const RuntimeOptions& options, const Clock* clock)
    : model_(model),
      options_(options),
      clock_(clock),
      planner_(options.step),
      prompts_(options.cached_prompts),
      last_promised_(std::max<int64_t>(1, schedule::PagesOf(options.promised_tokens))) {}

ModelLoop::~ModelLoop() = default;

absl::StatusOr<std::shared_ptr<Inbox>> ModelLoop::Open(const ConversationOptions& options) {
  if (!text::IsValidUtf8(options.instructions)) {
    return absl::InvalidArgumentError("the instructions are not valid UTF-8");
  }
  const int capacity = model_->info.context_tokens;
  ConversationHistory history(model_->layout.get(), options.instructions, capacity);
  if (!history.fits()) {
    return absl::InvalidArgumentError(absl::StrCat("the instructions are ", history.size(),
                                                   " tokens; with a turn and its answer they must fit into ",
                                                   capacity));
  }
  auto inbox = std::make_shared<Inbox>(options_.max_queued_operations);
  absl::MutexLock lock(&mutex_);
  if (stats_.conversations >= options_.max_conversations) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the engine holds ", options_.max_conversations, " conversations, its limit"));
  }
  const int64_t promised =
      schedule::PagesOf(history.system_size()) + schedule::PagesOf(options_.promised_tokens);
  const schedule::PageStats pages = model_->language_model->pages();
  if (!budget_.Open(last_id_ + 1, promised, pages)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the KV cache cannot keep ", promised, " pages of ", schedule::kPageTokens,
                     " tokens for another conversation: of ", pages.total, " pages ", pages.in_use,
                     " are in use and ", budget_.kept(), " promised"));
  }
  last_promised_ = promised;
  ++stats_.conversations;
  opened_.push_back(std::make_unique<ConversationWorker>(++last_id_, inbox, std::move(history), options,
                                                         options_.context, model_, &prompts_, clock_));
  woken_ = true;
  return inbox;
}

void ModelLoop::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

EngineStats ModelLoop::stats() const {
  const schedule::PageStats pages = model_->language_model->pages();
  absl::MutexLock lock(&mutex_);
  EngineStats stats = stats_;
  stats.kv_pages = pages.total;
  stats.kv_pages_in_use = pages.in_use;
  stats.kv_pages_shared = pages.shared;
  stats.room = static_cast<int>(std::min<int64_t>(options_.max_conversations - stats_.conversations,
                                                  budget_.CanOpen(last_promised_, pages)));
  const absl::Time now = clock_->Now();
  if (pass_began_ != absl::InfiniteFuture()) stats.pass_age = now - pass_began_;
  stats.token_interval *= std::exp2(-absl::FDivDuration(now - last_token_pass_, kIntervalHalfLife));
  stats.conversation_load = load_.PerConversation(now);
  if (pages.total > 0) stats.kv_bytes = pages.in_use * model_->language_model->page_bytes();
  return stats;
}

void ModelLoop::ProcessInboxes() {
  std::vector<std::unique_ptr<ConversationWorker>> opened;
  {
    absl::MutexLock lock(&mutex_);
    woken_ = false;
    opened = std::exchange(opened_, {});
  }
  for (auto& worker : opened) {
    const schedule::WorkId id = worker->id();
    workers_.emplace(id, std::move(worker));
  }
  pool_short_.clear();
  {
    absl::MutexLock lock(&mutex_);
    const schedule::PageStats pages = model_->language_model->pages();
    const int64_t turn = schedule::PagesOf(options_.promised_tokens);
    for (const auto& [id, worker] : workers_) pool_short_.push_back(budget_.Room(id, pages) < turn);
  }
  std::vector<schedule::WorkId> closed;
  ContextKeeper::Counts ended;
  int queued = 0;
  int64_t kv_bytes = 0;
  auto pool_short = pool_short_.begin();
  for (auto it = workers_.begin(); it != workers_.end(); ++pool_short) {
    ConversationWorker& worker = *it->second;
    if (worker.ProcessInbox(*pool_short)) {
      queued += worker.pending_operations();
      kv_bytes += worker.kv_bytes();
      ++it;
    } else {
      ended.frames_forgotten += worker.context_counts().frames_forgotten;
      ended.compactions += worker.context_counts().compactions;
      closed.push_back(it->first);
      planner_.Forget(it->first);
      it = workers_.erase(it);
    }
  }
  absl::MutexLock lock(&mutex_);
  for (const schedule::WorkId id : closed) budget_.Close(id);
  for (const auto& [id, worker] : workers_) budget_.Hold(id, worker->kv_pages());
  ended_.frames_forgotten += ended.frames_forgotten;
  ended_.compactions += ended.compactions;
  CountContexts();
  stats_.conversations -= static_cast<int>(closed.size());
  stats_.queued_operations = queued;
  stats_.kv_bytes = kv_bytes;
}

void ModelLoop::CountContexts() {
  ContextKeeper::Counts all = ended_;
  for (const auto& [id, worker] : workers_) {
    all.frames_forgotten += worker->context_counts().frames_forgotten;
    all.compactions += worker->context_counts().compactions;
  }
  stats_.frames_forgotten = all.frames_forgotten;
  stats_.compactions = all.compactions;
}

bool ModelLoop::Reserve(ConversationWorker* worker, int rows) {
  absl::Status status;
  do {
    absl::MutexLock lock(&mutex_);
    budget_.Hold(worker->id(), worker->kv_pages());
    status = worker->ReservePages(rows, budget_.Room(worker->id(), model_->language_model->pages()));
    if (status.ok()) {
      budget_.Hold(worker->id(), worker->kv_pages());
      return true;
    }
    // What the engine keeps for conversations to come goes before what one holds.
  } while (prompts_.Clear());
  worker->EvictOrRefuse(status);
  return false;
}

bool ModelLoop::RunOnce() {
  ProcessInboxes();
  std::vector<schedule::Want> wants;
  for (const auto& [id, worker] : workers_) {
    if (const auto want = worker->Wants()) wants.push_back(*want);
  }
  const absl::Time now = clock_->Now();
  const schedule::StepPlan plan = planner_.Plan(wants, now);
  resume_ = plan.resume;
  if (plan.empty()) return false;
  {
    absl::MutexLock lock(&mutex_);
    pass_began_ = now;
  }
  // Early transcription takes nothing from anybody, so it is no load.
  const bool counts = !plan.encode.empty() && RunEncoder(plan.encode);
  absl::Duration work = counts ? clock_->Now() - now : absl::ZeroDuration();
  if (!plan.step.empty()) work += Step(plan);
  EndPass(plan, now, work);
  // Completes at once what this pass has done.
  ProcessInboxes();
  return true;
}

void ModelLoop::EndPass(const schedule::StepPlan& plan, absl::Time began, absl::Duration work) {
  const absl::Time now = clock_->Now();
  bool made_token = false;
  for (const auto& part : plan.step) {
    made_token |= part.kind == schedule::WorkKind::kDecode && part.urgency == schedule::Urgency::kAwaited;
  }
  absl::MutexLock lock(&mutex_);
  pass_began_ = absl::InfiniteFuture();
  load_.SetConversations(stats_.conversations, now);
  load_.AddWork(work, now);
  if (!made_token) return;
  constexpr double kWeight = 1.0 / 16;
  stats_.token_interval += (now - began - stats_.token_interval) * kWeight;
  last_token_pass_ = now;
}

bool ModelLoop::RunEncoder(const std::vector<schedule::WorkId>& ids) {
  std::vector<ConversationWorker*> workers;
  workers.reserve(ids.size());
  for (const schedule::WorkId id : ids) workers.push_back(workers_.at(id).get());
  const bool requested = !std::all_of(workers.begin(), workers.end(),
                                      [](const auto* worker) { return worker->TranscribesEarly(); });
  Encoder* const encoder = workers.front()->EncoderWanted();
  const absl::Time start = clock_->Now();
  std::vector<ConversationWorker*> begun;
  std::vector<Encoding*> encodings;
  for (ConversationWorker* worker : workers) {
    Encoding* const encoding = worker->BeginEncoderPass();
    if (encoding == nullptr) continue;
    begun.push_back(worker);
    encodings.push_back(encoding);
  }
  if (encodings.empty()) return requested;
  std::vector<absl::StatusOr<bool>> done = encoder->Advance(encodings);
  if (done.size() != begun.size()) {
    const absl::Status lost = absl::InternalError(absl::StrCat(encoder->name(), " lost an input"));
    done.assign(begun.size(), lost);
  }
  for (size_t i = 0; i < begun.size(); ++i) begun[i]->FinishEncoderPass(done[i]);
  if (encoder == model_->frame_encoder.get()) {
    planner_.FramesTook(static_cast<int>(begun.size()), clock_->Now() - start);
  }
  return requested;
}

absl::Duration ModelLoop::Step(const schedule::StepPlan& plan) {
  entries_.clear();
  stepping_.clear();
  int64_t total_rows = 0;
  int64_t prefilled = 0;
  int64_t speculative = 0;
  for (const auto& [id, count, kind, urgency] : plan.step) {
    ConversationWorker* worker = workers_.at(id).get();
    if (!Reserve(worker, count)) continue;
    stepping_.push_back(worker);
    entries_.push_back(worker->BeginStep(count));
    total_rows += count;
    if (kind == schedule::WorkKind::kPrefill) prefilled += count;
    if (urgency == schedule::Urgency::kSpeculative) speculative += count;
  }
  if (entries_.empty()) return absl::ZeroDuration();
  const absl::Time start = clock_->Now();
  absl::Status status = model_->language_model->Step(entries_);
  const absl::Time end = clock_->Now();
  const absl::Duration took = end - start;
  planner_.StepTook(plan, took, end);

  // A step that failed changed nothing: each conversation tries alone, so that only the guilty one fails.
  std::vector<absl::Status> each(stepping_.size(), status);
  if (!status.ok() && stepping_.size() > 1) {
    for (size_t i = 0; i < stepping_.size(); ++i) each[i] = model_->language_model->Step({&entries_[i], 1});
  }
  int64_t generated = 0;
  for (size_t i = 0; i < stepping_.size(); ++i) {
    if (each[i].ok()) {
      generated += stepping_[i]->FinishStep();
    } else {
      stepping_[i]->FailStep(each[i]);
    }
  }
  absl::MutexLock lock(&mutex_);
  stats_.step_seconds.Add(absl::ToDoubleSeconds(took));
  stats_.step_conversations.Add(static_cast<double>(stepping_.size()));
  stats_.step_rows.Add(static_cast<double>(total_rows));
  stats_.speculative_rows += speculative;
  stats_.prefilled_tokens += prefilled;
  stats_.generated_tokens += generated;
  const absl::Duration row = planner_.row_time();
  return row > absl::ZeroDuration() ? std::min(took, row * total_rows) : took;
}

void ModelLoop::Run() {
  while (true) {
    const bool worked = RunOnce();
    absl::MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_ || stopping_; };
    if (!worked) mutex_.AwaitWithTimeout(absl::Condition(&ready), resume_ - clock_->Now());
    if (stopping_) break;
  }
  ProcessInboxes();  // conversations closed since the last pass complete what they have on this thread
}

void ModelLoop::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

}  // namespace parley::engine
