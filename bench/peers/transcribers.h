// faster-whisper and whisper.cpp as their users run them: greedy, the audio padded to 30 s, each a process
// with its model loaded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/harness.h"
#include "bench/peers/worker.h"

namespace parley::bench {

struct Transcript {
  std::string text;
  double seconds = 0;  // that it took
};

// Used by one thread at a time.
struct Transcriber {
  std::string name;  // with its version and format
  std::unique_ptr<Worker> worker;

  // Of a WAV file, mono PCM16 at 16 kHz.
  absl::StatusOr<Transcript> Transcribe(const std::string& path) const;
};

// Every way to run them that is compared.
absl::StatusOr<std::vector<Transcriber>> StartTranscribers(const SuiteOptions& options);
// The one of them that takes least time for the file `path`; the others end.
absl::StatusOr<Transcriber> StartFastestTranscriber(const SuiteOptions& options, const std::string& path);

}  // namespace parley::bench
