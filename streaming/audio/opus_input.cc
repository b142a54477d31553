#include "streaming/audio/opus_input.h"

#include <opus/opus.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace parley::streaming {
namespace {

constexpr int kStepSamples = engine::kSampleRateHz / 400;          // 2.5 ms
constexpr int kMaxPacketSamples = engine::kSampleRateHz / 25 * 3;  // 120 ms
constexpr int kMaxFrames = 48;
// Packets up to this size hold no sound: encoders make them in silence (opus_encode in opus.h: such a packet
// "does not need to be transmitted (DTX)").
constexpr size_t kDtxPacketBytes = 2;

const unsigned char* Bytes(std::string_view packet) {
  return reinterpret_cast<const unsigned char*>(packet.data());
}

int64_t ToEngineIndex(uint64_t index) {
  return static_cast<int64_t>(ConvertSampleIndex(index, OpusInput::kWireRateHz, engine::kSampleRateHz));
}

// Samples at the wire rate. The whole packet structure is checked, so that little can fail once the decoder
// runs.
absl::StatusOr<uint64_t> PacketSamples(std::string_view packet) {
  if (packet.empty()) return absl::InvalidArgumentError("an audio chunk without a byte");
  unsigned char toc;
  const unsigned char* frames[kMaxFrames];
  opus_int16 sizes[kMaxFrames];
  const auto length = static_cast<opus_int32>(std::min<size_t>(packet.size(), INT32_MAX));
  int count = opus_packet_parse(Bytes(packet), length, &toc, frames, sizes, nullptr);
  if (count > 0) count = opus_packet_get_nb_samples(Bytes(packet), length, OpusInput::kWireRateHz);
  if (count <= 0)
    return absl::InvalidArgumentError(absl::StrCat("not an Opus packet: ", opus_strerror(count)));
  return static_cast<uint64_t>(count);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AudioInput>> OpusInput::Create(const AudioFormat& format,
                                                              uint64_t max_gap_samples) {
  int error = OPUS_OK;
  // One channel: libopus averages a stereo packet itself, before the costly half of its work.
  OpusDecoder* decoder = opus_decoder_create(engine::kSampleRateHz, 1, &error);
  if (error != OPUS_OK) return absl::InternalError(absl::StrCat("libopus: ", opus_strerror(error)));
  return std::unique_ptr<AudioInput>(new OpusInput(decoder, format, max_gap_samples));
}

OpusInput::~OpusInput() { opus_decoder_destroy(decoder_); }

absl::StatusOr<AudioSamples> OpusInput::Push(std::string_view data, uint64_t first_sample_index) {
  const auto count = PacketSamples(data);
  if (!count.ok()) return count.status();
  const auto placement = clock_.Place(first_sample_index, *count);
  if (!placement.ok()) return placement.status();
  dtx_ |= data.size() <= kDtxPacketBytes;

  AudioSamples output;
  output.first_sample = next_output_;
  output.concealed_samples = static_cast<int64_t>(placement->gap);
  output.repeated_samples = static_cast<int64_t>(placement->repeated);
  // A packet that comes too late, or twice, must not reach the decoder: its state has gone past it.
  if (placement->repeated == *count) return output;

  const int64_t begin = ToEngineIndex(first_sample_index);
  if (placement->starts) {
    opus_decoder_ctl(decoder_, OPUS_RESET_STATE);
    output.first_sample = begin;
  }
  const int64_t missing = begin - output.first_sample;  // below 0: that many were heard already
  if (missing > 0) {
    absl::Status status = Conceal(data, static_cast<size_t>(missing), &output.samples);
    if (!status.ok()) return status;
  }
  if (absl::Status status = Decode(data, &output.samples); !status.ok()) return status;
  if (missing < 0) output.samples.erase(output.samples.begin(), output.samples.begin() - missing);

  // Damaged packets can give any float at all, NaN included.
  for (float& sample : output.samples) sample = sample >= -1.0f ? std::min(sample, 1.0f) : -1.0f;
  next_output_ = output.first_sample + static_cast<int64_t>(output.samples.size());
  clock_.Advance(first_sample_index, *count);
  return output;
}

absl::Status OpusInput::Conceal(std::string_view next_packet, size_t count, std::vector<float>* output) {
  output->resize(output->size() + count % kStepSamples, 0.0f);
  count -= count % kStepSamples;
  if (count == 0) return absl::OkStatus();
  const size_t before = output->size();
  output->resize(before + count);
  // With the FEC flag libopus conceals all but the last lost packet itself, and that one too where there is
  // no FEC.
  const int made =
      opus_decode_float(decoder_, Bytes(next_packet), static_cast<opus_int32>(next_packet.size()),
                        output->data() + before, static_cast<int>(count), 1);
  if (made < 0) return absl::InvalidArgumentError(absl::StrCat("damaged Opus packet: ", opus_strerror(made)));
  return absl::OkStatus();
}

absl::Status OpusInput::Decode(std::string_view packet, std::vector<float>* output) {
  const size_t before = output->size();
  output->resize(before + kMaxPacketSamples);
  const int made = opus_decode_float(decoder_, Bytes(packet), static_cast<opus_int32>(packet.size()),
                                     output->data() + before, kMaxPacketSamples, 0);
  if (made < 0) return absl::InvalidArgumentError(absl::StrCat("damaged Opus packet: ", opus_strerror(made)));
  output->resize(before + static_cast<size_t>(made));
  return absl::OkStatus();
}

AudioSamples OpusInput::Flush() {
  clock_.Pause();  // the decoder holds nothing back
  AudioSamples output;
  output.first_sample = next_output_;
  return output;
}

uint64_t OpusInput::ToWireIndex(int64_t sample) const {
  return ConvertSampleIndex(static_cast<uint64_t>(std::max<int64_t>(0, sample)), engine::kSampleRateHz,
                            kWireRateHz);
}

}  // namespace parley::streaming
