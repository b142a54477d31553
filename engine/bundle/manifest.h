// `parley.json`: which parts a bundle has, how they are joined, and what its files must be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley::engine::bundle {

// A part that is missing from parley.json is nullopt: an engine without an audio encoder does not hear.
struct BundleManifest {
  struct Part {
    std::string kind;
    std::string path;  // of its file or folder, ready to open
  };
  // How an encoder's output enters the prompt.
  struct AudioBridge {
    std::string kind;      // "transcript"
    std::string language;  // ISO 639-1, or "auto": detected in each utterance
  };
  struct VisionBridge {
    std::string kind;             // "labels"
    int labels = 1;               // at most so many of the likeliest classes, 1 to 20
    float minimum = 0;            // and only those of at least this probability
    std::string prompt_template;  // holds {labels}
    std::string otherwise;        // when no class is likely enough; empty: nothing enters the prompt
  };
  struct Prompt {
    std::string layout = "auto";  // "auto": from the model's chat template
    std::string system;           // when the client gives no instructions
  };
  struct File {
    std::string path;  // relative to the folder
    int64_t bytes = 0;
    std::string sha256;  // 64 lower-case hexadecimal digits
  };

  std::string folder;
  std::string name;
  Part language_model;
  std::optional<Part> audio_encoder;
  std::optional<AudioBridge> audio_bridge;  // exactly when there is an audio encoder
  std::optional<Part> vision_encoder;
  std::optional<VisionBridge> vision_bridge;  // exactly when there is a vision encoder
  std::optional<Part> speech_detector;
  Prompt prompt;
  std::vector<File> files;
  std::vector<std::string> warnings;  // what it says in a way that the next release does not take
};

// Reads `folder`/parley.json. NOT_FOUND (no folder, no file), DATA_LOSS (no JSON), INVALID_ARGUMENT (a key
// that is missing, of another type, out of range or unknown), UNIMPLEMENTED (a kind or format that is not
// known); each names the file and the key.
absl::StatusOr<BundleManifest> ReadManifest(const std::string& folder);
// The same from text; `folder` is where its relative paths start.
absl::StatusOr<BundleManifest> ParseManifest(absl::string_view json, const std::string& folder);

// Checks presence, size and SHA-256 of the files that the manifest lists (a file of the user's own need not
// be listed). Reads them whole. NOT_FOUND or DATA_LOSS naming the first file that is not as it should be.
absl::Status VerifyFiles(const BundleManifest& manifest);

}  // namespace parley::engine::bundle
