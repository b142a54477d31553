#include "engine/schedule/step_planner.h"

#include <algorithm>

namespace parley::engine::schedule {

struct StepPlanner::Waiting {
  uint64_t last_served;
  Want want;
};

StepPlan StepPlanner::Plan(absl::Span<const Want> wants) {
  constexpr int kKinds = 5;
  std::vector<Waiting> waiting[kKinds];
  for (const Want& want : wants) {
    // A new conversation stands behind all that wait: as if it had been served just now.
    const uint64_t last = last_served_.try_emplace(want.id, turn_).first->second;
    waiting[static_cast<int>(want.kind)].push_back({last, want});
  }
  for (auto& kind : waiting) {
    std::sort(kind.begin(), kind.end(), [](const Waiting& a, const Waiting& b) {
      return a.last_served != b.last_served ? a.last_served < b.last_served : a.want.id < b.want.id;
    });
  }
  const auto of = [&](WorkKind kind) -> const std::vector<Waiting>& {
    return waiting[static_cast<int>(kind)];
  };

  StepPlan plan;
  const auto& speech = of(WorkKind::kSpeechSlice);
  const auto& frames = of(WorkKind::kFrameSlice);
  const bool frames_turn = speech.empty() || speech_slices_ >= limits_.speech_slices_per_frame_slice;
  if (!frames.empty() && frames_turn) {
    plan.tower = frames.front().want.id;
    speech_slices_ = 0;
  } else if (!speech.empty()) {
    plan.tower = speech.front().want.id;
    speech_slices_ = frames.empty() ? 0 : speech_slices_ + 1;
  }
  if (plan.tower != 0) Serve(plan.tower);

  int left = std::max(1, limits_.max_rows);
  int decodes = 0;
  for (const Waiting& decode : of(WorkKind::kDecode)) {
    if (left == 0 || decodes == std::max(1, limits_.max_decodes)) break;
    plan.step.push_back({decode.want.id, 1, WorkKind::kDecode});
    --left;
    ++decodes;
  }
  if (decodes > 0) left = std::min(left, limits_.max_prefill_rows);

  const auto take = [&](WorkKind kind, int budget) {
    int used = 0;
    for (const Waiting& prefill : of(kind)) {
      const int rows = std::min(prefill.want.rows, budget - used);
      if (rows <= 0) break;
      plan.step.push_back({prefill.want.id, rows, kind});
      used += rows;
    }
    return used;
  };
  const bool both = !of(WorkKind::kAwaitedPrefill).empty() && !of(WorkKind::kFramePrefill).empty();
  const int kept_for_frames = both ? left / 8 : 0;
  left -= take(WorkKind::kAwaitedPrefill, left - kept_for_frames);
  take(WorkKind::kFramePrefill, left);

  for (const StepPlan::Rows& rows : plan.step) Serve(rows.id);
  return plan;
}

}  // namespace parley::engine::schedule
