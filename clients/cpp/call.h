// One call to a Parley server: opens the stream, numbers and sends messages, hands over events, ends
// properly.
//
//   auto channel = MakeChannel({.server = "127.0.0.1:50051"});
//   auto call = Call::Open(*channel, config, [](const v1::ServerMessage& event) { ... });
//   call->SendAudio(packet, first_sample_index, capture_time_us);   // at the pace of capture
//   call->Close();
//   absl::Status outcome = call->Wait();
//
// Threads: the Send functions, Close, Cancel and Wait may be called from any thread but the handler's;
// messages go out in the order of the calls. The handler runs on one thread of the call's own, one event at a
// time, in the server's order. What it takes time for delays the reading: a handler that blocks for long
// makes the server end the call with SLOW_READER.
//
// Backpressure: nothing is queued here. A Send blocks while gRPC's flow control holds the stream back, so a
// sender that captures live media sees how far it is behind by its own clock. It returns UNAVAILABLE once the
// call has ended; Wait says why.
//
// PlaybackAck: a client that plays the answer aloud sends it as playback goes on (Send). One that shows text
// need not: without acknowledgements the server counts everything it sent as heard.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "parley/v1/parley.grpc.pb.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

class Call {
 public:
  using Handler = std::function<void(const v1::ServerMessage&)>;
  using EndHandler = std::function<void(const absl::Status&)>;

  // Starts the stream and sends SessionOpen; what is wrong with the server or the configuration comes as an
  // Error event and from Wait. `on_end` runs once, on the handler's thread, after the last event, with what
  // Wait returns.
  static std::unique_ptr<Call> Open(const std::shared_ptr<grpc::Channel>& channel,
                                    const v1::SessionConfig& config, Handler handler,
                                    EndHandler on_end = nullptr);

  // Cancels the call when it has not ended, and joins the handler's thread.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // One Opus packet or whole PCM16 samples; capture_time_us (of the last sample) is on any monotonic clock, 0
  // = not known.
  absl::Status SendAudio(std::string data, uint64_t first_sample_index, uint64_t capture_time_us);
  // One encoded picture of the codec that the configuration names. Returns its frame id; ids count from 1.
  absl::StatusOr<uint64_t> SendVideo(std::string data, uint32_t rotation_degrees, uint64_t capture_time_us);
  // The same for typed text and for any other message; both return the message's `seq`, which is set here.
  absl::StatusOr<uint64_t> SendText(std::string text);
  absl::StatusOr<uint64_t> Send(v1::ClientMessage message);

  // Says that nothing more comes: SessionClose, then half-close. The server still gives the answer it owes.
  absl::Status Close();
  // Breaks the call off; Wait returns CANCELLED.
  void Cancel();

  // Blocks until the call has ended and the handler has returned from its last event. OK only when the stream
  // ended with OK and no fatal Error came.
  absl::Status Wait();
  bool WaitFor(absl::Duration timeout);  // false: still going on

 private:
  Call(Handler handler, EndHandler on_end) : handler_(std::move(handler)), on_end_(std::move(on_end)) {}
  absl::Status SendLocked(v1::ClientMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(send_mutex_);
  void ReadEvents();

  const Handler handler_;
  const EndHandler on_end_;
  std::unique_ptr<v1::Parley::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream_;

  absl::Mutex send_mutex_;
  uint64_t seq_ ABSL_GUARDED_BY(send_mutex_) = 0;
  uint64_t frame_id_ ABSL_GUARDED_BY(send_mutex_) = 0;
  bool sending_ended_ ABSL_GUARDED_BY(send_mutex_) = false;

  absl::Notification ended_;
  absl::Status outcome_;  // written before ended_ is notified
  std::thread reader_;
};

}  // namespace parley::client
