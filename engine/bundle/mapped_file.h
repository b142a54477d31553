// A file mapped read-only.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley::engine::bundle {

// Immutable, thread-safe. The file must not be truncated while it is mapped.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED or INTERNAL, naming the path.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  absl::Span<const std::byte> bytes() const { return bytes_; }

 private:
  MappedFile(std::string path, absl::Span<const std::byte> bytes) : path_(std::move(path)), bytes_(bytes) {}

  std::string path_;
  absl::Span<const std::byte> bytes_;
};

// A small text file, whole. RESOURCE_EXHAUSTED when it is over `limit_bytes`.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit_bytes = 64 << 20);

}  // namespace parley::engine::bundle
