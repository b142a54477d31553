#include "streaming/audio/pcm_input.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace parley::streaming {
namespace {

float Sample(const uint8_t* bytes) {
  return static_cast<float>(static_cast<int16_t>(bytes[0] | (bytes[1] << 8))) / 32768.0f;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AudioInput>> PcmInput::Create(const AudioFormat& format,
                                                             uint64_t max_gap_samples) {
  auto resampler = Resampler::Create(format.sample_rate_hz);
  if (!resampler.ok()) return resampler.status();
  return std::unique_ptr<AudioInput>(new PcmInput(format, max_gap_samples, *std::move(resampler)));
}

absl::StatusOr<AudioSamples> PcmInput::Push(std::string_view data, uint64_t first_sample_index) {
  if (data.empty()) return absl::InvalidArgumentError("an audio chunk without a byte");
  const size_t frame_bytes = 2 * static_cast<size_t>(format_.channels);
  if (data.size() % frame_bytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat("an audio chunk of ", data.size(), " bytes: PCM16 with ",
                                                   format_.channels, " channel(s) comes in ", frame_bytes,
                                                   "-byte samples"));
  }
  const size_t count = data.size() / frame_bytes;
  const auto placement = clock_.Place(first_sample_index, count);
  if (!placement.ok()) return placement.status();

  AudioSamples output;
  if (placement->starts) {
    next_output_ = static_cast<int64_t>(
        ConvertSampleIndex(first_sample_index, format_.sample_rate_hz, engine::kSampleRateHz));
  }
  output.first_sample = next_output_;
  output.concealed_samples = static_cast<int64_t>(placement->gap);
  output.repeated_samples = static_cast<int64_t>(placement->repeated);

  mono_.assign(placement->gap, 0.0f);
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
  for (size_t i = placement->repeated; i < count; ++i) {
    const uint8_t* frame = bytes + i * frame_bytes;
    mono_.push_back(format_.channels == 1 ? Sample(frame) : 0.5f * (Sample(frame) + Sample(frame + 2)));
  }
  if (absl::Status status = resampler_->Push(mono_.data(), mono_.size(), &output.samples); !status.ok()) {
    return status;
  }
  for (float& sample : output.samples) sample = std::clamp(sample, -1.0f, 1.0f);  // the filter overshoots
  next_output_ += static_cast<int64_t>(output.samples.size());
  clock_.Advance(first_sample_index, count);
  return output;
}

AudioSamples PcmInput::Flush() {
  AudioSamples output;
  output.first_sample = next_output_;
  const auto end =
      static_cast<int64_t>(ConvertSampleIndex(clock_.next(), format_.sample_rate_hz, engine::kSampleRateHz));
  // An error of the resampler costs its last millisecond, which silence then stands for.
  (void)resampler_->Flush(&output.samples);
  for (float& sample : output.samples) sample = std::clamp(sample, -1.0f, 1.0f);
  // To the sample, so that a signal that goes on stays on the clock.
  output.samples.resize(static_cast<size_t>(std::max<int64_t>(0, end - next_output_)), 0.0f);
  next_output_ += static_cast<int64_t>(output.samples.size());
  clock_.Pause();
  return output;
}

uint64_t PcmInput::ToWireIndex(int64_t sample) const {
  return ConvertSampleIndex(static_cast<uint64_t>(std::max<int64_t>(0, sample)), engine::kSampleRateHz,
                            format_.sample_rate_hz);
}

}  // namespace parley::streaming
