// SIGHUP waits until main takes it.
//
// Until a program has said otherwise, SIGHUP ends it. main can say so only after every shared library's
// constructors have run, of which LibTorch's alone take a third of a second: a reload in that time, by a
// service manager or a loop that renews certificates, ended the server. This blocks the signal before those
// constructors, so that it stays pending for the thread that waits for it, and the threads that libraries
// start have it blocked, too. What comes while the dynamic linker still loads the libraries ends the server
// as before. SIGTERM and SIGINT end it all along.
//
// Part of the executable: DT_PREINIT_ARRAY is read of no shared library.

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "absl/base/attributes.h"

namespace parley::server {
namespace {

// The system is called directly: the sanitizers' own functions are not ready yet.
ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS ABSL_ATTRIBUTE_NO_SANITIZE_THREAD ABSL_ATTRIBUTE_NO_SANITIZE_UNDEFINED void
BlockHangUp() {
  const uint64_t hang_up = uint64_t{1} << (SIGHUP - 1);  // the kernel's set of signals
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &hang_up, nullptr, sizeof(hang_up));
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const g_before_constructors)() = &BlockHangUp;

}  // namespace
}  // namespace parley::server
