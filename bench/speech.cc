// Suite `speech`: milliseconds to transcribe 2 to 30 s of speech that is all there, ours against
// faster-whisper and whisper.cpp on the same weights.
#include <ATen/Parallel.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/harness.h"
#include "bench/peers/worker.h"
#include "bench/wav.h"
#include "engine/api/media.h"
#include "engine/bundle/language_model_files.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/safetensors.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/torch/arithmetic.h"
#include "engine/torch/whisper/whisper.h"

namespace parley::bench {
namespace {

using engine::whisper::Whisper;

// So many words are allowed one that is not what was spoken; clips with fewer are written down exactly.
constexpr size_t kWordsForOneSlip = 25;

struct Clip {
  std::string name;
  std::string path;
  std::string spoken;
  std::vector<float> samples;
};

struct Transcript {
  std::string text;
  double seconds = 0;
};

// The clips that bench/peers/install had spoken: name, voice, text.
absl::StatusOr<std::vector<Clip>> ReadClips(const std::string& folder) {
  std::ifstream list(folder + "/speech_clips.tsv");
  std::vector<Clip> clips;
  for (std::string line; std::getline(list, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    if (fields.size() != 3) return absl::DataLossError(absl::StrCat(folder, "/speech_clips.tsv: ", line));
    Clip clip = {
        .name = fields[0], .path = absl::StrCat(folder, "/", fields[0], ".wav"), .spoken = fields[2]};
    absl::StatusOr<std::vector<float>> samples = ReadWav(clip.path);
    if (!samples.ok()) return samples.status();
    clip.samples = *std::move(samples);
    clips.push_back(std::move(clip));
  }
  if (clips.empty()) return absl::NotFoundError(absl::StrCat(folder, " has no clips"));
  return clips;
}

// Lower case, without punctuation.
std::vector<std::string> Words(const std::string& text) {
  std::string plain;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || byte >= 0x80 || c == '\'') {
      plain += absl::ascii_tolower(byte);
    } else {
      plain += ' ';
    }
  }
  return absl::StrSplit(plain, ' ', absl::SkipEmpty());
}

// Words to insert, drop or replace.
size_t Distance(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

class Ours {
 public:
  static absl::StatusOr<std::unique_ptr<Ours>> Load(const SuiteOptions& options) {
    const auto manifest = engine::bundle::ReadManifest(options.model_dir);
    if (!manifest.ok()) return manifest.status();
    const auto files = engine::bundle::LanguageModelFiles::Open(manifest->language_model);
    if (!files.ok()) return files.status();
    auto choice = engine::ChooseArithmetic("auto", files->shape());
    if (!choice.ok()) return choice.status();
    const std::string& folder = manifest->audio_tower->path;
    const auto weights = engine::bundle::Safetensors::OpenFolder(folder);
    if (!weights.ok()) return weights.status();
    const auto config = engine::bundle::ReadTextFile(folder + "/config.json");
    if (!config.ok()) return config.status();
    const auto tokenizer_json = engine::bundle::ReadTextFile(folder + "/tokenizer.json");
    if (!tokenizer_json.ok()) return tokenizer_json.status();
    auto data = engine::bundle::TokenizerFromJson(*tokenizer_json, folder);
    if (!data.ok()) return data.status();
    auto tokenizer = engine::text::Tokenizer::Create(*std::move(data));
    if (!tokenizer.ok()) return tokenizer.status();
    auto whisper = Whisper::Load(*weights, *config, *std::move(tokenizer), manifest->audio_bridge->language,
                                 choice->arithmetic);
    if (!whisper.ok()) return whisper.status();
    return std::unique_ptr<Ours>(new Ours(*std::move(whisper), choice->description));
  }

  const std::string& arithmetic() const { return arithmetic_; }

  absl::StatusOr<Transcript> Transcribe(const Clip& clip) const {
    const double start = Now();
    const auto transcription = whisper_->StartTranscription(clip.samples);
    if (!transcription.ok()) return transcription.status();
    while (true) {
      const absl::StatusOr<bool> done = (*transcription)->Advance();
      if (!done.ok()) return done.status();
      if (*done) return Transcript{(*transcription)->result().text, Now() - start};
    }
  }

 private:
  Ours(std::unique_ptr<Whisper> whisper, std::string arithmetic)
      : whisper_(std::move(whisper)), arithmetic_(std::move(arithmetic)) {}
  const std::unique_ptr<Whisper> whisper_;
  const std::string arithmetic_;
};

struct Peer {
  std::string name;
  std::unique_ptr<Worker> worker;
};

absl::StatusOr<Transcript> Transcribe(Worker& worker, const Clip& clip) {
  const absl::StatusOr<nlohmann::json> answer = worker.Ask(clip.path);
  if (!answer.ok()) return answer.status();
  return Transcript{answer->value("text", ""), answer->value("seconds", 0.0)};
}

absl::StatusOr<std::vector<Peer>> StartPeers(const SuiteOptions& options) {
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
  std::vector<Peer> peers;
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
    peers.push_back({kind.name, *std::move(worker)});
  }
  return peers;
}

absl::Status CheckWords(const std::string& who, const Clip& clip,
                        const absl::StatusOr<Transcript>& transcript) {
  if (!transcript.ok()) return transcript.status();
  const std::vector<std::string> spoken = Words(clip.spoken);
  const size_t slips = Distance(Words(transcript->text), spoken);
  if (slips <= spoken.size() / kWordsForOneSlip) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(who, " writes '", transcript->text, "' for ", clip.name, ", ",
                                          slips, " words of which were not spoken so: nothing is timed"));
}

absl::Status Speech(const SuiteOptions& options) {
  at::set_num_threads(options.threads);
  const auto clips = ReadClips(options.peers_dir + "/speech");
  if (!clips.ok()) return clips.status();
  const auto ours = Ours::Load(options);
  if (!ours.ok()) return ours.status();
  const auto peers = StartPeers(options);
  if (!peers.ok()) return peers.status();

  for (const Clip& clip : *clips) {
    if (absl::Status status = CheckWords("ours", clip, (*ours)->Transcribe(clip)); !status.ok())
      return status;
    for (const Peer& peer : *peers) {
      const absl::Status status = CheckWords(peer.name, clip, Transcribe(*peer.worker, clip));
      if (!status.ok()) return status;
    }
  }
  const auto milliseconds = [](const absl::StatusOr<Transcript>& transcript) -> absl::StatusOr<double> {
    if (!transcript.ok()) return transcript.status();
    return 1e3 * transcript->seconds;
  };
  for (const Clip& clip : *clips) {
    std::vector<Run> runs;
    for (const Peer& peer : *peers) {
      runs.push_back([&] { return milliseconds(Transcribe(*peer.worker, clip)); });
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
