#include "engine/text/largest.h"

#include <algorithm>
#include <cstring>

namespace parley::engine::text {
namespace {

// Compared side by side; std::max_element goes one by one.
typedef float Lanes __attribute__((vector_size(16)));
constexpr size_t kLanes = 4;
constexpr size_t kRegisters = 8;  // that do not wait for each other
constexpr size_t kBlock = 1024;

float Largest(const float* scores, size_t count) {
  Lanes largest[kRegisters];
  for (Lanes& lanes : largest) lanes = Lanes{} + scores[0];
  size_t i = 0;
  for (; i + kLanes * kRegisters <= count; i += kLanes * kRegisters) {
    for (size_t r = 0; r < kRegisters; ++r) {
      Lanes here;
      std::memcpy(&here, scores + i + r * kLanes, sizeof(here));
      largest[r] = here > largest[r] ? here : largest[r];
    }
  }
  float rest = scores[0];
  for (; i < count; ++i) rest = std::max(rest, scores[i]);
  for (const Lanes& lanes : largest) {
    for (size_t lane = 0; lane < kLanes; ++lane) rest = std::max(rest, lanes[lane]);
  }
  return rest;
}

}  // namespace

size_t IndexOfLargest(absl::Span<const float> scores) {
  size_t block = 0;
  float largest = scores.front();
  for (size_t begin = 0; begin < scores.size(); begin += kBlock) {
    const float here = Largest(scores.data() + begin, std::min(kBlock, scores.size() - begin));
    if (here > largest) {
      largest = here;
      block = begin;
    }
  }
  const auto found = std::find(scores.begin() + static_cast<ptrdiff_t>(block), scores.end(), largest);
  return found == scores.end() ? block : found - scores.begin();
}

}  // namespace parley::engine::text
