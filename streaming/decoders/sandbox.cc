#include "streaming/decoders/sandbox.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "streaming/decoders/descriptor.h"

namespace parley::streaming {
namespace {

// Below the model's threads and those of audio, which then have four times as much of a core that both want.
constexpr int kNice = 5;

absl::Status Failed(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::Status AddRules(scmp_filter_ctx filter, int socket_fd) {
  int error = 0;
  const auto allow = [&](int call) {
    if (error == 0) error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 0, nullptr);
  };
  const auto allow_if = [&](int call, const scmp_arg_cmp& condition) {
    if (error == 0) error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
  };
  const auto refuse = [&](int call, int code) {
    if (error == 0) error = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(code), call, 0, nullptr);
  };
  const auto socket = static_cast<scmp_datum_t>(socket_fd);

  // Memory, never executable.
  const scmp_arg_cmp not_executable = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
  allow_if(SCMP_SYS(mmap), not_executable);
  allow_if(SCMP_SYS(mprotect), not_executable);
  for (int call : {SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise)}) allow(call);
  // Its socket. No descriptor can come in: there is no recvmsg.
  allow_if(SCMP_SYS(recvfrom), SCMP_A0_64(SCMP_CMP_EQ, socket));
  allow_if(SCMP_SYS(sendto), SCMP_A0_64(SCMP_CMP_EQ, socket));
  // What the C library does about itself: locks, the time, random bytes, the machine's memory (qsort), and
  // the end.
  for (int call : {SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
                   SCMP_SYS(sysinfo), SCMP_SYS(sched_yield), SCMP_SYS(getpid), SCMP_SYS(gettid),
                   SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),
                   SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)}) {
    allow(call);
  }
  if (kSanitized) {
    // Their runtimes read about the process, try addresses by a pipe, and report to stderr.
    const scmp_arg_cmp read_only = SCMP_A2_64(SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY);
    allow_if(SCMP_SYS(openat), read_only);
    for (int call : {SCMP_SYS(read), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat),
                     SCMP_SYS(lseek), SCMP_SYS(readlink), SCMP_SYS(sigaltstack), SCMP_SYS(sched_getaffinity),
                     SCMP_SYS(getrusage), SCMP_SYS(prctl), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
                     SCMP_SYS(getdents64), SCMP_SYS(write), SCMP_SYS(pipe), SCMP_SYS(pipe2)}) {
      allow(call);
    }
    refuse(SCMP_SYS(ioctl), ENOTTY);
  } else {
    // The C library looks for files when it has something to say. It finds none.
    for (int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(newfstatat), SCMP_SYS(access),
                     SCMP_SYS(readlink)}) {
      refuse(call, EACCES);
    }
    refuse(SCMP_SYS(write), EBADF);
    // libvpx asks for the number of processors, where the C library finds no file that tells it. It is
    // told 1.
    refuse(SCMP_SYS(sched_getaffinity), EPERM);
  }
  // abort() sends itself a signal, and ends the process in another way when it cannot.
  refuse(SCMP_SYS(tgkill), EPERM);
  if (error != 0) return absl::InternalError(absl::StrCat("libseccomp: ", std::strerror(-error)));
  return absl::OkStatus();
}

absl::Status Limit(__rlimit_resource resource, rlim_t value, const char* name) {
  // Past the first value of RLIMIT_CPU comes SIGXCPU, past the second SIGKILL.
  const rlimit limit = {value, resource == RLIMIT_CPU ? value + 1 : value};
  return setrlimit(resource, &limit) == 0 ? absl::OkStatus() : Failed(absl::StrCat("setrlimit ", name));
}

int64_t AddressSpaceBytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return -1;
  long long pages = -1;
  const int fields = std::fscanf(file, "%lld", &pages);
  std::fclose(file);
  return fields == 1 ? pages * sysconf(_SC_PAGESIZE) : -1;
}

absl::Status SetLimits(const SandboxLimits& limits) {
  if (limits.memory_bytes > 0 && !kSanitized) {
    const int64_t now = AddressSpaceBytes();
    if (now < 0) return Failed("/proc/self/statm");
    const absl::Status status = Limit(RLIMIT_AS, static_cast<rlim_t>(now + limits.memory_bytes), "AS");
    if (!status.ok()) return status;
  }
  struct {
    __rlimit_resource resource;
    rlim_t value;
    const char* name;
  } const others[] = {{RLIMIT_CPU, static_cast<rlim_t>(limits.cpu_seconds), "CPU"},
                      {RLIMIT_FSIZE, 0, "FSIZE"},
                      {RLIMIT_CORE, 0, "CORE"},
                      {RLIMIT_MEMLOCK, 0, "MEMLOCK"},
                      {RLIMIT_NPROC, 0, "NPROC"}};
  for (const auto& each : others) {
    if (absl::Status status = Limit(each.resource, each.value, each.name); !status.ok()) return status;
  }
  // No new descriptors; those that it has stay.
  return kSanitized ? absl::OkStatus() : Limit(RLIMIT_NOFILE, 0, "NOFILE");
}

}  // namespace

absl::StatusOr<SystemCallFilter> SystemCallFilter::Make(int socket_fd) {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return absl::InternalError("libseccomp does not start");
  const absl::Cleanup release = [filter] { seccomp_release(filter); };
  if (absl::Status status = AddRules(filter, socket_fd); !status.ok()) return status;
  const Descriptor file(memfd_create("parley-filter", MFD_CLOEXEC));
  if (!file.valid()) return Failed("memfd_create");
  if (const int error = seccomp_export_bpf(filter, file.get()); error != 0)
    return absl::InternalError(absl::StrCat("libseccomp: ", std::strerror(-error)));
  const off_t size = lseek(file.get(), 0, SEEK_END);
  SystemCallFilter made;
  made.program_.resize(static_cast<size_t>(size) / sizeof(sock_filter));
  if (pread(file.get(), made.program_.data(), size, 0) != size) return Failed("reading the filter");
  return made;
}

absl::Status SystemCallFilter::Load() const {
  const sock_fprog program = {static_cast<unsigned short>(program_.size()),
                              const_cast<sock_filter*>(program_.data())};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return Failed("seccomp");
  return absl::OkStatus();
}

absl::Status EnterSandbox(const SandboxLimits& limits, const SystemCallFilter& filter) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return Failed("PR_SET_PDEATHSIG");
  if (getppid() != limits.parent_pid) return absl::FailedPreconditionError("the fork server is gone");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("PR_SET_NO_NEW_PRIVS");
  // No other process of this user looks into it, nor it into them.
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return Failed("PR_SET_DUMPABLE");
  errno = 0;
  if (nice(kNice) == -1 && errno != 0) return Failed("nice");
  if (absl::Status status = SetLimits(limits); !status.ok()) return status;
  return filter.Load();
}

}  // namespace parley::streaming
