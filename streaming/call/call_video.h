// What a call sees: encoded frames in, pictures prefilled into the conversation, and for every frame one
// InputStatus that says what became of it.
//
// Policy, in the order a frame meets it:
//   undecoded    at most kMaxUndecoded wait for the strand. Over that a still takes the place of the
//                oldest (OVERLOADED); of a stream the new one is dropped, and the stream waits for a key
//                frame.
//   sampling     frames above the rate looked at are dropped (SAMPLED_OUT); stills are then not even decoded.
//   scene        frames that show what the last one looked at showed are dropped (SCENE_UNCHANGED).
//   waiting      one frame is being encoded at a time and one waits; the newest wins (SUPERSEDED). While a
//                turn is read or answered, speculatively too (see responses.h), nothing is appended: the
//                frame waits for the turn after it, or for the speculation to be dropped.
//   too old      a frame whose encoding has not begun within kFrameLifetime is dropped (OVERLOADED).
//   refused      the conversation has no room for it (OVERLOADED); the call goes on without it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/api/conversation.h"
#include "streaming/call/call_config.h"
#include "streaming/call/call_events.h"
#include "streaming/call/conversation_link.h"
#include "streaming/video/frame_sampler.h"
#include "streaming/video/scene_detector.h"
#include "streaming/video/video_input.h"

namespace parley::streaming {

// The frames of one turn, in the order they entered the prompt.
struct TurnFrames {
  struct Frame {
    uint64_t id = 0;
    int tokens = 0;                                 // 0 until it is encoded
    absl::Time prefilled = absl::InfiniteFuture();  // when it was
  };
  std::vector<Frame> frames;
  std::optional<engine::MarkId> mark;  // before the first of them
};

// Used by the call's strand, but for Announce.
class CallVideo {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    virtual void OnInputStatus(InputStatus status) = 0;
    virtual void OnVideoError(CallCode code, std::string message, uint64_t client_seq) = 0;
    // The conversation is lost.
    virtual void OnFrameFailed(const absl::Status& status) = 0;
    // Whether the user's turn is open to frames now; see Pump.
    virtual bool MayAppendFrames() const = 0;
    // A frame has come that it does not let in now.
    virtual void OnFrameWaits() = 0;
    // No frame is under way any more.
    virtual void OnFramesIdle() = 0;
  };

  static constexpr size_t kMaxUndecoded = 16;
  static constexpr absl::Duration kFrameLifetime = absl::Seconds(3);

  // INVALID_ARGUMENT: a codec that cannot be decoded here.
  static absl::StatusOr<std::unique_ptr<CallVideo>> Create(VideoCodec codec, const VideoPolicy& policy,
                                                           const CallLimits& limits,
                                                           ConversationLink* conversation, const Clock* clock,
                                                           Host* host);

  struct EncodedFrame {
    std::string data;
    uint64_t id = 0;
    int rotation_degrees = 0;
    absl::Time captured = absl::InfinitePast();  // InfinitePast: not known
    uint64_t client_seq = 0;
  };
  // Any thread: leaves the frame for TakeAnnounced. True: post a task that calls it.
  bool Announce(EncodedFrame frame);
  // Decodes the frame that has waited longest. True: there is more, post another task.
  // REQUIRES: Announce or TakeAnnounced said true.
  bool TakeAnnounced();

  void SetPolicy(const VideoPolicy& policy);
  void SetSpeaking(bool speaking) { sampler_.SetSpeaking(speaking); }
  // Appends the frame that waits, when there is one, none is under way, and the host lets it.
  void Pump();
  // A turn goes to the model: the frame that waits enters it, and the turn's frames are handed over. Those
  // still being encoded are filled in later, before any operation given after this completes.
  std::shared_ptr<TurnFrames> TakeTurn();
  // The turn came to nothing: its frames belong to the next one.
  void GiveBack(std::shared_ptr<TurnFrames> frames);
  // Throws away what was received since the last turn: what waits or is being encoded is reported CLEARED.
  void Clear();
  // Nothing is owed an InputStatus.
  bool idle() const;

 private:
  struct Picture {
    engine::ImagePtr image;
    uint64_t id = 0;
    absl::Time captured;
  };

  CallVideo(VideoCodec codec, const VideoPolicy& policy, const CallLimits& limits,
            ConversationLink* conversation, const Clock* clock, Host* host);

  void Decode(const EncodedFrame& frame);
  void Append(Picture picture);
  void OnAppended(uint64_t id, absl::Time captured, TurnFrames& turn,
                  const absl::StatusOr<engine::FrameResult>& result);
  void Drop(uint64_t id, absl::Time captured, DropReason reason, std::string detail = "");
  absl::Duration AgeOf(absl::Time captured) const { return clock_->Now() - captured; }

  const VideoCodec codec_;
  const CallLimits limits_;
  ConversationLink* const conversation_;
  const Clock* const clock_;
  Host* const host_;

  VideoPolicy policy_;
  std::unique_ptr<VideoInput> input_;
  FrameSampler sampler_;
  SceneDetector scene_;
  uint64_t last_id_ = 0;
  LatestFrame<Picture> waiting_;
  int in_flight_ = 0;  // frame operations of the conversation
  std::shared_ptr<TurnFrames> turn_ = std::make_shared<TurnFrames>();

  mutable absl::Mutex mutex_;
  bool task_posted_ ABSL_GUARDED_BY(mutex_) = false;  // that will call TakeAnnounced
  std::deque<EncodedFrame> undecoded_ ABSL_GUARDED_BY(mutex_);
  std::vector<EncodedFrame> overloaded_ ABSL_GUARDED_BY(mutex_);  // dropped there, to be reported: no data
  bool stream_broken_ ABSL_GUARDED_BY(mutex_) = false;  // a frame that later ones refer to was dropped
};

}  // namespace parley::streaming
