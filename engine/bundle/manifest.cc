#include "engine/bundle/manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "engine/bundle/mapped_file.h"
#include "nlohmann/json.hpp"

namespace parley::engine::bundle {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr int64_t kMaxLabels = 20;

// Reads one JSON object of known keys; the first error latches and names the key with its path.
class Object {
 public:
  Object(const Json& json, std::string where, absl::Status* status)
      : json_(json), where_(std::move(where)), status_(status) {
    if (!json_.is_object()) Fail("", "is not an object");
  }
  ~Object() {
    if (!json_.is_object()) return;
    for (const auto& [key, value] : json_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) Fail(key, "is not a known key");
    }
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // Null when the key is missing.
  const Json* Get(absl::string_view key) {
    known_.emplace_back(key);
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(known_.back());
    return found == json_.end() ? nullptr : &*found;
  }
  std::string String(absl::string_view key, const std::optional<std::string>& otherwise = std::nullopt) {
    const Json* value = Required(key, otherwise.has_value());
    if (value == nullptr) return otherwise.value_or("");
    if (value->is_string()) return value->get<std::string>();
    Fail(key, "is not a string");
    return "";
  }
  double Number(absl::string_view key, double low, double high,
                std::optional<double> otherwise = std::nullopt) {
    const Json* value = Required(key, otherwise.has_value());
    if (value == nullptr) return otherwise.value_or(low);
    if (value->is_number() && value->get<double>() >= low && value->get<double>() <= high)
      return value->get<double>();
    Fail(key, absl::StrCat("is not a number from ", low, " to ", high));
    return low;
  }
  int64_t Integer(absl::string_view key, int64_t low, int64_t high,
                  std::optional<int64_t> otherwise = std::nullopt) {
    const Json* value = Required(key, otherwise.has_value());
    if (value == nullptr) return otherwise.value_or(low);
    // An unsigned number above the signed range reads as negative here, and fails like any other.
    if (value->is_number_integer() && value->get<int64_t>() >= low && value->get<int64_t>() <= high) {
      return value->get<int64_t>();
    }
    Fail(key, absl::StrCat("is not a whole number from ", low, " to ", high));
    return low;
  }
  std::string Kind(absl::Span<const absl::string_view> known) {
    std::string kind = String("kind");
    if (status_->ok() && std::find(known.begin(), known.end(), kind) == known.end()) {
      *status_ = absl::UnimplementedError(absl::StrCat(
          "'", Path("kind"), "': '", kind, "' is not known; known: ", absl::StrJoin(known, ", ")));
    }
    return kind;
  }
  std::string Path(absl::string_view key) const {
    return where_.empty() ? std::string(key) : key.empty() ? where_ : absl::StrCat(where_, ".", key);
  }
  void Fail(absl::string_view key, absl::string_view reason) {
    if (status_->ok()) *status_ = absl::InvalidArgumentError(absl::StrCat("'", Path(key), "' ", reason));
  }
  absl::Status* status() const { return status_; }

 private:
  const Json* Required(absl::string_view key, bool optional) {
    const Json* value = Get(key);
    if (value == nullptr && !optional) Fail(key, "is missing");
    return value;
  }

  const Json& json_;
  std::string where_;
  absl::Status* status_;
  std::vector<std::string> known_;
};

std::string Resolve(const std::string& folder, const std::string& path) {
  return absl::StartsWith(path, "/") ? path : absl::StrCat(folder, "/", path);
}

// `place`: the key that says where the part lies, "file" or "folder".
BundleManifest::Part ReadPart(Object& object, absl::Span<const absl::string_view> kinds,
                              absl::string_view place, const std::string& folder) {
  BundleManifest::Part part;
  part.kind = object.Kind(kinds);
  const std::string path = object.String(place);
  if (path.empty()) object.Fail(place, "is empty");
  part.path = Resolve(folder, path);
  return part;
}

std::optional<BundleManifest::Part> ReadOptionalPart(Object& top, absl::string_view key,
                                                     absl::Span<const absl::string_view> kinds,
                                                     absl::string_view place, const std::string& folder) {
  const Json* json = top.Get(key);
  if (json == nullptr) return std::nullopt;
  Object object(*json, top.Path(key), top.status());
  return ReadPart(object, kinds, place, folder);
}

// The key of a part that had another name until release 0.1, which is taken for one release more.
absl::string_view KeyOrItsOldName(Object& top, absl::string_view key, absl::string_view old_name,
                                  BundleManifest& manifest) {
  if (top.Get(old_name) == nullptr) return key;
  if (top.Get(key) != nullptr)
    top.Fail(old_name, absl::StrCat("is the old name of '", key, "', which is there, too"));
  manifest.warnings.push_back(absl::StrCat("parley.json: '", old_name, "' is called '", key,
                                           "' now; the next release does not know it"));
  return old_name;
}

BundleManifest::Part ReadLanguageModel(Object& top, const std::string& folder) {
  const Json* json = top.Get("language_model");
  if (json == nullptr) {
    top.Fail("language_model", "is missing");
    return {};
  }
  Object object(*json, "language_model", top.status());
  const bool gguf = json->is_object() && json->contains("kind") && (*json)["kind"] == "gguf";
  return ReadPart(object, {"gguf", "safetensors"}, gguf ? "file" : "folder", folder);
}

std::optional<BundleManifest::AudioBridge> ReadAudioBridge(Object& top) {
  const Json* json = top.Get("audio_bridge");
  if (json == nullptr) return std::nullopt;
  Object object(*json, "audio_bridge", top.status());
  BundleManifest::AudioBridge bridge;
  bridge.kind = object.Kind({"transcript"});
  bridge.language = object.String("language", "auto");
  return bridge;
}

std::optional<BundleManifest::VisionBridge> ReadVisionBridge(Object& top) {
  const Json* json = top.Get("vision_bridge");
  if (json == nullptr) return std::nullopt;
  Object object(*json, "vision_bridge", top.status());
  BundleManifest::VisionBridge bridge;
  bridge.kind = object.Kind({"labels"});
  bridge.labels = static_cast<int>(object.Integer("labels", 1, kMaxLabels));
  bridge.minimum = static_cast<float>(object.Number("minimum", 0, 1));
  bridge.prompt_template = object.String("template");
  if (!absl::StrContains(bridge.prompt_template, "{labels}"))
    object.Fail("template", "does not hold {labels}");
  bridge.otherwise = object.String("otherwise", "");
  return bridge;
}

BundleManifest::Prompt ReadPrompt(Object& top) {
  BundleManifest::Prompt prompt;
  const Json* json = top.Get("prompt");
  if (json == nullptr) return prompt;
  Object object(*json, "prompt", top.status());
  prompt.layout = object.String("template", "auto");
  prompt.system = object.String("system", "");
  return prompt;
}

std::vector<BundleManifest::File> ReadFiles(Object& top) {
  std::vector<BundleManifest::File> files;
  const Json* json = top.Get("files");
  if (json == nullptr) return files;
  if (!json->is_object()) {
    top.Fail("files", "is not an object");
    return files;
  }
  for (const auto& [path, facts] : json->items()) {
    Object object(facts, absl::StrCat("files.", path), top.status());
    BundleManifest::File file;
    file.path = path;
    file.bytes = object.Integer("bytes", 0, INT64_MAX);
    file.sha256 = object.String("sha256");
    const bool hex = file.sha256.size() == 64 &&
                     std::all_of(file.sha256.begin(), file.sha256.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!hex) object.Fail("sha256", "is not 64 lower-case hexadecimal digits");
    files.push_back(std::move(file));
  }
  return files;
}

absl::StatusOr<std::string> Sha256(absl::Span<const std::byte> bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("libcrypto offers no SHA-256");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::Status VerifyFile(const std::string& path, const BundleManifest::File& expected) {
  const absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const absl::Span<const std::byte> bytes = (*file)->bytes();
  if (static_cast<int64_t>(bytes.size()) != expected.bytes) {
    return absl::DataLossError(absl::StrCat(path, ": ", bytes.size(), " bytes, parley.json says ",
                                            expected.bytes, ": half copied?"));
  }
  const absl::StatusOr<std::string> sha256 = Sha256(bytes);
  if (!sha256.ok()) return sha256.status();
  if (*sha256 != expected.sha256) {
    return absl::DataLossError(
        absl::StrCat(path, ": corrupt: its SHA-256 is ", *sha256, ", parley.json says ", expected.sha256));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BundleManifest> ParseManifest(absl::string_view json, const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/parley.json");
  const Json root = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) return absl::DataLossError(absl::StrCat(path, ": not JSON, or cut short"));

  absl::Status status;
  BundleManifest manifest;
  manifest.folder = folder;
  {
    Object top(root, "", &status);
    const int64_t format = top.Integer("format", 1, INT64_MAX);
    if (status.ok() && format != kFormat) {
      status = absl::UnimplementedError(absl::StrCat("'format' ", format, " is not known; ", kFormat, " is"));
    }
    manifest.name = top.String("name");
    manifest.language_model = ReadLanguageModel(top, folder);
    const absl::string_view audio = KeyOrItsOldName(top, "audio_encoder", "audio_tower", manifest);
    const absl::string_view vision = KeyOrItsOldName(top, "vision_encoder", "vision_tower", manifest);
    manifest.audio_encoder = ReadOptionalPart(top, audio, {"whisper"}, "folder", folder);
    manifest.audio_bridge = ReadAudioBridge(top);
    manifest.vision_encoder = ReadOptionalPart(top, vision, {"efficientnet-lite0"}, "folder", folder);
    manifest.vision_bridge = ReadVisionBridge(top);
    manifest.speech_detector = ReadOptionalPart(top, "speech_detector", {"silero"}, "file", folder);
    manifest.prompt = ReadPrompt(top);
    manifest.files = ReadFiles(top);
    if (manifest.audio_encoder.has_value() != manifest.audio_bridge.has_value()) {
      top.Fail("audio_encoder", "and 'audio_bridge' go together: one of them is missing");
    }
    if (manifest.vision_encoder.has_value() != manifest.vision_bridge.has_value()) {
      top.Fail("vision_encoder", "and 'vision_bridge' go together: one of them is missing");
    }
  }
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  return manifest;
}

absl::StatusOr<BundleManifest> ReadManifest(const std::string& folder) {
  const absl::StatusOr<std::string> text = ReadTextFile(absl::StrCat(folder, "/parley.json"));
  if (!text.ok()) return text.status();
  return ParseManifest(*text, folder);
}

absl::Status VerifyFiles(const BundleManifest& manifest) {
  for (const BundleManifest::File& file : manifest.files) {
    if (absl::Status status = VerifyFile(Resolve(manifest.folder, file.path), file); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

}  // namespace parley::engine::bundle
