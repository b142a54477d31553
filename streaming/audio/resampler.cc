#include "streaming/audio/resampler.h"

#include "absl/strings/str_cat.h"
#include "engine/api/media.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
}

namespace parley::streaming {

absl::StatusOr<std::unique_ptr<Resampler>> Resampler::Create(int rate_hz) {
  if (rate_hz == engine::kSampleRateHz) return std::unique_ptr<Resampler>(new Resampler(nullptr));
  AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
  SwrContext* swr = nullptr;
  int error = swr_alloc_set_opts2(&swr, &mono, AV_SAMPLE_FMT_FLT, engine::kSampleRateHz, &mono,
                                  AV_SAMPLE_FMT_FLT, rate_hz, 0, nullptr);
  if (error >= 0) error = swr_init(swr);
  if (error < 0) {
    swr_free(&swr);
    return absl::InternalError(absl::StrCat("libswresample takes no ", rate_hz, " Hz: error ", error));
  }
  return std::unique_ptr<Resampler>(new Resampler(swr));
}

Resampler::~Resampler() { swr_free(&swr_); }

absl::Status Resampler::Push(const float* samples, size_t count, std::vector<float>* output) {
  if (swr_ == nullptr) {
    output->insert(output->end(), samples, samples + count);
    return absl::OkStatus();
  }
  return Convert(samples, count, output);
}

absl::Status Resampler::Flush(std::vector<float>* output) {
  if (swr_ == nullptr) return absl::OkStatus();
  if (absl::Status status = Convert(nullptr, 0, output); !status.ok()) return status;
  // A flushed context only drains; initialising it again keeps its filter bank.
  const int error = swr_init(swr_);
  return error < 0 ? absl::InternalError(absl::StrCat("libswresample: error ", error)) : absl::OkStatus();
}

absl::Status Resampler::Convert(const float* samples, size_t count, std::vector<float>* output) {
  const int room = swr_get_out_samples(swr_, static_cast<int>(count));
  if (room < 0) return absl::InternalError(absl::StrCat("libswresample: error ", room));
  const size_t before = output->size();
  output->resize(before + static_cast<size_t>(room));
  uint8_t* out = reinterpret_cast<uint8_t*>(output->data() + before);
  const uint8_t* in = reinterpret_cast<const uint8_t*>(samples);
  const int made = swr_convert(swr_, &out, room, samples == nullptr ? nullptr : &in, static_cast<int>(count));
  output->resize(before + static_cast<size_t>(made < 0 ? 0 : made));
  return made < 0 ? absl::InternalError(absl::StrCat("libswresample: error ", made)) : absl::OkStatus();
}

}  // namespace parley::streaming
