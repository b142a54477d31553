#include "engine/schedule/step_planner.h"

#include <algorithm>

namespace parley::engine::schedule {
namespace {

// In smaller steps what is done once a step hides what a row takes; so much prefill a step may always hold.
constexpr int kFewestRows = 16;

// The first measurement counts whole, later ones a quarter.
absl::Duration Smoothed(absl::Duration so_far, absl::Duration took, int parts) {
  const absl::Duration each = std::max(took / std::max(1, parts), absl::Nanoseconds(1));
  return so_far == absl::ZeroDuration() ? each : (so_far * 3 + each) / 4;
}

bool Is(const Want& want, WorkKind kind, Urgency urgency) {
  return want.kind == kind && want.urgency == urgency;
}

bool IsSpeculativeEncoding(const Want& want) {
  return Is(want, WorkKind::kEncodeSpeech, Urgency::kSpeculative) ||
         Is(want, WorkKind::kEncodeFrame, Urgency::kSpeculative);
}

bool Holds(const StepPlan& plan, WorkId id) {
  return std::find(plan.encode.begin(), plan.encode.end(), id) != plan.encode.end() ||
         std::any_of(plan.step.begin(), plan.step.end(),
                     [id](const StepPlan::Rows& rows) { return rows.id == id; });
}

}  // namespace

struct StepPlanner::Waiter {
  uint64_t last_served;
  Want want;
};

StepPlan StepPlanner::Plan(absl::Span<const Want> wants, absl::Time now) {
  const Queue queue = InOrderOfService(wants);
  StepPlan plan;
  PlanEncoding(queue, plan);
  PlanStep(queue, plan);
  const bool left_out = std::any_of(wants.begin(), wants.end(), [&plan](const Want& want) {
    return want.urgency == Urgency::kAwaited && !Holds(plan, want.id);
  });
  if (left_out) loaded_until_ = now + limits_.speculation_cooldown;
  PlanSpeculation(queue, now, plan);
  for (const WorkId id : plan.encode) Serve(id);
  for (const StepPlan::Rows& rows : plan.step) Serve(rows.id);
  return plan;
}

StepPlanner::Queue StepPlanner::InOrderOfService(absl::Span<const Want> wants) {
  Queue queue;
  queue.reserve(wants.size());
  for (const Want& want : wants) {
    // A new conversation stands behind all that wait: as if it had been served just now.
    queue.push_back({last_served_.try_emplace(want.id, services_).first->second, want});
  }
  std::sort(queue.begin(), queue.end(), [](const Waiter& a, const Waiter& b) {
    return a.last_served != b.last_served ? a.last_served < b.last_served : a.want.id < b.want.id;
  });
  return queue;
}

const StepPlanner::Waiter* StepPlanner::First(const Queue& queue, WorkKind kind, Urgency urgency) {
  const auto first = std::find_if(queue.begin(), queue.end(), [kind, urgency](const Waiter& waiter) {
    return Is(waiter.want, kind, urgency);
  });
  return first == queue.end() ? nullptr : &*first;
}

// A chunk of speech, or one pass over frames, awaited ones first.
void StepPlanner::PlanEncoding(const Queue& queue, StepPlan& plan) {
  const Waiter* const speech = First(queue, WorkKind::kEncodeSpeech, Urgency::kAwaited);
  const Waiter* const awaited = First(queue, WorkKind::kEncodeFrame, Urgency::kAwaited);
  const bool frames = First(queue, WorkKind::kEncodeFrame, Urgency::kBackground) != nullptr;
  const bool any_awaited = speech != nullptr || awaited != nullptr;
  const bool frames_turn = frames && (!any_awaited || speech_chunks_ >= limits_.speech_chunks_per_frame_pass);
  const bool speech_first =
      speech != nullptr && (awaited == nullptr || speech->last_served <= awaited->last_served);
  if (speech_first && !frames_turn) {
    TakeChunks(speech->want, queue, plan);
    if (speech->want.batchable) {
      BatchChunks(queue, Urgency::kSpeculative, plan.encode.size() + std::max(0, limits_.max_piggybacked),
                  plan);
    }
    speech_chunks_ = frames ? speech_chunks_ + 1 : 0;
    return;
  }
  const size_t room = static_cast<size_t>(FramesAPass());
  const auto take = [&](Urgency urgency) {
    for (const auto& [last, want] : queue) {
      if (plan.encode.size() >= room) break;
      if (Is(want, WorkKind::kEncodeFrame, urgency)) plan.encode.push_back(want.id);
    }
  };
  if (frames_turn) {
    take(Urgency::kBackground);
    take(Urgency::kAwaited);
    speech_chunks_ = 0;
  } else {
    take(Urgency::kAwaited);
    speech_chunks_ = frames && plan.encode.size() >= room ? speech_chunks_ + 1 : 0;
    take(Urgency::kBackground);
  }
}

void StepPlanner::TakeChunks(const Want& first, const Queue& queue, StepPlan& plan) const {
  plan.encode.push_back(first.id);
  if (first.batchable) BatchChunks(queue, first.urgency, limits_.max_batched_chunks, plan);
}

void StepPlanner::BatchChunks(const Queue& queue, Urgency urgency, size_t most, StepPlan& plan) const {
  most = std::min<size_t>(most, std::max(1, limits_.max_batched_chunks));
  for (const auto& [last, want] : queue) {
    if (plan.encode.size() >= most) break;
    if (Is(want, WorkKind::kEncodeSpeech, urgency) && want.batchable && want.id != plan.encode.front()) {
      plan.encode.push_back(want.id);
    }
  }
}

int StepPlanner::FramesAPass() const {
  if (frame_time_ <= absl::ZeroDuration()) return 1;  // not measured yet
  return std::clamp(static_cast<int>(limits_.encoder_budget / frame_time_), 1,
                    std::max(1, limits_.max_frames));
}

int StepPlanner::RowsAStep() const {
  const int most = std::max(1, limits_.max_rows);
  if (row_time_ <= absl::ZeroDuration()) return most;  // not measured yet
  return static_cast<int>(
      std::clamp<int64_t>(limits_.step_limit / row_time_, std::min(kFewestRows, most), most));
}

void StepPlanner::PlanStep(const Queue& queue, StepPlan& plan) {
  int left = std::max(1, limits_.max_rows);
  int decodes = 0;
  for (const auto& [last, want] : queue) {
    if (left == 0 || decodes == std::max(1, limits_.max_decodes)) break;
    if (!Is(want, WorkKind::kDecode, Urgency::kAwaited)) continue;
    plan.step.push_back({want.id, 1, want.kind, want.urgency});
    --left;
    ++decodes;
  }
  if (decodes > 0) left = std::min(left, limits_.max_prefill_rows);
  left = std::min(left, std::max(RowsAStep() - decodes, kFewestRows));

  const auto take = [&](Urgency urgency, int budget) {
    int used = 0;
    for (const auto& [last, want] : queue) {
      if (!Is(want, WorkKind::kPrefill, urgency)) continue;
      const int rows = std::min(want.rows, budget - used);
      if (rows <= 0) break;
      plan.step.push_back({want.id, rows, want.kind, want.urgency});
      used += rows;
    }
    return used;
  };
  const bool both = First(queue, WorkKind::kPrefill, Urgency::kAwaited) != nullptr &&
                    First(queue, WorkKind::kPrefill, Urgency::kBackground) != nullptr;
  const int kept_for_frames = both ? left / 8 : 0;
  left -= take(Urgency::kAwaited, left - kept_for_frames);
  take(Urgency::kBackground, left);
}

void StepPlanner::PlanSpeculation(const Queue& queue, absl::Time now, StepPlan& plan) {
  const bool any_awaited = std::any_of(queue.begin(), queue.end(), [](const Waiter& waiter) {
    return waiter.want.urgency == Urgency::kAwaited;
  });
  int room = RowsAStep();
  for (const StepPlan::Rows& rows : plan.step) room -= rows.rows;
  int left = std::min(room, any_awaited ? limits_.max_piggybacked : limits_.max_speculative_rows);
  // No step is made for them after an awaited encoder pass.
  if (any_awaited && (plan.step.empty() || awaited_step_ > limits_.step_budget)) left = 0;
  for (const auto& [last, want] : queue) {
    if (left <= 0) break;
    if (!Is(want, WorkKind::kDecode, Urgency::kSpeculative)) continue;
    plan.step.push_back({want.id, 1, want.kind, want.urgency});
    --left;
  }
  if (any_awaited) return;

  for (const auto& [last, want] : queue) {
    if (!Is(want, WorkKind::kPrefill, Urgency::kSpeculative)) continue;
    const int rows = std::min(want.rows, left);
    if (rows <= 0) break;
    plan.step.push_back({want.id, rows, want.kind, want.urgency});
    left -= rows;
  }
  if (plan.encode.empty()) PlanSpeculativeEncoding(queue, now, plan);  // else frames
}

// What has begun goes first, then what may begin, then speech of turns that go on.
void StepPlanner::PlanSpeculativeEncoding(const Queue& queue, absl::Time now, StepPlan& plan) {
  const auto first = [&queue](bool begun) {
    return std::find_if(queue.begin(), queue.end(), [begun](const Waiter& waiter) {
      return IsSpeculativeEncoding(waiter.want) && waiter.want.begun == begun;
    });
  };
  if (const auto begun = first(true); begun != queue.end()) {
    TakeChunks(begun->want, queue, plan);
    return;
  }
  const auto start = first(false);
  const Waiter* const idle =
      plan.step.empty() ? First(queue, WorkKind::kEncodeSpeech, Urgency::kIdle) : nullptr;
  if (start == queue.end() && idle == nullptr) return;
  if (now < loaded_until_) {
    plan.resume = loaded_until_;
  } else if (start != queue.end()) {
    plan.encode.push_back(start->want.id);
  } else {
    TakeChunks(idle->want, queue, plan);
  }
}

void StepPlanner::FramesTook(int frames, absl::Duration took) {
  frame_time_ = Smoothed(frame_time_, took, frames);
}

void StepPlanner::StepTook(const StepPlan& plan, absl::Duration took, absl::Time now) {
  bool decoded = false;
  bool awaited = false;
  int total = 0;
  for (const StepPlan::Rows& rows : plan.step) {
    total += rows.rows;
    if (rows.urgency != Urgency::kAwaited) continue;
    awaited = true;
    decoded = decoded || rows.kind == WorkKind::kDecode;
  }
  if (total >= kFewestRows) row_time_ = Smoothed(row_time_, took, total);
  if (awaited) awaited_step_ = took;
  if (decoded && took > limits_.step_budget) loaded_until_ = now + limits_.speculation_cooldown;
}

}  // namespace parley::engine::schedule
