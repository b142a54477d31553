// A decoder program whose decoder does what the frame says, to see what its process may do. Otherwise it is
// parley-decoder.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "streaming/decoders/fork_server_main.h"

namespace parley::streaming {
namespace {

absl::StatusOr<bool> Picture(int width, int height, PictureTarget* target) {
  if (target == nullptr) return false;
  std::fill_n(target->Start(width, height), 3 * static_cast<size_t>(width) * height, uint8_t{7});
  return true;
}

// What came of a system call that is to be refused: the decoder is ended before this, or the error says it.
absl::Status Refused(const char* what, long result) {
  if (result >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " was refused: ", std::strerror(errno)));
}

class Misbehaving : public VideoInput {
 public:
  absl::StatusOr<bool> DecodeTo(std::string_view data, int, PictureTarget* target) override {
    target_ = target;
    const std::string what(data);
    if (absl::StartsWith(what, "picture ")) {
      int side = 0;
      (void)absl::SimpleAtoi(what.substr(8), &side);
      return Picture(side, side, target_);
    }
    if (what == "count") return absl::InvalidArgumentError(absl::StrCat("frames: ", ++frames_));
    if (what == "loop") {
      std::atomic<int> turns = 0;
      for (;;) ++turns;
    }
    if (what == "sleep") {
      sigset_t none;
      sigemptyset(&none);
      volatile int zero = 0;
      syscall(SYS_futex, &zero, 0 /* FUTEX_WAIT */, 0, nullptr, nullptr, 0);
    }
    if (what == "allocate") {
      for (;;) {
        auto block = std::make_unique<std::string>(size_t{1} << 20, '\1');
        blocks_.push_back(std::move(block));
      }
    }
    if (what == "crash") std::abort();
    if (what == "null") *static_cast<volatile int*>(Null()) = 1;
    if (what == "exit") _exit(7);
    if (what == "socket") return Result("socket", socket(AF_INET, SOCK_STREAM, 0));
    if (what == "open") return Result("open", open("/etc/passwd", O_RDONLY));
    if (what == "write file")
      return Result("open", open("/tmp/parley-decoder-was-here", O_CREAT | O_WRONLY, 0600));
    if (what == "fork") return Result("fork", fork());
    if (what == "exec") {
      char program[] = "/bin/true";
      char* arguments[] = {program, nullptr};
      return Result("execve", execve(program, arguments, nullptr));
    }
    if (what == "kill parent") return Result("kill", kill(getppid(), SIGKILL));
    if (what == "ptrace") return Result("ptrace", ptrace(PTRACE_ATTACH, 1, nullptr, nullptr));
    if (what == "executable memory")
      return Result("mmap", reinterpret_cast<long>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    if (what == "shrink memory") return Result("ftruncate", ftruncate(4, 0));
    if (what == "raise limits") {
      const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
      return Result("setrlimit", setrlimit(RLIMIT_AS, &unlimited));
    }
    return absl::InvalidArgumentError("not understood");
  }
  bool independent_frames() const override { return true; }

 private:
  absl::StatusOr<bool> Result(const char* what, long result) {
    absl::Status status = Refused(what, result);
    if (!status.ok()) return status;
    return Picture(1, 1, target_);  // it was allowed
  }
  static void* Null() { return nullptr; }

  PictureTarget* target_ = nullptr;  // of the frame under way
  int frames_ = 0;
  std::vector<std::unique_ptr<std::string>> blocks_;
};

}  // namespace
}  // namespace parley::streaming

int main(int argc, char** argv) {
  return parley::streaming::RunForkServer(argc, argv, [](parley::streaming::VideoCodec, int64_t) {
    return std::make_unique<parley::streaming::Misbehaving>();
  });
}
