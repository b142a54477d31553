#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

const char* KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

std::string ReadFileOrNothing(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  // Not by stream iterators, which throw when a read fails.
  text << file.rdbuf();
  return text.str();
}

absl::StatusOr<OpenFile> OpenFile::Regular(const std::string& path) {
  // Looked at first, because opening a device may do something, and after, because it may be another by then.
  struct stat facts;
  if (stat(path.c_str(), &facts) != 0) return absl::ErrnoToStatus(errno, path);
  const auto other = [&] {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is ", KindOf(facts.st_mode), ", not a file"));
  };
  if (!S_ISREG(facts.st_mode)) return other();
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, path);
  OpenFile file(descriptor, 0);
  if (fstat(descriptor, &facts) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(facts.st_mode)) return other();
  file.bytes_ = facts.st_size;
  return file;
}

OpenFile::OpenFile(OpenFile&& from) noexcept
    : descriptor_(std::exchange(from.descriptor_, -1)), bytes_(from.bytes_) {}

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<std::string> ReadRegularFile(const std::string& path, size_t limit_bytes) {
  const absl::StatusOr<OpenFile> file = OpenFile::Regular(path);
  if (!file.ok()) return file.status();
  const auto too_large = [&](size_t bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": ", bytes, " bytes, at most ", limit_bytes, " are read"));
  };
  const auto expected = static_cast<size_t>(file->bytes());
  if (expected > limit_bytes) return too_large(expected);
  std::string text;
  text.reserve(expected);
  char buffer[64 << 10];
  while (true) {
    const ssize_t n = read(file->descriptor(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, path);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > limit_bytes) return too_large(text.size());
  }
}

}  // namespace parley
