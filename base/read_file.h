// Reads small files whole. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace parley {

// Of /proc and /sys, whose files may vanish or fail to be read at any moment. Empty when there is no such
// file or it cannot be read.
std::string ReadFileOrNothing(const std::string& path);

// An open file, closed at destruction.
class OpenFile {
 public:
  // A regular file, links followed. Never waits for a FIFO's writer, as a plain open does; it does wait for
  // the file system, which on a network may not answer. Errors begin with the path: NOT_FOUND and others of
  // the system's; INVALID_ARGUMENT: a directory, FIFO, device or socket.
  static absl::StatusOr<OpenFile> Regular(const std::string& path);
  OpenFile(OpenFile&& from) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  int descriptor() const { return descriptor_; }
  int64_t bytes() const { return bytes_; }  // when it was opened

 private:
  OpenFile(int descriptor, int64_t bytes) : descriptor_(descriptor), bytes_(bytes) {}
  int descriptor_;
  int64_t bytes_;
};

// A regular file as OpenFile::Regular opens it. RESOURCE_EXHAUSTED: more than `limit_bytes`.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path, size_t limit_bytes);

}  // namespace parley
