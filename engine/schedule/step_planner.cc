#include "engine/schedule/step_planner.h"

#include <algorithm>

namespace parley::engine::schedule {
namespace {

constexpr size_t Index(WorkKind kind) { return static_cast<size_t>(kind); }

// In smaller steps what is done once a step hides what a row takes; so much prefill a step may always hold.
constexpr int kFewestRows = 16;

// The first measurement counts whole, later ones a quarter.
absl::Duration Smoothed(absl::Duration so_far, absl::Duration took, int parts) {
  const absl::Duration each = std::max(took / std::max(1, parts), absl::Nanoseconds(1));
  return so_far == absl::ZeroDuration() ? each : (so_far * 3 + each) / 4;
}

bool Awaited(WorkKind kind) { return kind <= WorkKind::kAwaitedPrefill; }

}  // namespace

struct StepPlanner::Waiting {
  uint64_t last_served;
  Want want;
};

StepPlan StepPlanner::Plan(absl::Span<const Want> wants, absl::Time now) {
  Queue queues[kKinds];
  bool somebody_waits = false;
  for (const Want& want : wants) {
    // A new conversation stands behind all that wait: as if it had been served just now.
    const uint64_t last = last_served_.try_emplace(want.id, turn_).first->second;
    queues[Index(want.kind)].push_back({last, want});
    somebody_waits = somebody_waits || Awaited(want.kind);
  }
  for (Queue& queue : queues) {
    std::sort(queue.begin(), queue.end(), [](const Waiting& a, const Waiting& b) {
      return a.last_served != b.last_served ? a.last_served < b.last_served : a.want.id < b.want.id;
    });
  }
  StepPlan plan;
  PlanTower(queues, plan);
  PlanStep(queues, plan);
  bool left_out = false;
  for (const Want& want : wants) {
    if (!Awaited(want.kind)) continue;
    const bool in_tower = std::find(plan.tower.begin(), plan.tower.end(), want.id) != plan.tower.end();
    const bool in_step = std::any_of(plan.step.begin(), plan.step.end(),
                                     [&](const StepPlan::Rows& rows) { return rows.id == want.id; });
    left_out = left_out || (!in_tower && !in_step);
  }
  if (left_out) loaded_until_ = now + limits_.speculation_rest;
  PlanSpeculation(queues, somebody_waits, now, plan);
  for (const WorkId id : plan.tower) Serve(id);
  for (const StepPlan::Rows& rows : plan.step) Serve(rows.id);
  return plan;
}

// A slice of speech, or one pass over frames, those that are waited for first.
void StepPlanner::PlanTower(const Queue (&queues)[kKinds], StepPlan& plan) {
  const Queue& speech = queues[Index(WorkKind::kSpeechSlice)];
  const Queue& awaited = queues[Index(WorkKind::kAwaitedFrameSlice)];
  const Queue& frames = queues[Index(WorkKind::kFrameSlice)];
  const bool someone_waits = !speech.empty() || !awaited.empty();
  const bool frames_turn = !someone_waits || speech_slices_ >= limits_.speech_slices_per_frame_slice;
  const bool speech_first =
      awaited.empty() || (!speech.empty() && speech.front().last_served <= awaited.front().last_served);
  if (someone_waits && !(frames_turn && !frames.empty()) && speech_first) {
    TakeSlices(speech, plan);
    if (speech.front().want.joins) {
      JoinSlices(queues[Index(WorkKind::kSpeculativeSlice)],
                 plan.tower.size() + std::max(0, limits_.max_speculative_rides), plan);
    }
    speech_slices_ = frames.empty() ? 0 : speech_slices_ + 1;
    return;
  }
  const size_t room = static_cast<size_t>(FramesAPass());
  const auto take = [&](const Queue& queue) {
    for (const Waiting& frame : queue) {
      if (plan.tower.size() < room) plan.tower.push_back(frame.want.id);
    }
  };
  if (frames_turn && !frames.empty()) {
    take(frames);
    take(awaited);
    speech_slices_ = 0;
  } else {
    take(awaited);
    if (frames.empty() || plan.tower.size() < room) {
      speech_slices_ = 0;
    } else {
      ++speech_slices_;
    }
    take(frames);
  }
}

void StepPlanner::TakeSlices(const Queue& queue, StepPlan& plan) const {
  const Want& first = queue.front().want;
  plan.tower.push_back(first.id);
  if (first.joins) JoinSlices(queue, limits_.max_joined_slices, plan);
}

void StepPlanner::JoinSlices(const Queue& queue, size_t most, StepPlan& plan) const {
  most = std::min<size_t>(most, std::max(1, limits_.max_joined_slices));
  for (const auto& [last, want] : queue) {
    if (plan.tower.size() >= most) break;
    if (want.joins && want.id != plan.tower.front()) plan.tower.push_back(want.id);
  }
}

int StepPlanner::FramesAPass() const {
  if (frame_time_ <= absl::ZeroDuration()) return 1;  // not measured yet
  return std::clamp(static_cast<int>(limits_.tower_budget / frame_time_), 1, std::max(1, limits_.max_frames));
}

int StepPlanner::RowsAStep() const {
  const int most = std::max(1, limits_.max_rows);
  if (row_time_ <= absl::ZeroDuration()) return most;  // not measured yet
  return static_cast<int>(
      std::clamp<int64_t>(limits_.step_limit / row_time_, std::min(kFewestRows, most), most));
}

void StepPlanner::PlanStep(const Queue (&queues)[kKinds], StepPlan& plan) {
  int left = std::max(1, limits_.max_rows);
  int decodes = 0;
  for (const Waiting& decode : queues[Index(WorkKind::kDecode)]) {
    if (left == 0 || decodes == std::max(1, limits_.max_decodes)) break;
    plan.step.push_back({decode.want.id, 1, WorkKind::kDecode});
    --left;
    ++decodes;
  }
  if (decodes > 0) left = std::min(left, limits_.max_prefill_rows);
  left = std::min(left, std::max(RowsAStep() - decodes, kFewestRows));

  const Queue& awaited = queues[Index(WorkKind::kAwaitedPrefill)];
  const Queue& frames = queues[Index(WorkKind::kFramePrefill)];
  const auto take = [&](const Queue& queue, int budget) {
    int used = 0;
    for (const auto& [last, want] : queue) {
      const int rows = std::min(want.rows, budget - used);
      if (rows <= 0) break;
      plan.step.push_back({want.id, rows, want.kind});
      used += rows;
    }
    return used;
  };
  const int kept_for_frames = !awaited.empty() && !frames.empty() ? left / 8 : 0;
  left -= take(awaited, left - kept_for_frames);
  take(frames, left);
}

void StepPlanner::PlanSpeculation(const Queue (&queues)[kKinds], bool somebody_waits, absl::Time now,
                                  StepPlan& plan) {
  int room = RowsAStep();
  for (const StepPlan::Rows& rows : plan.step) room -= rows.rows;
  int left = std::min(room, somebody_waits ? limits_.max_speculative_rides : limits_.max_speculative_rows);
  // No step is made for them after a slice that somebody waits for.
  if (somebody_waits && (plan.step.empty() || awaited_step_ > limits_.step_budget)) left = 0;
  for (const auto& [last, want] : queues[Index(WorkKind::kSpeculativeDecode)]) {
    if (left <= 0) break;
    plan.step.push_back({want.id, 1, want.kind});
    --left;
  }
  if (somebody_waits) return;

  for (const auto& [last, want] : queues[Index(WorkKind::kSpeculativePrefill)]) {
    const int rows = std::min(want.rows, left);
    if (rows <= 0) break;
    plan.step.push_back({want.id, rows, want.kind});
    left -= rows;
  }
  if (!plan.tower.empty()) return;  // frames
  const Queue& begun = queues[Index(WorkKind::kSpeculativeSlice)];
  const Queue& starts = queues[Index(WorkKind::kSpeculativeStart)];
  const Queue& ahead = queues[Index(WorkKind::kSliceAhead)];
  if (!begun.empty()) {
    TakeSlices(begun, plan);
  } else if (starts.empty() && (ahead.empty() || !plan.step.empty())) {
    return;
  } else if (now < loaded_until_) {
    plan.resume = loaded_until_;
  } else if (!starts.empty()) {
    plan.tower.push_back(starts.front().want.id);
  } else {
    TakeSlices(ahead, plan);
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
    decoded = decoded || rows.kind == WorkKind::kDecode;
    awaited = awaited || Awaited(rows.kind);
  }
  if (total >= kFewestRows) row_time_ = Smoothed(row_time_, took, total);
  if (awaited) awaited_step_ = took;
  if (decoded && took > limits_.step_budget) loaded_until_ = now + limits_.speculation_rest;
}

}  // namespace parley::engine::schedule
