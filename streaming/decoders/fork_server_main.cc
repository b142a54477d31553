#include "streaming/decoders/fork_server_main.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/decoders/descriptor.h"
#include "streaming/decoders/sandbox.h"

namespace parley::streaming {
namespace {

// A decoder's descriptors; what was above is closed.
constexpr int kDecoderSocket = 3;
constexpr int kDecoderMemory = 4;

constexpr VideoCodec kCodecs[] = {VideoCodec::kJpeg, VideoCodec::kPng, VideoCodec::kWebp,
                                  VideoCodec::kH264, VideoCodec::kVp8, VideoCodec::kVp9};

struct SpawnOrder {
  ForkRequest request;
  Descriptor socket;
  Descriptor memory;
};

// Where the process is killed first when memory is short: a call's pictures are worth less than the server.
void OfferToTheOutOfMemoryKiller() {
  const Descriptor file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file.valid()) (void)!write(file.get(), "1000", 4);
}

[[noreturn]] void RunDecoder(SpawnOrder order, int fork_server_pid, const SystemCallFilter& filter,
                             const VideoInputFactory& factory) {
  // Out of the way of each other first.
  const int socket = fcntl(order.socket.get(), F_DUPFD, 16);
  const int memory = fcntl(order.memory.get(), F_DUPFD, 16);
  if (socket < 0 || memory < 0 || dup2(socket, kDecoderSocket) < 0 || dup2(memory, kDecoderMemory) < 0)
    _exit(2);
  if (!kSanitized) dup2(STDIN_FILENO, STDERR_FILENO);
  if (close_range(kDecoderMemory + 1, ~0U, 0) != 0) _exit(2);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const DecoderConfig& config = order.request.config;
  const absl::Status status = EnterSandbox({.memory_bytes = config.memory_bytes + config.shared_bytes(),
                                            .cpu_seconds = config.cpu_seconds,
                                            .parent_pid = fork_server_pid},
                                           filter);
  if (!status.ok()) _exit(3);
  _exit(ServeFrames(kDecoderSocket, kDecoderMemory, config, factory));
}

// Whether a process can give up its rights here: one tries. Containers may forbid it.
absl::Status TrySandbox(const SystemCallFilter& filter) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::InternalError("pipe2");
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::FailedPreconditionError(absl::StrCat("fork: ", std::strerror(errno)));
  if (pid == 0) {
    // The filter is the last thing that fails, so that what is told is told before it.
    const absl::Status status =
        EnterSandbox({.memory_bytes = 64 << 20, .cpu_seconds = 10, .parent_pid = self}, filter);
    if (!status.ok()) (void)!write(to.get(), status.message().data(), status.message().size());
    _exit(status.ok() ? 0 : 1);
  }
  to.Reset();
  char message[160];
  const ssize_t size = read(from.get(), message, sizeof(message));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (size > 0) return absl::FailedPreconditionError(absl::string_view(message, size));
  return absl::FailedPreconditionError(absl::StrCat("a process with limits ended with status ", status));
}

class ForkServer {
 public:
  explicit ForkServer(const VideoInputFactory& factory) : factory_(factory) {}

  int Run() {
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child_ended, nullptr);
    // The server's to act on: it ends this process by the socket.
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    const Descriptor signals(signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals.valid() || !GetReady()) return 1;
    for (;;) {
      pollfd polled[] = {{kForkServerSocket, POLLIN, 0}, {signals.get(), POLLIN, 0}};
      if (poll(polled, 2, -1) < 0 && errno != EINTR) return 1;
      if (polled[1].revents != 0) {
        signalfd_siginfo info;
        while (read(signals.get(), &info, sizeof(info)) == sizeof(info)) {
        }
        Reap();
      }
      if (polled[0].revents != 0 && !TakeOrder()) return 0;
    }
  }

 private:
  bool Tell(const ForkReply& reply) {
    return send(kForkServerSocket, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply);
  }

  bool GetReady() {
    ForkReply reply;
    reply.kind = ForkReply::kReady;
    absl::StatusOr<SystemCallFilter> filter = SystemCallFilter::Make(kDecoderSocket);
    absl::Status status = filter.status();
    if (status.ok()) status = TrySandbox(*filter);
    if (!status.ok()) {
      reply.kind = ForkReply::kUnable;
      std::strncpy(reply.message, std::string(status.message()).c_str(), sizeof(reply.message) - 1);
      Tell(reply);
      return false;
    }
    filter_ = *std::move(filter);
    for (const VideoCodec codec : kCodecs) {  // also makes the tables that all decoders then share
      if (factory_(codec, 1 << 20).ok()) reply.codecs |= 1u << static_cast<int>(codec);
    }
    return Tell(reply);
  }

  // False: the server is gone.
  bool TakeOrder() {
    SpawnOrder order;
    iovec part = {&order.request, sizeof(order.request)};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t received = recvmsg(kForkServerSocket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0 && errno == EINTR) return true;
    if (received != sizeof(order.request)) return false;
    for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of != nullptr;
         part_of = CMSG_NXTHDR(&message, part_of)) {
      if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
      int descriptors[2] = {-1, -1};
      std::memcpy(descriptors, CMSG_DATA(part_of),
                  std::min(sizeof(descriptors), part_of->cmsg_len - CMSG_LEN(0)));
      order.socket = Descriptor(descriptors[0]);
      order.memory = Descriptor(descriptors[1]);
    }
    if (order.request.kind == ForkRequest::kKill) {
      // Not reaped yet, or it would not be in the table: the pid is still its own.
      const auto child = children_.find(order.request.child);
      if (child != children_.end()) kill(child->second, SIGKILL);
      return true;
    }
    return order.memory.valid() && Spawn(std::move(order));
  }

  bool Spawn(SpawnOrder order) {
    const uint64_t child = order.request.child;
    const pid_t self = getpid();
    const pid_t pid = fork();
    if (pid == 0) RunDecoder(std::move(order), self, filter_, factory_);
    ForkReply reply;
    reply.child = child;
    reply.kind = pid > 0 ? ForkReply::kSpawned : ForkReply::kEnded;
    reply.pid = pid;
    if (pid > 0) children_[child] = pid;
    return Tell(reply);
  }

  void Reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto child = std::find_if(children_.begin(), children_.end(),
                                      [pid](const auto& each) { return each.second == pid; });
      if (child == children_.end()) continue;
      ForkReply reply;
      reply.kind = ForkReply::kEnded;
      reply.child = child->first;
      reply.pid = pid;
      reply.status = status;
      children_.erase(child);
      Tell(reply);
    }
  }

  const VideoInputFactory& factory_;
  SystemCallFilter filter_;
  std::map<uint64_t, pid_t> children_;
};

}  // namespace

int RunForkServer(int argc, char** argv, const VideoInputFactory& factory) {
  struct stat what {};
  if (argc != 2 || fstat(kForkServerSocket, &what) != 0 || !S_ISSOCK(what.st_mode)) {
    std::fprintf(
        stderr,
        "%s decodes pictures for parley-server, which starts it itself (--decoder-program names another).\n",
        argc > 0 ? argv[0] : "parley-decoder");
    return 2;
  }
  // Its own end follows the server's, even where the socket were held open.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != std::atoi(argv[1])) return 1;
  // Nothing of the server's comes along. Standard error stays, for a sanitizer's report.
  const int null = open("/dev/null", O_RDWR);
  if (null < 0) return 1;
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  close_range(kForkServerSocket + 1, ~0U, 0);
  OfferToTheOutOfMemoryKiller();
  // Large buffers are given back when they are freed: a decoder lives as long as its call.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
  // Without the C library's last duties: a sanitizer's leak check needs what a decoder may not do.
  _exit(ForkServer(factory).Run());
}

}  // namespace parley::streaming
