#include "bench/peers/llama_server.h"

#include <algorithm>
#include <utility>

namespace parley::bench {
namespace {

constexpr size_t kBatch = 2048;  // tokens of a step: llama-server's default

}  // namespace

LlamaServer::LlamaServer(std::unique_ptr<LlamaCpp> model, int slots)
    : model_(std::move(model)), held_(slots), thread_([this] { Run(); }) {}

LlamaServer::~LlamaServer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void LlamaServer::Submit(Request request) {
  absl::MutexLock lock(&mutex_);
  submitted_.push_back(std::move(request));
}

void LlamaServer::Run() {
  while (true) {
    std::vector<Request> submitted;
    {
      absl::MutexLock lock(&mutex_);
      if (work_.empty()) {
        mutex_.Await(absl::Condition(
            +[](LlamaServer* server)
                 ABSL_NO_THREAD_SAFETY_ANALYSIS { return server->stopping_ || !server->submitted_.empty(); },
            this));
        if (stopping_) return;
      }
      submitted.swap(submitted_);
    }
    for (Request& request : submitted) Begin(std::move(request));
    Step();
  }
}

void LlamaServer::Begin(Request request) {
  std::vector<engine::TokenId>& held = held_[request.slot];
  // At least one token is run, for its scores.
  const size_t most = std::min(held.size(), request.prompt.size() - 1);
  const auto common =
      std::mismatch(held.begin(), held.begin() + static_cast<ptrdiff_t>(most), request.prompt.begin()).first -
      held.begin();
  model_->Truncate(request.slot, static_cast<int>(common));
  held.resize(common);
  work_.push_back({std::move(request), static_cast<size_t>(common), {}});
}

void LlamaServer::Step() {
  rows_.clear();
  stepping_.clear();
  size_t room = kBatch;
  for (const bool answering : {true, false}) {
    for (size_t i = 0; i < work_.size() && room > 0; ++i) {
      const Work& work = work_[i];
      if (work.last.empty() == answering) continue;
      absl::Span<const engine::TokenId> tokens = work.last;
      if (!answering) tokens = absl::MakeConstSpan(work.request.prompt).subspan(work.filled, room);
      room -= std::min(room, tokens.size());
      rows_.push_back({work.request.slot, tokens});
      stepping_.push_back(i);
    }
  }
  const absl::Status status = model_->Step(absl::MakeSpan(rows_));
  std::vector<bool> done(work_.size(), false);
  for (size_t r = 0; r < rows_.size(); ++r) {
    Work& work = work_[stepping_[r]];
    if (!status.ok()) {
      work.request.on_error(status);
      done[stepping_[r]] = true;
      continue;
    }
    std::vector<engine::TokenId>& held = held_[work.request.slot];
    held.insert(held.end(), rows_[r].tokens.begin(), rows_[r].tokens.end());
    if (work.last.empty()) work.filled += rows_[r].tokens.size();
    if (work.filled < work.request.prompt.size()) continue;
    work.last = {rows_[r].next};
    done[stepping_[r]] = !work.request.on_token(rows_[r].next);
  }
  size_t kept = 0;
  for (size_t i = 0; i < work_.size(); ++i) {
    if (done[i]) continue;
    if (kept != i) work_[kept] = std::move(work_[i]);
    ++kept;
  }
  work_.resize(kept);
}

}  // namespace parley::bench
