// Where a call's media comes from: a file of any kind that FFmpeg reads, a microphone, a camera.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/media/audio_track.h"
#include "clients/cpp/media/ffmpeg.h"
#include "clients/cpp/media/item.h"
#include "clients/cpp/media/video_track.h"
#include "parley/v1/parley.pb.h"

namespace parley::client::media {

struct SourceOptions {
  AudioCodec audio_codec = AudioCodec::kOpus;
  double stills_per_second = 2;
};

// One thread. Items come in the order of `due`; a file's come as fast as they are asked for (the caller keeps
// the pace), a device's when they are captured.
class Source {
 public:
  static absl::StatusOr<std::unique_ptr<Source>> OpenFile(const std::string& path,
                                                          const SourceOptions& options);
  // "default", an ALSA name ("hw:1,0"), or "pulse:NAME" / "alsa:NAME".
  static absl::StatusOr<std::unique_ptr<Source>> OpenMicrophone(const std::string& device,
                                                                const SourceOptions& options);
  // A V4L2 device: "/dev/video0".
  static absl::StatusOr<std::unique_ptr<Source>> OpenCamera(const std::string& device,
                                                            const SourceOptions& options);

  // What the source sends; unset: no sound, no picture.
  const std::optional<v1::AudioFormat>& audio_format() const { return audio_format_; }
  const std::optional<v1::VideoFormat>& video_format() const { return video_format_; }

  // The next item; nullopt at the end.
  absl::StatusOr<std::optional<Item>> Next();

  // At a file's end: how much of the length that it declares was not in it, for FFmpeg reads a file that was
  // cut like one that is over. Zero when it was whole, within a second, or declares no length.
  absl::Duration Missing() const;

 private:
  Source() = default;
  static absl::StatusOr<std::unique_ptr<Source>> Open(const std::string& url, const AVInputFormat* format,
                                                      AVDictionary** settings, const SourceOptions& options,
                                                      bool live);
  absl::Status ReadPacket();

  FormatPtr format_;
  PacketPtr packet_;
  bool live_ = false;
  bool at_end_ = false;
  int audio_stream_ = -1, video_stream_ = -1;
  absl::Duration start_;
  absl::Duration read_until_;  // media time that has been read
  std::unique_ptr<AudioTrack> audio_;
  std::unique_ptr<VideoTrack> video_;
  std::optional<v1::AudioFormat> audio_format_;
  std::optional<v1::VideoFormat> video_format_;
  std::multimap<absl::Duration, Item>
      items_;  // by `due`, then as they were made; bounded by Next's look-ahead
};

// A picture file as it is: JPEG, PNG or WebP.
struct Still {
  v1::VideoFormat::Codec codec = v1::VideoFormat::JPEG;
  std::string data;
};
absl::StatusOr<Still> ReadStill(const std::string& path);

}  // namespace parley::client::media
