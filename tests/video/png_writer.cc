#include "tests/video/png_writer.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>

namespace parley::tests {
namespace {

void AppendRow(const PngOptions& options, const std::vector<uint16_t>& row, std::string* to) {
  if (row.empty()) return;
  *to += static_cast<char>(options.filter);
  unsigned bits = 0;
  int count = 0;
  for (const uint16_t sample : row) {
    for (int bit = options.depth - 1; bit >= 0; --bit) {
      bits = bits << 1 | (sample >> bit & 1u);
      if (++count % 8 == 0) *to += static_cast<char>(bits);
    }
  }
  if (count % 8 != 0) *to += static_cast<char>(bits << (8 - count % 8));
}

}  // namespace

std::string Big32(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

std::string PngChunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto checksum = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return Big32(static_cast<uint32_t>(data.size())) + body + Big32(static_cast<uint32_t>(checksum));
}

std::string WritePng(const PngOptions& options, const std::vector<uint16_t>& samples) {
  constexpr int kSamples[] = {1, 0, 3, 1, 2, 0, 4};
  const int per_pixel = kSamples[options.colour];
  struct Pass {
    int x, y, step_x, step_y;
  };
  std::vector<Pass> passes = {{0, 0, 1, 1}};
  if (options.interlaced) {
    passes = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
              {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  }
  std::string rows;
  for (const Pass& pass : passes) {
    for (int y = pass.y; y < options.height; y += pass.step_y) {
      std::vector<uint16_t> row;
      for (int x = pass.x; x < options.width; x += pass.step_x) {
        const auto from = samples.begin() + (size_t(y) * options.width + x) * per_pixel;
        row.insert(row.end(), from, from + per_pixel);
      }
      PngOptions of_row = options;
      if (options.filtered_row >= 0 && options.filtered_row != y) of_row.filter = 0;
      AppendRow(of_row, row, &rows);
    }
  }
  if (options.keep_bytes >= 0) rows.resize(options.keep_bytes);
  uLongf size = compressBound(rows.size());
  std::string data(size, '\0');
  if (compress(reinterpret_cast<Bytef*>(data.data()), &size, reinterpret_cast<const Bytef*>(rows.data()),
               rows.size()) != Z_OK) {
    std::fprintf(stderr, "cannot compress test media\n");
    std::exit(1);
  }
  data.resize(size);
  std::string png = "\x89PNG\r\n\x1a\n";
  png += PngChunk("IHDR", Big32(options.width) + Big32(options.height) + static_cast<char>(options.depth) +
                              static_cast<char>(options.colour) + std::string(2, '\0') +
                              static_cast<char>(options.interlaced));
  if (!options.exif.empty()) png += PngChunk("eXIf", options.exif);
  if (!options.palette.empty()) png += PngChunk("PLTE", options.palette);
  if (!options.transparency.empty()) png += PngChunk("tRNS", options.transparency);
  // In two parts, as encoders do with large pictures.
  png += PngChunk("IDAT", data.substr(0, data.size() / 2)) + PngChunk("IDAT", data.substr(data.size() / 2));
  return png + PngChunk("IEND", "");
}

}  // namespace parley::tests
