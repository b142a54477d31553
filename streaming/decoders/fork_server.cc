#include "streaming/decoders/fork_server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "streaming/decoders/fork_server_main.h"

extern char** environ;

namespace parley::streaming {
namespace {

class ForkServer : public ChildSource {
 public:
  explicit ForkServer(std::string program) : program_(std::move(program)) {}
  ~ForkServer() override { End(); }

  absl::Status Launch() override {
    End();
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
    socket_ = Descriptor(ends[0]);
    const Descriptor theirs(ends[1]);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    const absl::Cleanup release = [&] {
      posix_spawn_file_actions_destroy(&actions);
      posix_spawnattr_destroy(&attributes);
    };
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), kForkServerSocket);
    // A process group of its own: a terminal's Ctrl-C is the server's to act on. None of its signals blocked.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    std::string parent = absl::StrCat(getpid());
    char* const arguments[] = {program_.data(), parent.data(), nullptr};
    const int error = posix_spawn(&pid_, program_.c_str(), &actions, &attributes, arguments, environ);
    if (error != 0) {
      pid_ = -1;
      socket_.Reset();
      return absl::FailedPreconditionError(absl::StrCat(program_, ": ", std::strerror(error)));
    }
    fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    return absl::OkStatus();
  }

  int fd() const override { return socket_.get(); }

  std::optional<Event> Next() override {
    ForkReply reply;
    const ssize_t received = recv(socket_.get(), &reply, sizeof(reply), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    if (received != sizeof(reply)) return Event{.kind = Event::kLost, .message = LastWords()};
    if (reply.protocol != kDecoderProtocol)
      return Event{.kind = Event::kUnable, .message = absl::StrCat(program_, " is of another build")};
    Event event = {.child = reply.child, .pid = reply.pid, .status = reply.status, .codecs = reply.codecs};
    switch (reply.kind) {
      case ForkReply::kReady:
        event.kind = Event::kReady;
        return event;
      case ForkReply::kUnable:
        event.kind = Event::kUnable;
        event.message.assign(reply.message, strnlen(reply.message, sizeof(reply.message)));
        return event;
      case ForkReply::kSpawned:
        event.kind = Event::kSpawned;
        return event;
      case ForkReply::kEnded:
        event.kind = Event::kEnded;
        return event;
    }
    return Event{.kind = Event::kLost, .message = "it speaks another language"};
  }

  bool Spawn(uint64_t child, const DecoderConfig& config, const Descriptor& socket,
             const Descriptor& memory) override {
    ForkRequest request = {.kind = ForkRequest::kSpawn, .child = child, .config = config};
    const int descriptors[2] = {socket.get(), memory.get()};
    iovec part = {&request, sizeof(request)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(descriptors))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(descriptors));
    std::memcpy(CMSG_DATA(rights), descriptors, sizeof(descriptors));
    return sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == sizeof(request);
  }

  bool Kill(uint64_t child) override {
    const ForkRequest request = {.kind = ForkRequest::kKill, .child = child};
    return send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL) == sizeof(request);
  }

 private:
  // Its decoders end with it, by the signal that they asked for.
  void End() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    socket_.Reset();
  }

  std::string LastWords() {
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? absl::StrCat("signal ", WTERMSIG(status))
                               : absl::StrCat("exit code ", WEXITSTATUS(status));
  }

  std::string program_;
  pid_t pid_ = -1;
  Descriptor socket_;
};

}  // namespace

std::unique_ptr<ChildSource> MakeForkServer(std::string program) {
  return std::make_unique<ForkServer>(std::move(program));
}

}  // namespace parley::streaming
