// Parameter sets of H.264 (ITU-T H.264, sections 7.3.2.1 and 7.3.2.2) that no encoder writes.
#pragma once

#include <cstdint>
#include <string>

#include "tests/video/bit_writer.h"

namespace parley::tests {

struct SequenceSet {
  uint32_t id = 0;
  uint32_t profile = 66;
  uint32_t chroma = 1;
  uint32_t depth = 8;
  uint32_t references = 1;
  int width = 320;
  int height = 240;
  bool frames_only = true;
  uint32_t crop = 0;  // from each side, in units of two pixels
};

inline std::string Sps(const SequenceSet& set) {
  BitWriter bits;
  bits.Bits(set.profile, 8).Bits(0, 8).Bits(51, 8).Golomb(set.id);
  if (set.profile != 66) {
    bits.Golomb(set.chroma);
    if (set.chroma == 3) bits.Bits(0, 1);
    bits.Golomb(set.depth - 8).Golomb(set.depth - 8).Bits(0, 2);
  }
  bits.Golomb(0).Golomb(2).Golomb(set.references).Bits(0, 1);
  bits.Golomb(set.width / 16 - 1).Golomb(set.height / 16 / (set.frames_only ? 1 : 2) - 1);
  bits.Bits(set.frames_only, 1);
  if (!set.frames_only) bits.Bits(0, 1);
  bits.Bits(1, 1).Bits(set.crop > 0, 1);
  for (int side = 0; side < 4 && set.crop > 0; ++side) bits.Golomb(set.crop);
  return "\x67" + bits.Bits(0, 1).Bits(1, 1).Bytes();
}

inline std::string Pps(uint32_t id = 0, uint32_t sequence_id = 0) {
  BitWriter bits;
  bits.Golomb(id).Golomb(sequence_id).Bits(0, 2).Golomb(0).Golomb(0).Golomb(0).Bits(0, 3);
  return "\x68" + bits.Golomb(0).Golomb(0).Golomb(0).Bits(0, 3).Bits(1, 1).Bytes();
}

}  // namespace parley::tests
