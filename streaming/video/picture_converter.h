// A decoded FFmpeg frame of any pixel format to an upright 8-bit RGB picture, by libswscale.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/media.h"

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

  // rotation_degrees: 0, 90, 180 or 270, clockwise. INVALID_ARGUMENT: a pixel format or rotation that is not
  // taken.
  absl::StatusOr<engine::ImagePtr> Convert(const AVFrame& frame, int rotation_degrees);

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
  std::vector<uint8_t> rows_;  // what libswscale writes: it needs padded rows
};

}  // namespace parley::streaming
