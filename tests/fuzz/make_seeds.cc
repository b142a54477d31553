// make_seeds FOLDER: writes small valid inputs of each fuzzer of this folder to FOLDER/<fuzzer>/, in the
// framing that the fuzzer's head comment describes.
#include <opus/opus.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "tests/video/media_encoder.h"

namespace {

namespace fs = std::filesystem;
using parley::streaming::VideoCodec;

std::string Prefixed(const std::string& data, unsigned char option) {
  std::string text;
  text += static_cast<char>(data.size());
  text += static_cast<char>(data.size() >> 8);
  text += static_cast<char>(option);
  return text + data;
}

void Write(const fs::path& path, const std::string& data) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << data;
}

void Images(const fs::path& folder) {
  const VideoCodec codecs[] = {VideoCodec::kJpeg, VideoCodec::kPng, VideoCodec::kWebp};
  for (int i = 0; i < 3; ++i) {
    for (const int size : {3, 17, 48}) {
      const std::string data =
          parley::tests::EncodeStill(codecs[i], parley::tests::TestPicture(size, size + 1, 0));
      Write(folder / (std::to_string(i) + "_" + std::to_string(size)), static_cast<char>(i) + data);
    }
  }
  for (const auto& entry : fs::directory_iterator(PARLEY_SOURCE_DIR "/tests/video/photos")) {
    const std::string kind = entry.path().extension().string();
    const int codec = kind == ".jpg" ? 0 : kind == ".png" ? 1 : kind == ".webp" ? 2 : -1;
    if (codec < 0) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(file), {}};
    Write(folder / entry.path().filename(), static_cast<char>(codec) + data);
  }
}

void Streams(const fs::path& folder) {
  const VideoCodec codecs[] = {VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9};
  for (int i = 0; i < 3; ++i) {
    for (const bool b_frames : {false, true}) {
      std::string text(1, static_cast<char>(i));
      for (const auto& frame : parley::tests::EncodeStream(
               codecs[i],
               {.width = 48, .height = 34, .frames = 5, .key_interval = 4, .b_frames = b_frames})) {
        text += Prefixed(frame, 0);
      }
      Write(folder / (std::to_string(i) + (b_frames ? "_b" : "")), text);
    }
  }
}

void Audio(const fs::path& folder) {
  int error = 0;
  OpusEncoder* encoder = opus_encoder_create(48'000, 1, OPUS_APPLICATION_VOIP, &error);
  if (error != OPUS_OK) return;
  opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(1));
  opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(20));
  uint64_t at = 0;
  for (const int frame : {120, 480, 960, 2'880}) {
    std::string text(2, '\0');
    for (int packet = 0; packet < 6; ++packet) {
      std::string samples(static_cast<size_t>(frame) * 2, '\0');
      for (int i = 0; i < frame; ++i, ++at) {
        const int value = static_cast<int>(9'000 * std::sin(static_cast<double>(at) * 0.02));
        samples[2 * i] = static_cast<char>(value);
        samples[2 * i + 1] = static_cast<char>(value >> 8);
      }
      unsigned char bytes[1'500];
      const int size =
          opus_encode(encoder, reinterpret_cast<const opus_int16*>(samples.data()), frame, bytes, 1'500);
      if (size <= 0) continue;
      const unsigned char options[] = {7, 7, 32, 2 * 8 + 1, 7, 248 + 7};
      text += Prefixed(std::string(reinterpret_cast<char*>(bytes), size), options[packet]);
    }
    Write(folder / ("opus_" + std::to_string(frame)), text);
  }
  opus_encoder_destroy(encoder);
  for (const unsigned char channels : {192, 193}) {
    std::string text = {static_cast<char>(channels), '\x30'};
    for (int i = 0; i < 5; ++i) text += Prefixed(std::string(240, static_cast<char>(i * 40)), i == 3 ? 8 : 7);
    Write(folder / ("pcm_" + std::to_string(channels)), text);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_seeds FOLDER\n";
    return 1;
  }
  const fs::path folder = argv[1];
  Images(folder / "image_fuzzer");
  Streams(folder / "h264_fuzzer");
  Audio(folder / "opus_fuzzer");
  return 0;
}
