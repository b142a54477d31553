// Safetensors (https://github.com/huggingface/safetensors, "Format"): u64 header size, JSON header, data.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/tensor.h"

namespace parley::engine::bundle {

// One file, or the shards of one model, mapped. Immutable, thread-safe; its views live as long as it does.
// Every offset, size and shape is checked against the file; errors (DATA_LOSS) name file and reason.
class Safetensors {
 public:
  static absl::StatusOr<Safetensors> Open(const std::string& path);
  // A Hugging Face folder: model.safetensors, or the shards that model.safetensors.index.json lists.
  static absl::StatusOr<Safetensors> OpenFolder(const std::string& folder);
  // Bytes in memory, which must outlive the result; `name` stands in errors.
  static absl::StatusOr<Safetensors> Parse(absl::Span<const std::byte> bytes, const std::string& name);

  Safetensors(Safetensors&&) = default;
  Safetensors& operator=(Safetensors&&) = default;

  bool Has(absl::string_view name) const { return tensors_.contains(name); }
  // NOT_FOUND naming file and tensor.
  absl::StatusOr<TensorView> Find(absl::string_view name) const;
  // The same, and INVALID_ARGUMENT when its shape is another one.
  absl::StatusOr<TensorView> Find(absl::string_view name, absl::Span<const int64_t> shape) const;
  std::vector<std::string> names() const;
  const std::string& path() const { return path_; }

 private:
  Safetensors() = default;
  absl::Status Add(absl::Span<const std::byte> bytes, const std::string& name);

  std::string path_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  absl::flat_hash_map<std::string, TensorView> tensors_;
};

}  // namespace parley::engine::bundle
