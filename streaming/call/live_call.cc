#include "streaming/call/live_call.h"

#include <memory>
#include <utility>
#include <variant>

#include "streaming/call/call_core.h"
#include "streaming/call/call_loop.h"
#include "streaming/call/message_backlog.h"

namespace parley::streaming {
namespace {

// The call's handle: what any thread asks of it becomes a task of its loop.
class LiveCallImpl final : public LiveCall {
 public:
  LiveCallImpl(std::shared_ptr<CallLoop> loop, std::shared_ptr<CallCore> core, const CallLimits& limits)
      : loop_(std::move(loop)), core_(std::move(core)), limits_(limits) {}
  ~LiveCallImpl() override { Abort(); }

  void Push(CallInput input, uint64_t client_seq) override {
    std::visit([&](auto& what) { Push(what, client_seq); }, input);
  }
  void Abort() override { core_->Stop(); }
  void Tick() override {
    Post([core = core_.get(), behind = backlogged()] { core->Tick(behind); });
  }

  int audio_backlog_ms() const override {
    return core_->audio() != nullptr ? core_->audio()->backlog_ms() : 0;
  }
  bool backlogged() const override {
    return audio_backlog_ms() > limits_.max_audio_backlog_ms || backlog_->full();
  }
  void NotifyWhenDrained(absl::AnyInvocable<void()> notify) override {
    // First the messages, then the audio; the owner reads nothing more of either meanwhile.
    backlog_->NotifyWhenDrained([loop = loop_, core = core_.get(), notify = std::move(notify)]() mutable {
      loop->Post([core, notify = std::move(notify)]() mutable {
        if (core->audio() != nullptr) {
          core->audio()->NotifyWhenDrained(std::move(notify));
        } else {
          notify();
        }
      });
    });
  }

 private:
  static constexpr uint64_t kNoFrames = 0;  // it keeps its place, and waits for no picture

  void Push(input::Audio& audio, uint64_t client_seq) {
    if (core_->audio() == nullptr) return Refuse("the call has no audio", client_seq);
    core_->audio()->Announce(audio.data.size());
    Post([core = core_.get(), audio = std::move(audio), client_seq]() mutable {
      core->audio()->Push(std::move(audio), client_seq);
    });
  }
  void Push(input::Frame& frame, uint64_t client_seq) {
    if (core_->video() == nullptr) return Refuse("the call has no video", client_seq);
    if (core_->video()->Announce(std::move(frame), client_seq))
      Post([core = core_.get()] { core->video()->TakeAnnounced(); });
  }
  // Messages of text and control. A client can send them as fast as it likes, so they are counted until they
  // have run.
  template <typename Input>
  void Push(Input& what, uint64_t client_seq) {
    const InputPlace place = {client_seq, Frames()};
    PostMessage(Input::kOrder, Input::kOrder == input::Order::kAfterFrames ? place.frames : kNoFrames,
                [core = core_.get(), what = std::move(what), place]() mutable { core->Handle(what, place); });
  }

  // How many frames were sent before now.
  uint64_t Frames() const { return core_->video() != nullptr ? core_->video()->announced() : kNoFrames; }

  // The loop keeps the core alive while a task runs.
  void Post(Task task) { loop_->Post(std::move(task)); }
  // `frames`: those that it is about, see CallVideo::AfterFrames.
  void PostMessage(input::Order order, uint64_t frames, Task task) {
    Post([core = core_.get(), order, frames,
          task = [task = std::move(task), ticket = backlog_->Take()]() mutable { task(); }]() mutable {
      if (order == input::Order::kAfterAudio) {
        core->InOrder(std::move(task));
      } else {
        core->AfterFrames(frames, std::move(task));
      }
    });
  }
  void Refuse(std::string message, uint64_t client_seq) {
    PostMessage(input::Order::kAtOnce, kNoFrames,
                [core = core_.get(), message = std::move(message), client_seq]() mutable {
                  core->Refuse(CallCode::kInvalidMessage, std::move(message), client_seq);
                });
  }

  const std::shared_ptr<CallLoop> loop_;
  const std::shared_ptr<CallCore> core_;
  const CallLimits limits_;
  const std::shared_ptr<MessageBacklog> backlog_ = std::make_shared<MessageBacklog>();
};

}  // namespace

absl::StatusOr<std::unique_ptr<LiveCall>> LiveCall::Start(CallConfig config, CallLimits limits,
                                                          Dependencies dependencies, CallSink* sink) {
  if (config.audio.has_value() && !dependencies.engine->hears()) {
    return absl::InvalidArgumentError("audio: this bundle does not hear");
  }
  if (config.video.has_value() && !dependencies.engine->sees()) {
    return absl::InvalidArgumentError("video: this bundle does not see");
  }
  if (config.audio.has_value() && config.turn.mode == TurnMode::kVad && dependencies.detector == nullptr) {
    return absl::InvalidArgumentError("turn.mode VAD: this bundle has no speech detector");
  }
  auto loop = std::make_shared<CallLoop>(dependencies.media_pool);
  auto core = std::make_shared<CallCore>(loop, config, dependencies, sink);
  // The core lives while the loop runs a task.
  auto conversation = dependencies.engine->StartConversation(
      {.instructions = std::move(config.instructions),
       .context = config.context_policy,
       .on_compaction = [loop, core = core.get()](const engine::Compaction& compaction) {
         loop->Post([core, compaction] { core->OnCompaction(compaction); });
       }});
  if (!conversation.ok()) return conversation.status();
  core->OpenConversation(*std::move(conversation));
  if (absl::Status status = core->OpenMedia(limits, dependencies); !status.ok()) return status;
  loop->SetOwner(core);
  return std::make_unique<LiveCallImpl>(std::move(loop), std::move(core), limits);
}

}  // namespace parley::streaming
