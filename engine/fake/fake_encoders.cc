#include "engine/fake/fake_encoders.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley::engine {
namespace {

std::string DescribeColour(const Image& image) {
  struct Named {
    const char* name;
    std::array<int, 3> rgb;
  };
  static constexpr Named kColours[] = {
      {"a black", {0, 0, 0}},       {"a white", {255, 255, 255}}, {"a grey", {128, 128, 128}},
      {"a red", {255, 0, 0}},       {"a green", {0, 255, 0}},     {"a blue", {0, 0, 255}},
      {"a yellow", {255, 255, 0}},  {"a cyan", {0, 255, 255}},    {"a magenta", {255, 0, 255}},
      {"an orange", {255, 128, 0}},
  };
  std::array<int64_t, 3> sum{};
  for (size_t i = 0; i < image.pixels.size(); ++i) sum[i % 3] += image.pixels[i];
  const auto count = static_cast<int64_t>(image.pixels.size() / 3);
  const auto distance = [&](const Named& colour) {
    int64_t total = 0;
    for (int c = 0; c < 3; ++c) total += std::abs(sum[c] / count - colour.rgb[c]);
    return total;
  };
  const auto nearest =
      std::min_element(std::begin(kColours), std::end(kColours),
                       [&](const Named& a, const Named& b) { return distance(a) < distance(b); });
  return absl::StrCat(nearest->name, " picture");
}

struct FakeDraft final : SpeechDraft {
  int seconds = 0;
};

struct Utterance final : Encoding {
  bool batchable() const override { return false; }
  std::shared_ptr<const SpeechDraft> draft() const override {
    auto draft = std::make_shared<FakeDraft>();
    draft->seconds = seconds_done;
    return draft;
  }
  Encoded Take() override {
    return {.part = transcript.text, .heard = true, .transcript = std::move(transcript)};
  }

  int seconds_done = 0;  // by the draft, and since
  int passes_left = 0;
  Transcript transcript;
};

struct Picture final : Encoding {
  bool batchable() const override { return true; }
  Encoded Take() override { return {.part = DescribeColour(*image)}; }

  ImagePtr image;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Encoding>> FakeSpeechEncoder::Start(SpeechInput input) {
  auto utterance = std::make_unique<Utterance>();
  const double seconds = static_cast<double>(input.samples.size()) / kSampleRateHz;
  const int whole = std::max(1, static_cast<int>(std::ceil(seconds)));
  if (input.draft != nullptr) {
    utterance->seconds_done = static_cast<const FakeDraft&>(*input.draft).seconds;
  }
  utterance->passes_left = std::max(1, static_cast<int>(std::ceil(seconds)) - utterance->seconds_done);
  utterance->transcript = {absl::StrFormat("%.1f seconds of speech", seconds), "en", whole,
                           utterance->seconds_done};
  return utterance;
}

std::vector<absl::StatusOr<bool>> FakeSpeechEncoder::Advance(absl::Span<Encoding* const> encodings) {
  std::vector<absl::StatusOr<bool>> done;
  for (Encoding* each : encodings) {
    auto& utterance = *static_cast<Utterance*>(each);
    const absl::Status status = work_.Transcribe(pass_time_);
    if (!status.ok()) {
      done.push_back(status);
      continue;
    }
    ++utterance.seconds_done;
    done.push_back(--utterance.passes_left == 0);
  }
  return done;
}

absl::StatusOr<std::unique_ptr<Encoding>> FakeFrameEncoder::Start(ImagePtr image) {
  auto picture = std::make_unique<Picture>();
  picture->image = std::move(image);
  return picture;
}

std::vector<absl::StatusOr<bool>> FakeFrameEncoder::Advance(absl::Span<Encoding* const> encodings) {
  const auto count = static_cast<int64_t>(encodings.size());
  const absl::Status status = work_.EncodeFrames(pass_time_ + frame_time_ * count);
  if (status.ok()) return std::vector<absl::StatusOr<bool>>(encodings.size(), true);
  if (count == 1) return {status};
  std::vector<absl::StatusOr<bool>> done;
  for (size_t i = 0; i < encodings.size(); ++i) done.push_back(Advance(encodings.subspan(i, 1)).front());
  return done;
}

}  // namespace parley::engine
