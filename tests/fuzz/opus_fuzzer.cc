// Audio input: the first byte picks the format (most often Opus); then chunks, each with two bytes of length,
// one that picks how its index relates to the last one's, and data.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "streaming/audio/audio_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using parley::streaming::AudioCodec;
  using parley::streaming::AudioFormat;
  using parley::streaming::AudioInput;
  if (size < 2) return 0;
  AudioFormat format{AudioCodec::kOpus, 48'000, 1 + data[0] % 2};
  if (data[0] >= 192) format = {AudioCodec::kPcm16, 8'000 + data[1] * 157, 1 + data[0] % 2};
  constexpr int kMaxGapMs = 1'000;
  auto input = AudioInput::Create(format, kMaxGapMs);
  if (!input.ok()) return 0;

  uint64_t index = 0;
  int64_t next = -1;
  bool paused = false;
  size_t at = 2;
  for (int chunks = 0; chunks < 64 && at + 3 <= size; ++chunks) {
    const size_t length = std::min<size_t>(data[at] | (data[at + 1] & 7) << 8, size - at - 3);
    const uint8_t option = data[at + 2];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + at + 3, length);
    at += 3 + length;
    switch (option % 8) {
      case 0:  // a gap
        index += uint64_t{option} * 120;
        break;
      case 1:  // an overlap, or below zero and so near 2^64
        index -= option;
        break;
      case 2:  // anything
        if (length >= 8) std::memcpy(&index, bytes.data(), 8);
        break;
      case 3:  // an odd step
        index += option;
        break;
      default:
        break;
    }
    const auto check = [&next](const parley::streaming::AudioSamples& output, bool may_jump) {
      if (output.first_sample < 0 || (next >= 0 && output.first_sample < next)) std::abort();
      if (next >= 0 && !may_jump && output.first_sample != next) std::abort();
      for (const float sample : output.samples) {
        if (!(std::fabs(sample) <= 1.0f)) std::abort();
      }
      next = output.first_sample + static_cast<int64_t>(output.samples.size());
    };
    if (option >= 240 && next >= 0) {
      check((*input)->Flush(), false);
      paused = true;
    }
    const auto output = (*input)->Push(bytes, index);
    if (!output.ok()) continue;
    check(*output, paused);
    paused = false;
    index = (*input)->ToWireIndex(next);
  }
  return 0;
}
