#include "streaming/call/call_video.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {

absl::StatusOr<std::unique_ptr<CallVideo>> CallVideo::Create(
    VideoCodec codec, const VideoPolicy& policy, const CallLimits& limits, PictureDecoders* decoders,
    ConversationLink* conversation, std::shared_ptr<CallLoop> loop, const Clock* clock, Host* host) {
  auto video = absl::WrapUnique(
      new CallVideo(codec, limits.max_video_pixels, policy, conversation, std::move(loop), clock, host));
  auto decoder = decoders->Open(codec, limits.max_video_pixels);
  if (!decoder.ok()) return decoder.status();
  video->decoder_ = *std::move(decoder);
  return video;
}

CallVideo::CallVideo(VideoCodec codec, int64_t max_pixels, const VideoPolicy& policy,
                     ConversationLink* conversation, std::shared_ptr<CallLoop> loop, const Clock* clock,
                     Host* host)
    : codec_(codec),
      conversation_(conversation),
      loop_(std::move(loop)),
      clock_(clock),
      host_(host),
      policy_(policy),
      sampler_(policy),
      parameter_sets_(max_pixels) {}

bool CallVideo::Announce(input::Frame frame, uint64_t client_seq) {
  absl::MutexLock lock(&mutex_);
  ++announced_;
  const auto parameter_sets = parameter_sets_.message();
  if (codec_ == VideoCodec::kH264) parameter_sets_.Take(frame.data);
  if (undecoded_.size() < kMaxUndecoded) {
    undecoded_.push_back({announced_, std::move(frame), client_seq, parameter_sets});
  } else if (HasIndependentFrames(codec_)) {
    undecoded_.front().frame.data.clear();
    overloaded_.push_back(std::move(undecoded_.front().frame));
    undecoded_.pop_front();
    undecoded_.push_back({announced_, std::move(frame), client_seq});
  } else {
    frame.data.clear();
    overloaded_.push_back(std::move(frame));
    stream_broken_ = true;
  }
  return !std::exchange(task_posted_, true);
}

uint64_t CallVideo::announced() const {
  absl::MutexLock lock(&mutex_);
  return announced_;
}

void CallVideo::TakeAnnounced() {
  std::vector<input::Frame> overloaded;
  {
    absl::MutexLock lock(&mutex_);
    task_posted_ = false;
    overloaded.swap(overloaded_);
  }
  for (const input::Frame& each : overloaded) Drop(each.frame_id, each.captured, DropReason::kOverloaded);
  AfterStep(TakeOne());
}

// False: there is none, or one is being decoded.
bool CallVideo::TakeOne() {
  if (decoding_.has_value()) return false;
  Numbered frame;
  bool after_loss = false;
  {
    absl::MutexLock lock(&mutex_);
    if (undecoded_.empty()) return false;
    frame = std::move(undecoded_.front());
    undecoded_.pop_front();
    after_loss = after_loss_;
    // What was dropped came after every frame that waits: it matters once they are through.
    after_loss_ = undecoded_.empty() && std::exchange(stream_broken_, false);
  }
  Decode(std::move(frame), after_loss);
  return true;
}

// At the end of each task that moves frames. One frame a task: audio comes in between.
void CallVideo::AfterStep(bool more) {
  RunHeld();
  if (more && !decoding_.has_value()) {
    absl::MutexLock lock(&mutex_);
    if (!undecoded_.empty() && !std::exchange(task_posted_, true)) loop_->Post([this] { TakeAnnounced(); });
  }
  if (idle()) host_->OnFramesIdle();
}

bool CallVideo::idle() const {
  if (in_flight_ > 0 || !waiting_.empty() || decoding_.has_value() || !held_.empty()) return false;
  absl::MutexLock lock(&mutex_);
  return undecoded_.empty() && overloaded_.empty();
}

void CallVideo::Decode(Numbered numbered, bool after_loss) {
  input::Frame& frame = numbered.frame;
  if (frame.frame_id <= last_id_) {
    host_->OnVideoError(CallCode::kInvalidSequence,
                        absl::StrCat("frame_id ", frame.frame_id, " after ", last_id_, "; it must grow"),
                        numbered.client_seq);
    after_loss_ |= after_loss;  // it does not reach the decoder: the next one is told
    return;
  }
  last_id_ = frame.frame_id;
  if (frame.rotation_degrees % 90 != 0 || frame.rotation_degrees < 0 || frame.rotation_degrees > 270) {
    host_->OnVideoError(CallCode::kInvalidMessage,
                        absl::StrCat("rotation of ", frame.rotation_degrees, " degrees; 0, 90, 180 or 270"),
                        numbered.client_seq);
    after_loss_ |= after_loss;  // it does not reach the decoder: the next one is told
    return;
  }
  const bool cleared = numbered.number <= cleared_through_;
  numbered.started = clock_->Now();
  numbered.due = !cleared && sampler_.Due(numbered.started);
  if (!numbered.due && HasIndependentFrames(codec_)) {
    return Drop(frame.frame_id, frame.captured, cleared ? DropReason::kCleared : DropReason::kSampledOut);
  }
  PictureDecoder::Frame encoded = {.data = std::move(frame.data),
                                   .rotation_degrees = frame.rotation_degrees,
                                   .want = numbered.due,
                                   .after_loss = after_loss,
                                   .parameter_sets = std::move(numbered.parameter_sets)};
  decoding_ = std::move(numbered);
  decoder_->Decode(std::move(encoded), [this, loop = loop_](absl::StatusOr<engine::ImagePtr> image) {
    loop->Post([this, image = std::move(image)]() mutable { OnDecoded(std::move(image)); });
  });
}

void CallVideo::OnDecoded(absl::StatusOr<engine::ImagePtr> image) {
  Look(*std::exchange(decoding_, std::nullopt), image);
  AfterStep(/*more=*/true);
}

// What became of a frame in the decoder.
void CallVideo::Look(const Numbered& numbered, const absl::StatusOr<engine::ImagePtr>& image) {
  const input::Frame& frame = numbered.frame;
  const absl::Status& status = image.status();
  if (absl::IsUnavailable(status))
    return Drop(frame.frame_id, frame.captured, DropReason::kWaitingForKeyFrame);
  if (absl::IsDeadlineExceeded(status) || absl::IsAborted(status))
    return Drop(frame.frame_id, frame.captured, DropReason::kOverloaded, std::string(status.message()));
  if (!status.ok())
    return Drop(frame.frame_id, frame.captured, DropReason::kUndecodable, std::string(status.message()));
  if (numbered.number <= cleared_through_) return Drop(frame.frame_id, frame.captured, DropReason::kCleared);
  if (!numbered.due || *image == nullptr)
    return Drop(frame.frame_id, frame.captured, DropReason::kSampledOut);
  sampler_.Looked(numbered.started);
  if (!scene_.Changed(**image, policy_.scene_threshold))
    return Drop(frame.frame_id, frame.captured, DropReason::kSceneUnchanged);

  if (const auto superseded = waiting_.Put({*image, frame.frame_id, frame.captured}))
    Drop(superseded->id, superseded->captured, DropReason::kSuperseded);
  Pump();
  if (!waiting_.empty() && !host_->MayAppendFrames()) host_->OnFrameWaits();
}

bool CallVideo::Passed(uint64_t frames) const {
  if (decoding_.has_value() && decoding_->due && decoding_->number <= frames) return false;
  if (!sampler_.Due(clock_->Now())) return true;  // none of the others would be looked at
  absl::MutexLock lock(&mutex_);
  return undecoded_.empty() || undecoded_.front().number > frames;
}

void CallVideo::AfterFrames(uint64_t frames, Task task) {
  if (held_.empty() && !running_held_ && Passed(frames)) return task();
  held_.push_back({frames, clock_->Now() + kMaxHold, std::move(task)});
  RunHeld();
}

void CallVideo::RunHeld() {
  // What runs may order more.
  if (held_.empty() || std::exchange(running_held_, true)) return;
  while (!held_.empty() && (Passed(held_.front().frames) || clock_->Now() >= held_.front().until)) {
    Task task = std::move(held_.front().task);
    held_.pop_front();
    task();
  }
  running_held_ = false;
  if (idle()) host_->OnFramesIdle();
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

void CallVideo::Clear(uint64_t frames) {
  cleared_through_ = frames;
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
