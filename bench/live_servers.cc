#include "bench/live_servers.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/wav.h"
#include "clients/cpp/media/source.h"
#include "engine/assembly/kinds.h"
#include "engine/assembly/load.h"

namespace parley::bench {
namespace {

constexpr int kSilenceMs = 1000;
constexpr const char* kPhotos[] = {"chelsea", "coffee", "rocket", "astronaut", "motorcycle_left"};

// The pictures as a camera sends them.
absl::StatusOr<std::vector<std::string>> Jpegs() {
  std::vector<std::string> pictures;
  for (const char* name : kPhotos) {
    const std::string path = absl::StrCat(PARLEY_SOURCE_DIR "/tests/reference/photos/", name, ".ppm");
    auto source = client::media::Source::OpenFile(path, {});
    if (!source.ok()) return source.status();
    auto item = (*source)->Next();
    if (!item.ok()) return item.status();
    if (!item->has_value()) return absl::DataLossError(absl::StrCat(path, " holds no picture"));
    if ((*source)->video_format()->codec() != v1::VideoFormat::JPEG) {
      return absl::InternalError(absl::StrCat(path, " is not sent as JPEG"));
    }
    pictures.push_back(std::move((*item)->data));
  }
  return pictures;
}

}  // namespace

absl::StatusOr<LiveServers> StartLiveServers(const SuiteOptions& options) {
  auto bundle = engine::assembly::LoadBundle(
      {.bundle_dir = options.model_dir, .threads = options.threads, .max_conversations = 2 * kMaxLiveCalls},
      engine::assembly::CpuKinds(), Clock::Real());
  if (!bundle.ok()) return bundle.status();
  auto ours = LiveServer::Start(std::move(bundle->engine), std::move(bundle->speech_detector));
  if (!ours.ok()) return ours.status();

  auto composition = Worker::Start(
      {std::filesystem::read_symlink("/proc/self/exe").parent_path() / "parley_bench_composition", "--model",
       options.model_dir, "--peers", options.peers_dir, "--threads", absl::StrCat(options.threads)},
      {}, options.peers_dir + "/composition.log");
  if (!composition.ok()) return composition.status();
  const absl::StatusOr<nlohmann::json> where = (*composition)->Ask("where");
  if (!where.ok()) return where.status();
  client::ChannelOptions channel;
  channel.server = where->value("address", "");
  channel.own_connection = true;
  return LiveServers{*std::move(ours), *std::move(composition), channel, where->value("name", "")};
}

v1::SessionConfig CallConfig(bool speculation) {
  v1::SessionConfig config;
  config.mutable_turn()->mutable_speculation()->set_enabled(speculation);
  config.mutable_generation()->set_max_tokens(48);
  return config;
}

absl::StatusOr<client::Recording> MakeQuestion(const std::string& wav, int frames) {
  auto samples = ReadWav(wav);
  if (!samples.ok()) return samples.status();
  const absl::Duration speech = absl::Seconds(static_cast<double>(samples->size()) / engine::kSampleRateHz);
  client::Recording recording;
  recording.path = absl::StrCat(wav, " with ", frames, " frames");
  recording.audio_format.emplace();
  recording.audio_format->set_codec(v1::AudioFormat::PCM16);
  recording.audio_format->set_sample_rate_hz(engine::kSampleRateHz);
  constexpr int kChunk = engine::kSampleRateHz / 50;
  // Silence, and the last chunk made whole.
  const size_t total = samples->size() + static_cast<size_t>(kSilenceMs) * engine::kSampleRateHz / 1000;
  samples->resize((total + kChunk - 1) / kChunk * kChunk);
  for (size_t begin = 0; begin < samples->size(); begin += kChunk) {
    client::media::Item item;
    item.data = ToPcm16(absl::MakeConstSpan(*samples).subspan(begin, kChunk));
    item.first_sample_index = begin;
    item.due = item.captured = absl::Seconds(static_cast<double>(begin + kChunk) / engine::kSampleRateHz);
    recording.length = item.due;
    recording.items.push_back(std::move(item));
  }
  if (frames > 0) {
    const auto pictures = Jpegs();
    if (!pictures.ok()) return pictures.status();
    recording.video_format.emplace();
    recording.video_format->set_codec(v1::VideoFormat::JPEG);
    for (int i = 0; i < frames; ++i) {
      client::media::Item item;
      item.kind = client::media::Item::Kind::kVideo;
      item.data = (*pictures)[i % pictures->size()];
      item.due = item.captured = speech * (i + 0.5) / frames;
      recording.items.push_back(std::move(item));
    }
  }
  std::stable_sort(recording.items.begin(), recording.items.end(),
                   [](const auto& a, const auto& b) { return a.due < b.due; });
  return recording;
}

}  // namespace parley::bench
