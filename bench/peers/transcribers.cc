#include "bench/peers/transcribers.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::bench {

absl::StatusOr<Transcript> Transcriber::Transcribe(const std::string& path) const {
  const absl::StatusOr<nlohmann::json> answer = worker->Ask(path);
  if (!answer.ok()) return answer.status();
  return Transcript{answer->value("text", ""), answer->value("seconds", 0.0)};
}

absl::StatusOr<std::vector<Transcriber>> StartTranscribers(const SuiteOptions& options) {
  const struct {
    const char* name;
    const char* kind;
    const char* model;
    bool timestamps;
  } kinds[] = {
      {"faster-whisper 1.2.1, int8", "faster-whisper", "faster-whisper", true},
      {"faster-whisper 1.2.1, int8, without timestamps", "faster-whisper", "faster-whisper", false},
      {"whisper.cpp 1.8.5, fp16", "whisper.cpp", "whisper.cpp/base.bin", true},
      {"whisper.cpp 1.8.5, Q8_0", "whisper.cpp", "whisper.cpp/base-q8_0.bin", true},
  };
  std::vector<Transcriber> transcribers;
  for (const auto& kind : kinds) {
    std::vector<std::string> command = {"python3",
                                        PARLEY_SOURCE_DIR "/bench/peers/speech_worker.py",
                                        kind.kind,
                                        "--model",
                                        absl::StrCat(options.peers_dir, "/models/", kind.model),
                                        "--threads",
                                        absl::StrCat(options.threads)};
    if (!kind.timestamps) command.push_back("--without-timestamps");
    absl::StatusOr<std::unique_ptr<Worker>> worker =
        Worker::Start(command, {absl::StrCat("PYTHONPATH=", options.peers_dir, "/python")},
                      absl::StrCat(options.peers_dir, "/", kind.kind, ".log"));
    if (!worker.ok()) return worker.status();
    transcribers.push_back({kind.name, *std::move(worker)});
  }
  return transcribers;
}

absl::StatusOr<Transcriber> StartFastestTranscriber(const SuiteOptions& options, const std::string& path) {
  absl::StatusOr<std::vector<Transcriber>> all = StartTranscribers(options);
  if (!all.ok()) return all.status();
  size_t fastest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < all->size(); ++i) {
    std::vector<double> seconds;
    for (int round = 0; round < 3; ++round) {
      const absl::StatusOr<Transcript> transcript = (*all)[i].Transcribe(path);
      if (!transcript.ok()) return transcript.status();
      seconds.push_back(transcript->seconds);
    }
    if (const double median = Median(seconds); median < least) {
      least = median;
      fastest = i;
    }
  }
  return std::move((*all)[fastest]);
}

}  // namespace parley::bench
