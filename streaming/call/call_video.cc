#include "streaming/call/call_video.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {

absl::StatusOr<std::unique_ptr<CallVideo>> CallVideo::Create(VideoCodec codec, const VideoPolicy& policy,
                                                             const CallLimits& limits,
                                                             ConversationLink* conversation,
                                                             const Clock* clock, Host* host) {
  auto video = absl::WrapUnique(new CallVideo(codec, policy, limits, conversation, clock, host));
  auto input = VideoInput::Create(codec, limits.max_video_pixels);
  if (!input.ok()) return input.status();
  video->input_ = *std::move(input);
  return video;
}

CallVideo::CallVideo(VideoCodec codec, const VideoPolicy& policy, const CallLimits& limits,
                     ConversationLink* conversation, const Clock* clock, Host* host)
    : codec_(codec),
      limits_(limits),
      conversation_(conversation),
      clock_(clock),
      host_(host),
      policy_(policy),
      sampler_(policy) {}

bool CallVideo::Announce(EncodedFrame frame) {
  absl::MutexLock lock(&mutex_);
  if (undecoded_.size() < kMaxUndecoded) {
    undecoded_.push_back(std::move(frame));
  } else if (codec_ == VideoCodec::kJpeg || codec_ == VideoCodec::kPng || codec_ == VideoCodec::kWebp) {
    undecoded_.front().data.clear();
    overloaded_.push_back(std::move(undecoded_.front()));
    undecoded_.pop_front();
    undecoded_.push_back(std::move(frame));
  } else {
    frame.data.clear();
    overloaded_.push_back(std::move(frame));
    stream_broken_ = true;
  }
  return !std::exchange(task_posted_, true);
}

bool CallVideo::TakeAnnounced() {
  EncodedFrame frame;
  std::vector<EncodedFrame> overloaded;
  bool broken = false;
  {
    absl::MutexLock lock(&mutex_);
    overloaded.swap(overloaded_);
    frame = std::move(undecoded_.front());
    undecoded_.pop_front();
    // What was dropped came after every frame that waits: it matters once they are through.
    broken = undecoded_.empty() && std::exchange(stream_broken_, false);
  }
  for (const EncodedFrame& each : overloaded) Drop(each.id, each.captured, DropReason::kOverloaded);
  Decode(frame);
  if (broken) {
    // A new decoder waits for a key frame.
    if (auto input = VideoInput::Create(codec_, limits_.max_video_pixels); input.ok())
      input_ = *std::move(input);
  }
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    more = task_posted_ = !undecoded_.empty();
  }
  if (idle()) host_->OnFramesIdle();
  return more;
}

bool CallVideo::idle() const {
  if (in_flight_ > 0 || !waiting_.empty()) return false;
  absl::MutexLock lock(&mutex_);
  return undecoded_.empty();
}

void CallVideo::Decode(const EncodedFrame& frame) {
  if (frame.id <= last_id_) {
    host_->OnVideoError(CallCode::kInvalidSequence,
                        absl::StrCat("frame_id ", frame.id, " after ", last_id_, "; it must grow"),
                        frame.client_seq);
    return;
  }
  last_id_ = frame.id;
  if (frame.rotation_degrees % 90 != 0 || frame.rotation_degrees < 0 || frame.rotation_degrees > 270) {
    host_->OnVideoError(CallCode::kInvalidMessage,
                        absl::StrCat("rotation of ", frame.rotation_degrees, " degrees; 0, 90, 180 or 270"),
                        frame.client_seq);
    return;
  }
  const absl::Time now = clock_->Now();
  const bool due = sampler_.Due(now);
  if (!due && input_->independent_frames()) return Drop(frame.id, frame.captured, DropReason::kSampledOut);

  const auto image = input_->Decode(frame.data, frame.rotation_degrees, due);
  if (absl::IsUnavailable(image.status()))
    return Drop(frame.id, frame.captured, DropReason::kWaitingForKeyFrame);
  if (!image.ok())
    return Drop(frame.id, frame.captured, DropReason::kUndecodable, std::string(image.status().message()));
  if (!due || *image == nullptr) return Drop(frame.id, frame.captured, DropReason::kSampledOut);
  sampler_.Looked(now);
  if (!scene_.Changed(**image, policy_.scene_threshold))
    return Drop(frame.id, frame.captured, DropReason::kSceneUnchanged);

  if (const auto superseded = waiting_.Put({*image, frame.id, frame.captured}))
    Drop(superseded->id, superseded->captured, DropReason::kSuperseded);
  Pump();
  if (!waiting_.empty() && !host_->MayAppendFrames()) host_->OnFrameWaits();
}

void CallVideo::SetPolicy(const VideoPolicy& policy) {
  policy_ = policy;
  sampler_.SetPolicy(policy);
}

void CallVideo::Pump() {
  if (in_flight_ > 0 || waiting_.empty() || !host_->MayAppendFrames()) return;
  Append(*waiting_.Take());
}

void CallVideo::Append(Picture picture) {
  if (!turn_->mark.has_value()) turn_->mark = conversation_->Mark();
  turn_->frames.push_back({.id = picture.id});
  ++in_flight_;
  conversation_->AppendFrame(
      std::move(picture.image), clock_->Now() + kFrameLifetime,
      [this, id = picture.id, captured = picture.captured, turn = turn_](
          absl::StatusOr<engine::FrameResult> result) { OnAppended(id, captured, *turn, result); });
}

void CallVideo::OnAppended(uint64_t id, absl::Time captured, TurnFrames& turn,
                           const absl::StatusOr<engine::FrameResult>& result) {
  --in_flight_;
  const auto frame = std::find_if(turn.frames.begin(), turn.frames.end(),
                                  [id](const TurnFrames::Frame& each) { return each.id == id; });
  const bool cleared = frame == turn.frames.end();
  const absl::Status& status = result.status();
  if (cleared && (status.ok() || absl::IsCancelled(status))) {
    Drop(id, captured, DropReason::kCleared);
  } else if (absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status) ||
             absl::IsDeadlineExceeded(status)) {
    // Refused: nothing of it entered the conversation, which goes on.
    if (!cleared) turn.frames.erase(frame);
    scene_.Reset();
    Drop(id, captured, absl::IsInvalidArgument(status) ? DropReason::kUndecodable : DropReason::kOverloaded,
         std::string(status.message()));
  } else if (!status.ok()) {
    host_->OnFrameFailed(status);
    return;
  } else {
    frame->tokens = result->tokens;
    frame->prefilled = result->times.prefill_end;
    host_->OnInputStatus({.frame_id = id,
                          .encoded = true,
                          .suggested_fps = sampler_.suggested_fps(),
                          .description = result->description,
                          .tokens = result->tokens,
                          .age = AgeOf(captured),
                          .times = result->times});
  }
  Pump();
  host_->OnFramesIdle();
}

std::shared_ptr<TurnFrames> CallVideo::TakeTurn() {
  // One more than one frame in flight at worst: the turn must hold what the user shows now.
  if (auto waiting = waiting_.Take()) Append(*std::move(waiting));
  return std::exchange(turn_, std::make_shared<TurnFrames>());
}

void CallVideo::GiveBack(std::shared_ptr<TurnFrames> frames) { turn_ = std::move(frames); }

void CallVideo::Clear() {
  if (const auto waiting = waiting_.Take()) Drop(waiting->id, waiting->captured, DropReason::kCleared);
  if (turn_->mark.has_value()) conversation_->Rewind(*turn_->mark);
  turn_->frames.clear();  // those in flight see that they are gone; the mark stays
  turn_ = std::make_shared<TurnFrames>(TurnFrames{.mark = turn_->mark});
  scene_.Reset();
}

void CallVideo::Drop(uint64_t id, absl::Time captured, DropReason reason, std::string detail) {
  host_->OnInputStatus({.frame_id = id,
                        .reason = reason,
                        .suggested_fps = sampler_.suggested_fps(),
                        .detail = std::move(detail),
                        .age = AgeOf(captured)});
}

}  // namespace parley::streaming
