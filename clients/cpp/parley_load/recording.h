// A media file read once and sent by many calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/media/source.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

// Immutable once loaded; shared by all calls.
struct Recording {
  std::string path;
  std::optional<v1::AudioFormat> audio_format;
  std::optional<v1::VideoFormat> video_format;
  std::vector<media::Item> items;  // in order of `due`
  absl::Duration length;           // when the last item is due
  absl::Duration missing;          // see media::Source::Missing
};

// INVALID_ARGUMENT when the file has no sound: without speech there is no turn to measure.
absl::StatusOr<Recording> LoadRecording(const std::string& path, const media::SourceOptions& options);

}  // namespace parley::client
