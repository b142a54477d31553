#include "clients/cpp/parley_load/recording.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::client {

absl::StatusOr<Recording> LoadRecording(const std::string& path, const media::SourceOptions& options) {
  auto source = media::Source::OpenFile(path, options);
  if (!source.ok()) return source.status();
  Recording recording;
  recording.path = path;
  recording.audio_format = (*source)->audio_format();
  recording.video_format = (*source)->video_format();
  if (!recording.audio_format.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no sound: there is no turn to measure"));
  }
  while (true) {
    auto item = (*source)->Next();
    if (!item.ok()) return item.status();
    if (!item->has_value()) {
      recording.missing = (*source)->Missing();
      return recording;
    }
    recording.length = std::max(recording.length, (*item)->due);
    recording.items.push_back(**std::move(item));
  }
}

}  // namespace parley::client
