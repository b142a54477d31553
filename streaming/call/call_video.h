// What a call sees: encoded frames in, pictures prefilled into the conversation, and for every frame one
// InputStatus that says what became of it.
//
// Policy, in the order a frame meets it:
//   undecoded    one frame is with the decoders at a time and at most kMaxUndecoded wait for that. Over that
//   a
//                still takes the place of the oldest (OVERLOADED); of a stream the new one is dropped, and
//                the stream waits for a key frame.
//   sampling     frames above the rate looked at are dropped (SAMPLED_OUT); stills are then not even decoded.
//   decoding     the decoders have bounds of their own, of time, memory and share (decode_queue.h): what is
//                over one is dropped (OVERLOADED), and a stream waits for a key frame. The strand never waits
//                for a picture, so audio does not either.
//   scene        frames that show what the last one looked at showed are dropped (SCENE_UNCHANGED).
//   waiting      one frame is being encoded at a time and one waits; the newest wins (SUPERSEDED). While a
//                turn is read or answered, speculatively too (see responses.h), nothing is appended: the
//                frame waits for the turn after it, or for the speculation to be dropped.
//   too old      a frame whose encoding has not begun within kFrameLifetime is dropped (OVERLOADED).
//   refused      the conversation has no room for it (OVERLOADED); the call goes on without it.
// A turn that a message hands over (text, ResponseCreate, ActivityEnd, commit, stream end) is about the
// pictures sent before it: it waits while one that is to be looked at is decoded, at most kMaxHold, and what
// is ordered after it waits behind it (AfterFrames). A turn that silence ends does not wait for pictures.
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
#include "base/executor.h"
#include "engine/api/conversation.h"
#include "streaming/api/call_config.h"
#include "streaming/api/call_events.h"
#include "streaming/api/call_inputs.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/conversation_link.h"
#include "streaming/decoders/picture_decoders.h"
#include "streaming/video/frame_sampler.h"
#include "streaming/video/h264_parameter_sets.h"
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

// Used by the call's strand, but for Announce and announced.
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
  static constexpr absl::Duration kMaxHold = absl::Seconds(1);

  // INVALID_ARGUMENT, UNIMPLEMENTED: a codec that cannot be decoded here.
  static absl::StatusOr<std::unique_ptr<CallVideo>> Create(
      VideoCodec codec, const VideoPolicy& policy, const CallLimits& limits, PictureDecoders* decoders,
      ConversationLink* conversation, std::shared_ptr<CallLoop> loop, const Clock* clock, Host* host);

  // Any thread: leaves the frame for TakeAnnounced. True: post a task that calls it.
  bool Announce(input::Frame frame, uint64_t client_seq);
  // Any thread: how many frames were announced so far.
  uint64_t announced() const;
  // Reports what was dropped, and has the frame decoded that has waited longest, if none is.
  // REQUIRES: Announce said true.
  void TakeAnnounced();
  // Runs when what is to be looked at of the first `frames` announced has been decoded, or kMaxHold has
  // passed, and what came before it has run; at once when that is so.
  void AfterFrames(uint64_t frames, Task task);
  // Lets go of what has been held for too long.
  void Tick() { RunHeld(); }

  void SetPolicy(const VideoPolicy& policy);
  void SetSpeaking(bool speaking) { sampler_.SetSpeaking(speaking); }
  // Appends the frame that waits, when there is one, none is under way, and the host lets it.
  void Pump();
  // A turn goes to the model: the frame that waits enters it, and the turn's frames are handed over. Those
  // still being encoded are filled in later, before any operation given after this completes.
  std::shared_ptr<TurnFrames> TakeTurn();
  // The turn came to nothing: its frames belong to the next one.
  void GiveBack(std::shared_ptr<TurnFrames> frames);
  // Throws away what was received since the last turn, of the first `frames` announced: what waits, is being
  // decoded or encoded is reported CLEARED.
  void Clear(uint64_t frames);
  // Nothing is owed an InputStatus.
  bool idle() const;

 private:
  struct Picture {
    engine::ImagePtr image;
    uint64_t id = 0;
    absl::Time captured;
  };

  // A frame on its way through the decoder.
  struct Numbered {
    uint64_t number = 0;  // counts what was announced, from 1
    input::Frame frame;
    uint64_t client_seq = 0;
    std::shared_ptr<const std::string> parameter_sets;  // of all announced before it
    bool due = true;                                    // it is to be looked at
    absl::Time started;                                 // when that was decided
  };
  // What runs after frames; in order.
  struct Held {
    uint64_t frames = 0;
    absl::Time until;
    Task task;
  };

  CallVideo(VideoCodec codec, int64_t max_pixels, const VideoPolicy& policy, ConversationLink* conversation,
            std::shared_ptr<CallLoop> loop, const Clock* clock, Host* host);

  bool TakeOne();
  void Decode(Numbered frame, bool after_loss);
  void OnDecoded(absl::StatusOr<engine::ImagePtr> image);
  void Look(const Numbered& frame, const absl::StatusOr<engine::ImagePtr>& image);
  bool Passed(uint64_t frames) const;
  void RunHeld();
  void AfterStep(bool more);
  void Append(Picture picture);
  void OnAppended(uint64_t id, absl::Time captured, TurnFrames& turn,
                  const absl::StatusOr<engine::FrameResult>& result);
  void Drop(uint64_t id, absl::Time captured, DropReason reason, std::string detail = "");
  absl::Duration AgeOf(absl::Time captured) const { return clock_->Now() - captured; }

  const VideoCodec codec_;
  ConversationLink* const conversation_;
  const std::shared_ptr<CallLoop> loop_;
  const Clock* const clock_;
  Host* const host_;

  VideoPolicy policy_;
  std::unique_ptr<PictureDecoder> decoder_;
  FrameSampler sampler_;
  SceneDetector scene_;
  uint64_t last_id_ = 0;
  std::optional<Numbered> decoding_;  // its data is with the decoder
  bool after_loss_ = false;           // of the next frame that is decoded
  uint64_t cleared_through_ = 0;      // frames announced up to this one were cleared
  std::deque<Held> held_;             // bounded by the message backlog, whose tickets most of it keeps
  bool running_held_ = false;
  LatestFrame<Picture> waiting_;
  int in_flight_ = 0;  // frame operations of the conversation
  std::shared_ptr<TurnFrames> turn_ = std::make_shared<TurnFrames>();

  mutable absl::Mutex mutex_;
  bool task_posted_ ABSL_GUARDED_BY(mutex_) = false;  // that will call TakeAnnounced
  uint64_t announced_ ABSL_GUARDED_BY(mutex_) = 0;
  KeptParameterSets parameter_sets_ ABSL_GUARDED_BY(mutex_);  // H.264: of all frames announced
  std::deque<Numbered> undecoded_ ABSL_GUARDED_BY(mutex_);
  std::vector<input::Frame> overloaded_ ABSL_GUARDED_BY(mutex_);  // dropped there, to be reported: no data
  bool stream_broken_ ABSL_GUARDED_BY(mutex_) = false;  // a frame that later ones refer to was dropped
};

}  // namespace parley::streaming
