#include "server/call_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley::server {

CallRegistry::CallRegistry(Limits limits, const Clock* clock) : limits_(limits), clock_(clock) {
  ticker_ = std::thread([this] { Run(); });
}

CallRegistry::~CallRegistry() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  ticker_.join();
}

CallRegistry::Admission CallRegistry::Add(std::shared_ptr<RegisteredCall> call) {
  absl::MutexLock lock(&mutex_);
  Admission admission;
  admission.call_id = absl::StrFormat("%016x", absl::Uniform<uint64_t>(random_));
  if (draining_) {
    admission.refused = ShuttingDown();
  } else if (!ready_) {
    admission.refused = MakeFault(v1::AT_CAPACITY, "the server is warming up");
  } else if (admitted_ >= limits_.max_calls) {
    admission.refused = MakeFault(
        v1::AT_CAPACITY, absl::StrCat("the server has ", admitted_, " calls, which is all it takes"));
  }
  if (admission.refused.has_value()) {
    admission.refused->retry_after_ms = static_cast<uint32_t>(absl::ToInt64Milliseconds(limits_.retry_after));
  } else {
    ++admitted_;
  }
  const RegisteredCall* key = call.get();
  entries_.emplace(key, Entry{std::move(call), !admission.refused.has_value()});
  return admission;
}

void CallRegistry::Remove(const RegisteredCall* call) {
  std::shared_ptr<RegisteredCall> removed;  // destroyed after the lock is gone
  absl::MutexLock lock(&mutex_);
  auto entry = entries_.find(call);
  if (entry == entries_.end()) return;
  if (entry->second.admitted) --admitted_;
  removed = std::move(entry->second.call);
  entries_.erase(entry);
}

void CallRegistry::SetReady() {
  absl::MutexLock lock(&mutex_);
  ready_ = true;
}

void CallRegistry::Drain(absl::Duration limit) {
  std::vector<std::shared_ptr<RegisteredCall>> calls;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    cut_at_ = std::min(cut_at_, clock_->Now() + limit);
    calls = Snapshot();
  }
  for (const auto& call : calls) call->Drain(limit);
}

void CallRegistry::CutAll() {
  std::vector<std::shared_ptr<RegisteredCall>> calls;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    cut_at_ = absl::InfinitePast();
    calls = Snapshot();
  }
  for (const auto& call : calls) call->Cut(ShuttingDown());
}

void CallRegistry::WaitUntilEmpty() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](decltype(entries_)* entries) { return entries->empty(); }, &entries_));
}

bool CallRegistry::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

int CallRegistry::calls() const {
  absl::MutexLock lock(&mutex_);
  return admitted_;
}

void CallRegistry::Run() {
  while (true) {
    std::vector<std::shared_ptr<RegisteredCall>> calls;
    bool cut = false;
    const absl::Time now = clock_->Now();
    {
      absl::MutexLock lock(&mutex_);
      // Wakes early only to stop.
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), limits_.tick)) return;
      calls = Snapshot();
      cut = now >= cut_at_;
    }
    for (const auto& call : calls) {
      if (cut) call->Cut(ShuttingDown());
      call->Tick(now);
    }
  }
}

std::vector<std::shared_ptr<RegisteredCall>> CallRegistry::Snapshot() const {
  std::vector<std::shared_ptr<RegisteredCall>> calls;
  calls.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) calls.push_back(entry.call);
  return calls;
}

Fault ShuttingDown() {
  Fault fault = MakeFault(v1::SHUTTING_DOWN, "the server is going down");
  return fault;
}

}  // namespace parley::server
