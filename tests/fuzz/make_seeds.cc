// make_seeds FOLDER: writes small valid inputs of each fuzzer of this folder to FOLDER/<fuzzer>/, in the
// framing that the fuzzer's head comment describes.
#include <opus/opus.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "tests/video/media_encoder.h"
#include "tests/video/png_writer.h"

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
  for (const bool lossless : {false, true}) {
    const auto ramp = [](int pixel) { return pixel % 256; };
    Write(folder / (lossless ? "2_alpha_lossless" : "2_alpha"),
          '\2' + parley::tests::EncodeWebp(parley::tests::TestPicture(24, 17, 0), ramp, lossless));
  }
  for (const int colour : {0, 2, 3, 4, 6}) {
    for (const bool interlaced : {false, true}) {
      parley::tests::PngOptions options{.width = 9, .height = 7, .depth = 8, .colour = colour};
      options.interlaced = interlaced;
      options.exif = std::string("II\x2a\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26);
      if (colour == 3) options.palette = std::string(768, '\x55');
      if (colour < 4) options.transparency = std::string(colour == 2 ? 6 : colour == 0 ? 2 : 100, '\0');
      std::vector<uint16_t> samples(size_t{9} * 7 * 4, 3);
      Write(folder / ("1_form_" + std::to_string(colour) + (interlaced ? "_interlaced" : "")),
            '\1' + parley::tests::WritePng(options, samples));
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

// H.264 of the kinds that other encoders write. "apart": parameter sets in a message of their own.
void H264(const fs::path& folder) {
  const std::string parameters[] = {"slices=3:cabac=0",      "slices=2:cabac=1",
                                    "slice-max-size=60",     "intra-refresh=1:keyint=4:slices=2",
                                    "interlaced=1:slices=2", "ref=4:bframes=2:slices=2"};
  for (size_t i = 0; i < std::size(parameters); ++i) {
    const auto frames = parley::tests::EncodeStream(VideoCodec::kH264, {.width = 48,
                                                                        .height = 64,
                                                                        .frames = 8,
                                                                        .key_interval = 4,
                                                                        .b_frames = i == 5,
                                                                        .x264 = parameters[i]});
    std::string text(1, '\0');
    std::string apart(1, '\0');
    for (const std::string& frame : frames) {
      text += Prefixed(frame, 0);
      // The first slice begins behind the sets.
      size_t slice = 0;
      while ((slice = frame.find(std::string("\0\0\1", 3), slice)) != std::string::npos &&
             (frame[slice + 3] & 0x1f) != 1 && (frame[slice + 3] & 0x1f) != 5) {
        slice += 3;
      }
      if (slice == std::string::npos) continue;
      if (slice > 8) apart += Prefixed(frame.substr(0, slice), 0);
      apart += Prefixed(frame.substr(slice), 0);
    }
    Write(folder / ("0_x264_" + std::to_string(i)), text);
    Write(folder / ("0_apart_" + std::to_string(i)), apart);
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
  H264(folder / "h264_fuzzer");
  Audio(folder / "opus_fuzzer");
  return 0;
}
