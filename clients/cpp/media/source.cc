#include "clients/cpp/media/source.h"

extern "C" {
#include <libavdevice/avdevice.h>
}

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/read_file.h"

namespace parley::client::media {
namespace {

constexpr size_t kMostStillBytes = 64 << 20;  // what a server may be set to take
// Files interleave sound and picture within about this much; what is read ahead is put in order.
constexpr absl::Duration kLookAhead = absl::Seconds(1);

absl::StatusOr<const AVInputFormat*> DeviceFormat(const char* name) {
  static const bool registered = [] {
    avdevice_register_all();
    return true;
  }();
  (void)registered;
  const AVInputFormat* format = av_find_input_format(name);
  if (format == nullptr) return absl::UnimplementedError(absl::StrCat("this FFmpeg is built without ", name));
  return format;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Source>> Source::OpenFile(const std::string& path,
                                                         const SourceOptions& options) {
  auto source = Open(path, nullptr, nullptr, options, /*live=*/false);
  if (!source.ok())
    return absl::Status(source.status().code(), absl::StrCat(path, ": ", source.status().message()));
  return source;
}

absl::StatusOr<std::unique_ptr<Source>> Source::OpenMicrophone(const std::string& device,
                                                               const SourceOptions& options) {
  absl::string_view name = device;
  const bool pulse = absl::ConsumePrefix(&name, "pulse:");
  if (!pulse) absl::ConsumePrefix(&name, "alsa:");
  auto format = DeviceFormat(pulse ? "pulse" : "alsa");
  if (!format.ok()) return format.status();
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "channels", "1", 0);
  av_dict_set(&settings, "sample_rate", "48000", 0);
  auto source = Open(std::string(name), *format, &settings, options, /*live=*/true);
  av_dict_free(&settings);
  if (!source.ok()) {
    return absl::Status(source.status().code(),
                        absl::StrCat("no microphone '", device, "': ", source.status().message(),
                                     " (arecord -L lists the devices; --mic DEVICE chooses one)"));
  }
  return source;
}

absl::StatusOr<std::unique_ptr<Source>> Source::OpenCamera(const std::string& device,
                                                           const SourceOptions& options) {
  auto format = DeviceFormat("v4l2");
  if (!format.ok()) return format.status();
  auto source = Open(device, *format, nullptr, options, /*live=*/true);
  if (!source.ok()) {
    return absl::Status(source.status().code(),
                        absl::StrCat("no camera '", device, "': ", source.status().message(),
                                     " (ls /dev/video* lists the devices; --camera DEVICE chooses one)"));
  }
  return source;
}

absl::StatusOr<std::unique_ptr<Source>> Source::Open(const std::string& url, const AVInputFormat* format,
                                                     AVDictionary** settings, const SourceOptions& options,
                                                     bool live) {
  av_log_set_level(AV_LOG_FATAL);  // what goes wrong is returned
  AVFormatContext* context = nullptr;
  int error = avformat_open_input(&context, url.c_str(), format, settings);
  if (error < 0) {
    return error == AVERROR(ENOENT) ? absl::NotFoundError(AvError(error))
                                    : absl::InvalidArgumentError(AvError(error));
  }
  std::unique_ptr<Source> source(new Source);
  source->format_.reset(context);
  source->live_ = live;
  source->packet_.reset(av_packet_alloc());
  error = avformat_find_stream_info(context, nullptr);
  if (error < 0) return absl::InvalidArgumentError(AvError(error));
  if (context->start_time != AV_NOPTS_VALUE) source->start_ = absl::Microseconds(context->start_time);

  const auto add = [out = &source->items_](Item item) { out->emplace(item.due, std::move(item)); };
  source->audio_stream_ = av_find_best_stream(context, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (source->audio_stream_ >= 0) {
    auto track =
        AudioTrack::Open(*context->streams[source->audio_stream_], source->start_, options.audio_codec, add);
    if (!track.ok()) return track.status();
    source->audio_ = *std::move(track);
    v1::AudioFormat& audio = source->audio_format_.emplace();
    audio.set_codec(options.audio_codec == AudioCodec::kOpus ? v1::AudioFormat::OPUS
                                                             : v1::AudioFormat::PCM16);
    audio.set_sample_rate_hz(kSampleRateHz);
    audio.set_channels(1);
  }
  source->video_stream_ = av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  // A cover picture is not a camera.
  if (source->video_stream_ >= 0 &&
      (context->streams[source->video_stream_]->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
    source->video_stream_ = -1;
  }
  if (source->video_stream_ >= 0) {
    auto track = VideoTrack::Open(*context->streams[source->video_stream_], source->start_,
                                  options.stills_per_second, add);
    if (!track.ok()) return track.status();
    source->video_ = *std::move(track);
    source->video_format_.emplace().set_codec(source->video_->codec());
  }
  if (source->audio_ == nullptr && source->video_ == nullptr) {
    return absl::InvalidArgumentError("neither sound nor picture in it");
  }
  return source;
}

absl::Status Source::ReadPacket() {
  const int error = av_read_frame(format_.get(), packet_.get());
  if (error == AVERROR(EAGAIN)) return absl::OkStatus();
  if (error < 0) {
    at_end_ = true;
    absl::Status status;
    if (audio_ != nullptr) status.Update(audio_->Push(nullptr));
    if (video_ != nullptr) status.Update(video_->Push(nullptr));
    if (live_ && error != AVERROR_EOF) status.Update(absl::UnavailableError(AvError(error)));
    return status;
  }
  const int stream = packet_->stream_index;
  absl::Status status;
  if (stream == audio_stream_) status = audio_->Push(packet_.get());
  if (stream == video_stream_) status = video_->Push(packet_.get());
  if (packet_->dts != AV_NOPTS_VALUE) {
    const AVRational time_base = format_->streams[stream]->time_base;
    read_until_ = absl::Microseconds(av_rescale_q(packet_->dts, time_base, {1, 1'000'000})) - start_;
  }
  av_packet_unref(packet_.get());
  return status;
}

absl::StatusOr<std::optional<Item>> Source::Next() {
  const auto ready = [this] {
    if (items_.empty()) return false;
    return live_ || items_.begin()->first + kLookAhead <= read_until_;
  };
  while (!at_end_ && !ready()) {
    if (absl::Status status = ReadPacket(); !status.ok()) return status;
  }
  if (items_.empty()) return std::nullopt;
  return std::move(items_.extract(items_.begin()).mapped());
}

absl::Duration Source::Missing() const {
  const AVFormatContext& file = *format_;
  if (live_ || !at_end_ || file.duration <= 0 ||
      file.duration_estimation_method == AVFMT_DURATION_FROM_BITRATE) {
    return absl::ZeroDuration();
  }
  const absl::Duration missing = absl::Microseconds(file.duration) - read_until_;
  return missing > absl::Seconds(1) ? missing : absl::ZeroDuration();
}

absl::StatusOr<Still> ReadStill(const std::string& path) {
  absl::StatusOr<std::string> content = ReadRegularFile(path, kMostStillBytes);
  if (!content.ok()) {
    return absl::Status(content.status().code(), absl::StrCat("cannot read ", content.status().message()));
  }
  Still still;
  still.data = *std::move(content);
  if (absl::StartsWith(still.data, "\xff\xd8\xff")) {
    still.codec = v1::VideoFormat::JPEG;
  } else if (absl::StartsWith(still.data, "\x89PNG\r\n\x1a\n")) {
    still.codec = v1::VideoFormat::PNG;
  } else if (absl::StartsWith(still.data, "RIFF") && still.data.compare(8, 4, "WEBP") == 0) {
    still.codec = v1::VideoFormat::WEBP;
  } else {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a JPEG, PNG or WebP picture"));
  }
  return still;
}

}  // namespace parley::client::media
