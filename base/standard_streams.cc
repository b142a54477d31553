#include "base/standard_streams.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/base/attributes.h"

namespace parley {

// The system is called directly: the sanitizers' own functions are not ready before constructors have run.
ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS ABSL_ATTRIBUTE_NO_SANITIZE_THREAD ABSL_ATTRIBUTE_NO_SANITIZE_UNDEFINED void
OpenStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (syscall(SYS_fcntl, fd, F_GETFD) >= 0) continue;
    // The lowest number that is free, which is this one.
    if (syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR) != fd) syscall(SYS_exit_group, 1);
  }
}

namespace {

// Called before the constructors of shared libraries. An executable's only: no shared library may hold this
// file.
[[gnu::section(".preinit_array"), gnu::used]] void (*const g_before_constructors)() = &OpenStandardStreams;

}  // namespace
}  // namespace parley
