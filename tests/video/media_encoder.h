// Real encoded video for tests, fuzz seeds and measurements, made by FFmpeg's encoders.
#pragma once

#include <string>
#include <vector>

#include "engine/api/media.h"
#include "streaming/video/video_input.h"

namespace parley::tests {

struct StreamOptions {
  int width = 320;
  int height = 240;
  int frames = 12;
  int key_interval = 6;     // frames from one key frame to the next
  bool b_frames = false;    // H.264: pictures that refer to later ones
  bool bt709_full = false;  // BT.709, full range; else BT.601, limited (JPEG: full)
  std::string x264 = "";    // H.264: further parameters of x264, "slices=4:cabac=0"
  bool deep_444 = false;    // H.264: 4:4:4 of 10 bits
  std::string vpx = "";     // VP8, VP9: further options of FFmpeg's libvpx, "slices=4 profile=1"
  bool noisy = false;       // the film has grain
};

// Picture `frame` of an endless test film: red, green, blue and grey quarters (clockwise from the top left,
// so that a turn shows) with soft shading, and a white square that moves.
engine::Image TestPicture(int width, int height, int frame);

// One string a frame, as a client would send it. Stops the test binary when FFmpeg lacks the encoder.
std::vector<std::string> EncodeStream(streaming::VideoCodec codec, const StreamOptions& options);
std::string EncodeStill(streaming::VideoCodec codec, const engine::Image& image);
// `alpha`: of pixel i, row by row, 0 to 255. What lies under invisible pixels is kept.
std::string EncodeWebp(const engine::Image& image, int (*alpha)(int), bool lossless);

// What libavcodec with its own defaults makes of the frames, in the order it shows them. Not converted by
// Parley's code, but in the same way.
std::vector<engine::Image> DecodeWithFfmpeg(streaming::VideoCodec codec,
                                            const std::vector<std::string>& frames);

// Mean absolute difference over all channels; 255 when the sizes differ.
double Difference(const engine::Image& a, const engine::Image& b);

}  // namespace parley::tests
