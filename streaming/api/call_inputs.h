// What a client sends into a call, as its strand gets it. A new input is a struct here and a handler in
// streaming/call/call_core.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "streaming/api/call_config.h"

namespace parley::streaming {

namespace input {

// When an input takes effect.
enum class Order {
  kMedia,        // in the order of its kind, by the part of the call that takes it
  kAfterAudio,   // when all audio sent before it has been judged
  kAfterFrames,  // at once, but for the pictures sent before it: see CallVideo::AfterFrames
  kAtOnce,
};

// `captured`: on this server's clock (see CaptureClock); InfinitePast: not known.
struct Audio {
  static constexpr Order kOrder = Order::kMedia;
  std::string data;
  uint64_t first_sample_index = 0;
  absl::Time captured = absl::InfinitePast();  // its last sample
};
struct Frame {
  static constexpr Order kOrder = Order::kMedia;
  std::string data;
  uint64_t frame_id = 0;
  int rotation_degrees = 0;
  absl::Time captured = absl::InfinitePast();
};
struct Text {
  static constexpr Order kOrder = Order::kAfterFrames;
  std::string text;
};
struct ActivityStart {
  static constexpr Order kOrder = Order::kAfterAudio;
};
struct ActivityEnd {
  static constexpr Order kOrder = Order::kAfterAudio;
};
struct AudioStreamEnd {
  static constexpr Order kOrder = Order::kAfterAudio;
};
struct Commit {
  static constexpr Order kOrder = Order::kAfterAudio;
};
struct Clear {
  static constexpr Order kOrder = Order::kAfterAudio;
};
struct CreateResponse {
  static constexpr Order kOrder = Order::kAfterFrames;
};
struct CancelResponse {
  static constexpr Order kOrder = Order::kAtOnce;
  uint64_t response_id = 0;  // 0: the one that is being given
};
struct AckPlayback {
  static constexpr Order kOrder = Order::kAtOnce;
  uint64_t response_id = 0;
  int heard_tokens = 0;
};
// Takes turn, generation and video_policy from `config`; answered by ConfigChanged.
struct Update {
  static constexpr Order kOrder = Order::kAfterAudio;
  CallConfig config;
};
// What is owed is finished (speech under way is committed, its answer given), then comes CallEnded.
struct Close {
  static constexpr Order kOrder = Order::kAfterAudio;
};

}  // namespace input

using CallInput =
    std::variant<input::Audio, input::Frame, input::Text, input::ActivityStart, input::ActivityEnd,
                 input::AudioStreamEnd, input::Commit, input::Clear, input::CreateResponse,
                 input::CancelResponse, input::AckPlayback, input::Update, input::Close>;

}  // namespace parley::streaming
