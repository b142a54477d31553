// Where a model computes, and where memory lies.
#pragma once

namespace parley::engine {

struct Device {
  enum class Kind { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;  // of the GPU
  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace parley::engine
