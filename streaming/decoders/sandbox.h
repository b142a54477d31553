// What a decoder's process may do: compute, take memory up to a limit, and talk over the one socket that it
// has. Everything else ends it, or is refused by the kernel, whatever a stranger's picture makes it do.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace parley::streaming {

// The system calls of a decoder, as a seccomp filter. Made once and loaded in each decoder.
class SystemCallFilter {
 public:
  // `socket_fd`: the one descriptor that may be sent to and received from.
  static absl::StatusOr<SystemCallFilter> Make(int socket_fd);
  // From here on for this process; cannot be undone. REQUIRES: no_new_privs is set.
  absl::Status Load() const;

 private:
  std::vector<sock_filter> program_;
};

struct SandboxLimits {
  int64_t memory_bytes = 0;  // address space beside what the process has now; 0: not limited
  int cpu_seconds = 0;       // of the process's life
  int parent_pid = 0;        // it dies with it
};

// Gives up this process's rights: no_new_privs, limits of memory, processor time, files, processes, cores and
// descriptors, a lower priority than the server's, an early end when memory is short, the end with its
// parent, and `filter` last. The first thing that cannot be had is the error, and the process is not to go
// on.
absl::Status EnterSandbox(const SandboxLimits& limits, const SystemCallFilter& filter);

// Sanitizers need more of both.
inline constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

}  // namespace parley::streaming
