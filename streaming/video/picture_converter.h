// A decoded FFmpeg frame of any pixel format to an upright 8-bit RGB picture, by libswscale.
//
// What is transparent is laid over grey, whatever colour lies under it: that colour is what nobody saw. Grey
// since what is black or white stays visible on it, and since vision models centre their input there.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "streaming/video/picture_target.h"

struct AVFrame;
struct SwsContext;

namespace parley::streaming {

// Keeps its tables from one frame to the next of the same kind. Not thread-safe: used by one strand.
class PictureConverter {
 public:
  PictureConverter() = default;
  ~PictureConverter();
  PictureConverter(const PictureConverter&) = delete;
  PictureConverter& operator=(const PictureConverter&) = delete;

  static constexpr uint8_t kBackground = 128;  // red, green and blue

  // orientation: 1 to 8, see exif.h. INVALID_ARGUMENT: a pixel format or orientation that is not taken;
  // nothing is written then.
  absl::Status Convert(const AVFrame& frame, int orientation, PictureTarget& target);

 private:
  struct Kind {
    int width = 0;
    int height = 0;
    int format = -1;
    int matrix = 0;  // of YUV to RGB, SWS_CS_*
    bool full_range = false;
    friend bool operator==(const Kind&, const Kind&) = default;
  };
  absl::Status Prepare(const AVFrame& frame);

  Kind kind_;
  SwsContext* scaler_ = nullptr;
  bool alpha_ = false;         // of kind_: libswscale then writes RGBA, else RGB
  std::vector<uint8_t> rows_;  // what libswscale writes: it needs padded rows
};

}  // namespace parley::streaming
