// Suite `speech`: milliseconds to transcribe 2 to 30 s of speech that is all there, ours against
// faster-whisper and whisper.cpp on the same weights.
#include "engine/assembly/speech.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "bench/peers/transcribers.h"
#include "bench/speech_clips.h"
#include "engine/api/media.h"
#include "engine/assembly/arithmetic.h"
#include "engine/bundle/manifest.h"
#include "engine/whisper/whisper.h"

namespace parley::bench {
namespace {

using engine::whisper::Whisper;

class Ours {
 public:
  static absl::StatusOr<std::unique_ptr<Ours>> Load(const SuiteOptions& options) {
    const auto manifest = engine::bundle::ReadManifest(options.model_dir);
    if (!manifest.ok()) return manifest.status();
    const auto choice = engine::assembly::ChooseArithmetic("auto");
    if (!choice.ok()) return choice.status();
    auto whisper =
        engine::assembly::LoadWhisperOnCpu(manifest->audio_encoder->path, manifest->audio_bridge->language,
                                           choice->speech_encoder, options.threads);
    if (!whisper.ok()) return whisper.status();
    return std::unique_ptr<Ours>(new Ours(*std::move(whisper), choice->description));
  }

  const std::string& arithmetic() const { return arithmetic_; }

  absl::StatusOr<Transcript> Transcribe(const Clip& clip) const {
    const double start = Now();
    const auto encoding = whisper_->Start({.samples = clip.samples});
    if (!encoding.ok()) return encoding.status();
    engine::Encoding* const alone = encoding->get();
    while (true) {
      const absl::StatusOr<bool> done = whisper_->Advance({&alone, 1}).front();
      if (!done.ok()) return done.status();
      if (*done) return Transcript{alone->Take().transcript.text, Now() - start};
    }
  }

 private:
  Ours(std::unique_ptr<Whisper> whisper, std::string arithmetic)
      : whisper_(std::move(whisper)), arithmetic_(std::move(arithmetic)) {}
  const std::unique_ptr<Whisper> whisper_;
  const std::string arithmetic_;
};

absl::Status Speech(const SuiteOptions& options) {
  const auto clips = ReadClips(options);
  if (!clips.ok()) return clips.status();
  const auto ours = Ours::Load(options);
  if (!ours.ok()) return ours.status();
  const auto peers = StartTranscribers(options);
  if (!peers.ok()) return peers.status();

  for (const Clip& clip : *clips) {
    const auto check = [&clip](const std::string& who, const absl::StatusOr<Transcript>& transcript) {
      return transcript.ok() ? CheckWords(who, clip, transcript->text) : transcript.status();
    };
    if (absl::Status status = check("ours", (*ours)->Transcribe(clip)); !status.ok()) return status;
    for (const Transcriber& peer : *peers) {
      const absl::Status status = check(peer.name, peer.Transcribe(clip.path));
      if (!status.ok()) return status;
    }
  }
  const auto milliseconds = [](const absl::StatusOr<Transcript>& transcript) -> absl::StatusOr<double> {
    if (!transcript.ok()) return transcript.status();
    return 1e3 * transcript->seconds;
  };
  for (const Clip& clip : *clips) {
    std::vector<Run> runs;
    for (const Transcriber& peer : *peers) {
      runs.push_back([&] { return milliseconds(peer.Transcribe(clip.path)); });
    }
    const absl::StatusOr<Comparison> comparison =
        Compare([&] { return milliseconds((*ours)->Transcribe(clip)); }, runs, Better::kLower,
                {.seconds = options.seconds});
    if (!comparison.ok()) return comparison.status();
    Figure figure = {.suite = "speech", .name = clip.name, .ours = comparison->ours, .unit = "ms"};
    figure.better = Better::kLower;
    figure.peer = comparison->peers[comparison->best];
    figure.peer_name = (*peers)[comparison->best].name;
    figure.setting = {{"threads", options.threads},
                      {"arithmetic", (*ours)->arithmetic()},
                      {"audio_seconds", static_cast<double>(clip.samples.size()) / engine::kSampleRateHz}};
    for (size_t i = 0; i < peers->size(); ++i) {
      figure.setting["peers"][(*peers)[i].name] = comparison->peers[i];
    }
    Print(figure);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Transcription, against faster-whisper and whisper.cpp.",
                                  parley::bench::Speech);
}
