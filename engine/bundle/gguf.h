// GGUF, versions 2 and 3, little-endian (https://github.com/ggml-org/ggml, docs/gguf.md): metadata of typed
// keys, tensor directory, aligned tensor data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/tensor.h"

namespace parley::engine::bundle {

// Integers of every width are widened. Arrays of arrays are refused.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<std::string>,
                               std::vector<int64_t>, std::vector<double>>;

// One file, mapped. Immutable, thread-safe; its views live as long as it does.
// Every count, length and offset is checked against the file before it is used; errors name file and reason:
// DATA_LOSS (truncated or corrupt), UNIMPLEMENTED (a version or byte order that is not read).
class Gguf {
 public:
  static absl::StatusOr<Gguf> Open(const std::string& path);
  // Bytes in memory, which must outlive the result; `name` stands in errors.
  static absl::StatusOr<Gguf> Parse(absl::Span<const std::byte> bytes, const std::string& name);

  Gguf(Gguf&&) = default;
  Gguf& operator=(Gguf&&) = default;

  const std::string& path() const { return path_; }
  const absl::flat_hash_map<std::string, GgufValue>& metadata() const { return metadata_; }

  // Metadata by key. NOT_FOUND when the key is missing, INVALID_ARGUMENT when it is of another type or does
  // not fit; both name file and key.
  absl::StatusOr<int64_t> Int(absl::string_view key) const;
  absl::StatusOr<double> Float(absl::string_view key) const;
  absl::StatusOr<bool> Bool(absl::string_view key) const;
  absl::StatusOr<std::string> String(absl::string_view key) const;
  absl::StatusOr<absl::Span<const std::string>> Strings(absl::string_view key) const;
  absl::StatusOr<absl::Span<const int64_t>> Ints(absl::string_view key) const;
  absl::StatusOr<absl::Span<const double>> Floats(absl::string_view key) const;
  bool HasKey(absl::string_view key) const { return metadata_.contains(key); }

  bool HasTensor(absl::string_view name) const { return tensors_.contains(name); }
  // NOT_FOUND; UNIMPLEMENTED when its type is not one that is read, naming the type.
  absl::StatusOr<TensorView> Tensor(absl::string_view name) const;
  std::vector<std::string> tensor_names() const;

 private:
  struct Entry {
    TensorView view;
    uint32_t type = 0;       // as in the file
    bool supported = false;  // else `view` has name and shape only
  };

  Gguf() = default;
  absl::Status Read(absl::Span<const std::byte> bytes);
  absl::StatusOr<const GgufValue*> Value(absl::string_view key) const;
  template <typename T>
  absl::StatusOr<const T*> Typed(absl::string_view key, absl::string_view expected) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  absl::flat_hash_map<std::string, GgufValue> metadata_;
  absl::flat_hash_map<std::string, Entry> tensors_;
};

}  // namespace parley::engine::bundle
