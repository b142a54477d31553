// PNG files of every form, made from samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace parley::tests {

struct PngOptions {
  int width = 1;
  int height = 1;
  int depth = 8;
  int colour = 2;  // 0: grey, 2: RGB, 3: palette, 4: grey and alpha, 6: RGBA
  bool interlaced = false;
  std::string palette;       // PLTE
  std::string transparency;  // tRNS
  std::string exif;          // eXIf
  int filter = 0;            // what rows name as theirs; their samples are written without
  int filtered_row = -1;     // the only one that names it; -1: all
  int64_t keep_bytes = -1;   // of what is compressed; the file is whole all the same
};

std::string Big32(uint32_t value);
// With the right checksum.
std::string PngChunk(const std::string& type, const std::string& data);
// `samples`: row by row, one value a sample.
std::string WritePng(const PngOptions& options, const std::vector<uint16_t>& samples);

}  // namespace parley::tests
