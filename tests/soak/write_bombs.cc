// Writes pictures that are made to hurt whoever decodes them, for tests/soak: files NAME.CODEC in a folder,
// each the messages of one call, a length of four bytes (big-endian) before each.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/video/hostile_media.h"
#include "tests/video/media_encoder.h"
#include "tests/video/png_writer.h"

namespace parley::tests {
namespace {

using streaming::VideoCodec;

constexpr size_t kMessageBytes = 4'000'000;  // the server takes 4 MiB

bool Write(const std::string& path, const std::vector<std::string>& messages) {
  std::ofstream file(path, std::ios::binary);
  for (const std::string& message : messages) file << Big32(static_cast<uint32_t>(message.size())) << message;
  return static_cast<bool>(file.flush());
}

// As many pixels as the server takes, hard to compress.
engine::Image LargePicture() {
  constexpr int kSide = 4'096;
  engine::Image image{kSide, kSide, std::vector<uint8_t>(size_t{3} * kSide * kSide)};
  std::mt19937 random(1);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<uint8_t>(i / 3 % kSide / 16 + random() % 8);
  }
  return image;
}

// One colour, so that 16 megapixels fit into a message.
std::string LargePng() {
  constexpr int kSide = 4'096;
  return WritePng({.width = kSide, .height = kSide, .colour = 0},
                  std::vector<uint16_t>(size_t{kSide} * kSide, 7));
}

// Chunks without end before the picture.
std::string PngOfChunks() {
  const std::string png = WritePng({}, {1, 2, 3});
  const std::string text = PngChunk("tEXt", "a");
  std::string chunks;
  while (chunks.size() < kMessageBytes) chunks += text;
  return png.substr(0, 33) + chunks + png.substr(33);
}

// A quarter of each frame is lost, so that every frame refers to what is not there.
std::vector<std::string> DamagedStream() {
  auto frames =
      EncodeStream(VideoCodec::kH264, {.width = 640, .height = 480, .frames = 40, .key_interval = 10});
  std::mt19937 random(2);
  for (std::string& frame : frames) {
    const size_t from = random() % frame.size();
    frame.erase(from, frame.size() / 4);
    frame[random() % frame.size()] ^= static_cast<char>(1 << random() % 8);
  }
  return frames;
}

bool WriteAll(const std::string& folder) {
  const engine::Image large = LargePicture();
  return Write(folder + "/16_megapixels.jpeg",
               std::vector(8, EncodeStill(VideoCodec::kJpeg, large).substr(0, kMessageBytes))) &&
         Write(folder + "/scans.jpeg", std::vector(8, JpegOfScans())) &&
         Write(folder + "/16_megapixels.png", std::vector(8, LargePng())) &&
         Write(folder + "/chunks.png", {PngOfChunks()}) &&
         Write(folder + "/units.h264", {H264OfUnits(kMessageBytes)}) &&
         Write(folder + "/16_references_of_10_bits.h264",
               EncodeStream(VideoCodec::kH264, {.width = 1'024,
                                                .height = 1'024,
                                                .frames = 20,
                                                .key_interval = 100,
                                                .x264 = "ref=16:bframes=0",
                                                .deep_444 = true})) &&
         Write(folder + "/damaged.h264", DamagedStream()) &&
         Write(folder + "/4k.h264",
               EncodeStream(VideoCodec::kH264, {.width = 3'840, .height = 2'160, .frames = 20})) &&
         Write(folder + "/4k.vp9",
               EncodeStream(VideoCodec::kVp9, {.width = 3'840, .height = 2'160, .frames = 4}));
}

}  // namespace
}  // namespace parley::tests

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  if (parley::tests::WriteAll(argv[1])) return 0;
  std::fprintf(stderr, "%s: cannot write to it\n", argv[1]);
  return 1;
}
