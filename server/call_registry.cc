#include "server/call_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley::server {
namespace {

uint32_t Milliseconds(absl::Duration duration) {
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

CallRegistry::CallRegistry(Limits limits, const Clock* clock, std::function<void()> look_at_engine)
    : limits_(limits),
      clock_(clock),
      look_at_engine_(std::move(look_at_engine)),
      unready_(MakeFault(v1::AT_CAPACITY, "the server is warming up")) {
  ticker_ = std::thread([this] { Run(); });
}

CallRegistry::~CallRegistry() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  ticker_.join();
}

std::string CallRegistry::NewCallId() {
  absl::MutexLock lock(&mutex_);
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(random_));
}

std::optional<Fault> CallRegistry::Closed() const {
  if (!draining_ && !unready_.has_value()) return std::nullopt;
  Fault fault = draining_ ? ShuttingDown() : *unready_;
  fault.retry_after_ms = Milliseconds(limits_.retry_after);
  return fault;
}

Fault CallRegistry::PeerIsFull(absl::string_view what, int most) const {
  Fault fault = MakeFault(v1::AT_CAPACITY,
                          absl::StrCat("this address has ", most, " ", what, ", which is all it may have"));
  fault.retry_after_ms = Milliseconds(limits_.retry_after);
  return fault;
}

void CallRegistry::SetState(Entry& entry, State state, absl::Time now) {
  PeerCounts* peer = entry.peer.empty() ? nullptr : &peers_[entry.peer];
  const auto leave = [&entry](std::deque<const RegisteredCall*>& queue) {
    queue.erase(std::find(queue.begin(), queue.end(), entry.call.get()));
  };
  if (entry.state == State::kOpening) leave(opening_);
  if (entry.state == State::kWaiting) leave(waiting_);
  if (entry.state == State::kAdmitted) --admitted_;
  if (peer != nullptr && entry.state != State::kRefused) --peer->of(entry.state);
  entry.state = state;
  entry.since = now;
  if (state == State::kOpening) opening_.push_back(entry.call.get());
  if (state == State::kWaiting) waiting_.push_back(entry.call.get());
  if (state == State::kAdmitted) ++admitted_;
  if (peer == nullptr) return;
  if (state != State::kRefused) ++peer->of(state);
  if (peer->opening + peer->waiting + peer->admitted == 0) peers_.erase(entry.peer);
}

std::optional<Fault> CallRegistry::Arrive(std::shared_ptr<RegisteredCall> call, std::string peer) {
  std::shared_ptr<RegisteredCall> oldest;
  std::optional<Fault> refused;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_->Now();
    const RegisteredCall* key = call.get();
    Entry& entry = entries_[key];
    entry = {.call = std::move(call), .peer = std::move(peer), .since = now};
    refused = Closed();
    if (limits_.max_calls_per_peer > 0 && !refused.has_value() && !entry.peer.empty()) {
      const int most = limits_.max_calls_per_peer + limits_.max_waiting_per_peer;
      const auto found = peers_.find(entry.peer);
      if (found != peers_.end() &&
          found->second.opening + found->second.waiting + found->second.admitted >= most) {
        refused = PeerIsFull("streams", most);
      }
    }
    if (!refused.has_value()) {
      if (opening_.size() >= static_cast<size_t>(limits_.max_opening)) {
        Entry& first = entries_.at(opening_.front());
        oldest = first.call;
        SetState(first, State::kRefused, now);
      }
      SetState(entry, State::kOpening, now);
    }
  }
  if (oldest != nullptr) {
    oldest->Cut(MakeFault(v1::DEADLINE, "no SessionOpen came, and others wait to be heard"));
  }
  return refused;
}

CallRegistry::Admission CallRegistry::Enter(const RegisteredCall* call) {
  look_at_engine_();
  absl::MutexLock lock(&mutex_);
  Admission admission;
  Entry& entry = entries_.at(call);
  if (entry.state != State::kOpening) {  // cut meanwhile: it was the oldest
    admission.refused = ShuttingDown();
    return admission;
  }
  const absl::Time now = clock_->Now();
  const PeerCounts peer = entry.peer.empty() ? PeerCounts{} : peers_[entry.peer];
  admission.refused = Closed();
  if (!admission.refused.has_value() && limits_.max_calls_per_peer > 0 &&
      peer.admitted + peer.waiting >= limits_.max_calls_per_peer) {
    admission.refused = PeerIsFull("calls", limits_.max_calls_per_peer);
  }
  if (admission.refused.has_value()) {
    SetState(entry, State::kRefused, now);
  } else if (waiting_.empty() && HasPlace()) {
    SetState(entry, State::kAdmitted, now);
  } else if (waiting_.size() >= static_cast<size_t>(limits_.max_waiting)) {
    SetState(entry, State::kRefused, now);
    admission.refused = AtCapacity(
        limits_.max_waiting == 0 ? "" : absl::StrCat(", and ", waiting_.size(), " wait for a place"));
  } else if (limits_.max_waiting_per_peer > 0 && peer.waiting >= limits_.max_waiting_per_peer) {
    SetState(entry, State::kRefused, now);
    admission.refused = PeerIsFull("calls that wait", limits_.max_waiting_per_peer);
  } else {
    SetState(entry, State::kWaiting, now);
    admission.waits = PlaceAt(waiting_.size() - 1);
    unsettled_ = true;
  }
  return admission;
}

void CallRegistry::Remove(const RegisteredCall* call) {
  std::shared_ptr<RegisteredCall> removed;  // destroyed after the lock is gone
  absl::MutexLock lock(&mutex_);
  auto found = entries_.find(call);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const absl::Time now = clock_->Now();
  if (entry.state == State::kAdmitted) {
    constexpr double kWeight = 1.0 / 8;
    const absl::Duration length = now - entry.since;
    call_length_ = call_length_.has_value() ? *call_length_ + (length - *call_length_) * kWeight : length;
  }
  SetState(entry, State::kRefused, now);
  unsettled_ = !waiting_.empty();
  removed = std::move(entry.call);
  entries_.erase(found);
}

void CallRegistry::SetReady() {
  absl::MutexLock lock(&mutex_);
  unready_ = std::nullopt;
}

void CallRegistry::SetUnready(Fault why) {
  absl::MutexLock lock(&mutex_);
  unready_ = std::move(why);
}

void CallRegistry::SetEngineRoom(int conversations, int more, std::string why) {
  absl::MutexLock lock(&mutex_);
  engine_holds_ = conversations;
  engine_room_ = more;
  engine_full_why_ = std::move(why);
}

bool CallRegistry::HasPlace() const {
  // Those that have a place and no conversation yet take of the engine's room.
  const int opening = std::max(0, admitted_ - engine_holds_);
  return !draining_ && !unready_.has_value() && admitted_ < limits_.max_calls && opening < engine_room_;
}

QueuePlace CallRegistry::PlaceAt(size_t index) const {
  QueuePlace place{.position = static_cast<int>(index) + 1};
  // Of so many calls of such a length, this many end in a unit of time.
  if (call_length_.has_value() && admitted_ > 0) {
    place.estimated_wait = *call_length_ * place.position / admitted_;
  }
  return place;
}

Fault CallRegistry::AtCapacity(absl::string_view more) const {
  constexpr absl::Duration kLongestAdvice = absl::Minutes(1);
  Fault fault =
      MakeFault(v1::AT_CAPACITY,
                absl::StrCat(admitted_ >= limits_.max_calls
                                 ? absl::StrCat("the server has ", admitted_, " calls, which is all it takes")
                                 : absl::StrCat("the server has ", admitted_,
                                                " calls and takes no more now: ", engine_full_why_),
                             more));
  const absl::Duration estimate = PlaceAt(waiting_.size()).estimated_wait.value_or(limits_.retry_after);
  fault.retry_after_ms = Milliseconds(std::max(limits_.retry_after, std::min(estimate, kLongestAdvice)));
  return fault;
}

CallRegistry::News CallRegistry::Settle(absl::Time now) {
  News news;
  unsettled_ = false;
  while (!waiting_.empty()) {
    Entry& first = entries_.at(waiting_.front());
    if (!HasPlace()) break;
    SetState(first, State::kAdmitted, now);
    news.admitted.push_back(first.call);
  }
  // Those that have waited longest are in front.
  while (!waiting_.empty()) {
    Entry& first = entries_.at(waiting_.front());
    if (now - first.since < limits_.max_wait) break;
    SetState(first, State::kRefused, now);
    news.given_up.emplace_back(first.call, AtCapacity(absl::StrCat("; no place was free within ",
                                                                   absl::FormatDuration(limits_.max_wait))));
  }
  for (size_t i = 0; i < waiting_.size(); ++i) {
    Entry& entry = entries_.at(waiting_[i]);
    const QueuePlace place = PlaceAt(i);
    if (std::exchange(entry.told, place.position) != place.position)
      news.moved.emplace_back(entry.call, place);
  }
  return news;
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

void CallRegistry::FailAll(const Fault& fault) {
  std::vector<std::shared_ptr<RegisteredCall>> calls;
  {
    absl::MutexLock lock(&mutex_);
    calls = Snapshot();
  }
  for (const auto& call : calls) call->Cut(fault);
}

void CallRegistry::CutAll() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    cut_at_ = absl::InfinitePast();
  }
  FailAll(ShuttingDown());
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

int CallRegistry::waiting() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(waiting_.size());
}

void CallRegistry::Run() {
  while (true) {
    look_at_engine_();
    std::vector<std::shared_ptr<RegisteredCall>> calls;
    News news;
    bool cut = false;
    absl::Time now;
    {
      absl::MutexLock lock(&mutex_);
      const auto early = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || unsettled_; };
      mutex_.AwaitWithTimeout(absl::Condition(&early), limits_.tick);
      if (stopping_) return;
      now = clock_->Now();
      news = Settle(now);
      calls = Snapshot();
      cut = now >= cut_at_;
    }
    for (const auto& call : news.admitted) call->Admit();
    for (const auto& [call, place] : news.moved) call->Wait(place);
    for (const auto& [call, fault] : news.given_up) call->Cut(fault);
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
