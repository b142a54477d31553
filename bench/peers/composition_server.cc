// The composition of the peers behind Parley's server, as a process of its own: its libraries' threads do not
// meet those of what it is compared with. Says {"ready": true} once it takes calls; any line is then answered
// with where and what it is, and the end of its input ends it.
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>

#include "bench/live_server.h"
#include "bench/peers/composition.h"
#include "engine/bundle/safetensors.h"
#include "engine/silero/silero.h"

namespace parley::bench {
namespace {

absl::StatusOr<LiveServer> Start(const SuiteOptions& options) {
  const auto manifest = engine::bundle::ReadManifest(options.model_dir);
  if (!manifest.ok()) return manifest.status();
  auto transcriber = StartFastestTranscriber(options, options.peers_dir + "/speech/3s.wav");
  if (!transcriber.ok()) return transcriber.status();
  // What llama.cpp has its fastest kernels for.
  const auto gguf = RequantisedFile(options, manifest->language_model.path, LlamaFileType::kQ4_0);
  if (!gguf.ok()) return gguf.status();
  auto llama =
      LlamaCpp::Load(options.peers_dir + "/llama.cpp", *gguf, options.threads, LlamaAttention::kDefault);
  if (!llama.ok()) return llama.status();
  auto composition =
      MakeComposition({"llama.cpp v0.5.0, Q4_0", *std::move(llama), *std::move(transcriber), options.threads},
                      kMaxLiveCalls, *manifest);
  if (!composition.ok()) return composition.status();
  const auto weights = engine::bundle::Safetensors::Open(manifest->speech_detector->path);
  if (!weights.ok()) return weights.status();
  auto detector = engine::silero::Load(*weights);
  if (!detector.ok()) return detector.status();
  return LiveServer::Start(*std::move(composition), *std::move(detector));
}

absl::Status Serve(const SuiteOptions& options) {
  const auto server = Start(options);
  if (!server.ok()) return server.status();
  const auto say = [](const nlohmann::json& line) {
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  };
  say({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    say({{"address", server->channel().server},
         {"name", server->info().audio_encoder + ", then " + server->info().language_model}});
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "The peers' composition, for the suites that place calls.",
                                  parley::bench::Serve);
}
