// A file mapped read-only.
//
// A file that is written over, or cut short, while it is mapped changes or ends under its reader: whoever
// reads a page that is gone gets SIGBUS. So a model is never overwritten in place; a new one takes the old
// one's name by rename, which leaves what is mapped alone.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley::engine::bundle {

// Immutable, thread-safe.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED, DATA_LOSS (empty, or changes while it is opened) or INTERNAL, naming the
  // path.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  absl::Span<const std::byte> bytes() const { return bytes_; }

 private:
  MappedFile(std::string path, absl::Span<const std::byte> bytes);

  const std::string path_;
  const absl::Span<const std::byte> bytes_;
};

// The exit code of EndWhereAMappedFileIsLost: EX_IOERR of sysexits.h.
inline constexpr int kMappedFileLostExitCode = 74;

// From now on a process that reads a page of a MappedFile that is gone prints a line with the file's path on
// stderr and ends with kMappedFileLostExitCode; any other SIGBUS goes to the handler of before. For a
// program's main.
void EndWhereAMappedFileIsLost();

// A small text file, whole, read and not mapped. RESOURCE_EXHAUSTED when it is over `limit_bytes`.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit_bytes = 64 << 20);

}  // namespace parley::engine::bundle
