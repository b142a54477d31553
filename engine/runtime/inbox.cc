#include "engine/runtime/inbox.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace parley::engine {
namespace {

// Drops what an operation was given, but not whom it tells how it ended.
template <typename Op>
void DropInput(Op& operation) {
  Op kept;
  if constexpr (op::HasDone<Op>) kept.done = std::move(operation.done);
  if constexpr (std::is_same_v<Op, op::Answer>) kept.listener = std::move(operation.listener);
  operation = std::move(kept);
}

}  // namespace

bool HasOutcome(const op::Queued& operation) {
  return std::visit([]<typename Op>(const Op&) { return kHasOutcome<Op>; }, operation);
}

uint64_t Inbox::Submit(Operation operation, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (auto* queued = std::get_if<op::Queued>(&operation)) return Queue(std::move(*queued), now);
  Add(std::get<op::Immediate>(std::move(operation)), now);
  return 0;
}

uint64_t Inbox::Queue(op::Queued what, absl::Time now) {
  QueuedOperation operation = {.what = std::move(what),
                               .order = last_order_ + 1,
                               .queued = now,
                               .speculative = speculative_after_ != 0};
  const bool admitted = std::visit(
      [&](const auto& each) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Admit(each, operation); },
      operation.what);
  if (!admitted) return 0;
  ++last_order_;
  pending_.fetch_add(1, std::memory_order_relaxed);
  if (pending() > limit_ && HasOutcome(operation.what)) {
    operation.refused = absl::ResourceExhaustedError(
        absl::StrCat("the conversation has ", limit_, " operations that are not complete"));
    std::visit([](auto& each) { DropInput(each); }, operation.what);
  }
  const uint64_t id = operation.id;
  contents_.queued.push_back(std::move(operation));
  return id;
}

bool Inbox::Admit(const op::Answer&, QueuedOperation& operation) {
  operation.id = ++last_answer_;
  return true;
}

bool Inbox::Admit(const op::Mark&, QueuedOperation& operation) {
  operation.id = ++last_mark_;
  marks_.emplace_back(operation.id, operation.order);
  return true;
}

bool Inbox::Admit(const op::Speculate&, QueuedOperation& operation) {
  if (speculative_after_ == 0) speculative_after_ = operation.order;
  return Admit(op::Mark{}, operation);
}

bool Inbox::Admit(const op::Rewind& rewind, QueuedOperation& operation) {
  const auto mark =
      std::find_if(marks_.begin(), marks_.end(), [&](const auto& each) { return each.first == rewind.mark; });
  if (mark == marks_.end()) return false;
  operation.mark_order = mark->second;
  marks_.erase(mark + 1, marks_.end());
  if (operation.mark_order <= speculative_after_) speculative_after_ = 0;
  operation.speculative = speculative_after_ != 0;
  return true;
}

void Inbox::Add(op::Immediate what, absl::Time now) {
  const bool admitted = std::visit(
      [this](const auto& each) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Admit(each); }, what);
  if (admitted) contents_.immediate.push_back({std::move(what), last_order_, now});
}

bool Inbox::Admit(const op::TranscribeEarly&) {
  std::erase_if(contents_.immediate, [](const ImmediateOperation& earlier) {
    return std::holds_alternative<op::TranscribeEarly>(earlier.what);
  });
  return true;
}

bool Inbox::Admit(const op::Transcribe&) {
  // The model thread completes those before it; their audio is not kept until then.
  for (ImmediateOperation& earlier : contents_.immediate) {
    auto* const transcribe = std::get_if<op::Transcribe>(&earlier.what);
    if (transcribe == nullptr) continue;
    DropInput(*transcribe);
    earlier.superseded = true;
  }
  return true;
}

bool Inbox::Admit(const op::Promote&) { return std::exchange(speculative_after_, 0) != 0; }

void Inbox::Close() {
  absl::MutexLock lock(&mutex_);
  contents_.closed = true;
}

Inbox::Contents Inbox::Take() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(contents_, {});
}

}  // namespace parley::engine
