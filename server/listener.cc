#include "server/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/address.h"
#include "server/log.h"
#include "server/peer.h"

namespace parley::server {
namespace {

constexpr int kBacklog = 1'024;
constexpr absl::Duration kLook = absl::Seconds(1);  // at the sockets, and for connections that are over
constexpr absl::Duration kOftenest = absl::Milliseconds(10);  // when a place is wanted
constexpr absl::Duration kPause = absl::Milliseconds(20);     // when descriptors have run out
constexpr absl::Duration kTold = absl::Seconds(10);           // between log lines about refused connections

absl::Status CannotListen(const std::string& where, int error) {
  return absl::UnavailableError(absl::StrCat("cannot listen at ", where, ": ", std::strerror(error)));
}

// accept(2): what is wrong with one connection, not with the socket.
bool OnlyThisConnection(int error) {
  for (const int one : {EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
                        EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT}) {
    if (error == one) return true;
  }
  return false;
}

bool OutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// "192.0.2.1"; empty: not an IP connection.
std::string IpOf(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST];
  if (address.ss_family == AF_UNIX || getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host,
                                                  sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "";
  }
  return host;
}

int PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

void SetPort(sockaddr* address, int port) {
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(static_cast<uint16_t>(port));
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(static_cast<uint16_t>(port));
  }
}

int NewSocket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// A listening socket; -1: errno says why.
int ListenAt(const sockaddr* address, socklen_t size, bool both_families) {
  const int fd = NewSocket(address->sa_family);
  if (fd < 0) return -1;
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address->sa_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof(int));
  }
  if (bind(fd, address, size) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

int RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1'024;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(Options options) {
  std::unique_ptr<Listener> listener(new Listener(std::move(options)));
  listener->path_ = SocketPath(listener->options_.address);
  if (absl::Status status = listener->Bind(); !status.ok()) return status;
  listener->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  listener->reserve_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (listener->wake_ < 0 || listener->reserve_ < 0) return CannotListen(listener->options_.address, errno);
  return listener;
}

Listener::~Listener() {
  Stop();
  if (wake_ >= 0) close(wake_);
  if (reserve_ >= 0) close(reserve_);
}

absl::Status Listener::Bind() { return path_.empty() ? BindAddresses() : BindFile(); }

absl::Status Listener::BindAddresses() {
  const int wanted = port_ != 0 ? port_ : options_.port;
  const std::string where = JoinHostPort(options_.address, wanted);
  // gRPC's own listener takes either wildcard for both families, and so does this.
  const bool wildcard = options_.address == "0.0.0.0" || options_.address == "::";
  if (wildcard) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(static_cast<uint16_t>(wanted));
    const int fd = ListenAt(reinterpret_cast<const sockaddr*>(&any), sizeof(any), true);
    if (fd >= 0) {
      sockets_.push_back(fd);
      if (port_ == 0) port_ = PortOf(fd);
      return absl::OkStatus();
    }
    if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) return CannotListen(where, errno);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const char* name = wildcard ? "0.0.0.0" : options_.address.c_str();
  if (const int error = getaddrinfo(name, std::to_string(wanted).c_str(), &hints, &found); error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen at ", where, ": ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  int error = EADDRNOTAVAIL;
  int port = wanted;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SetPort(each->ai_addr, port);  // a name's addresses share the port that the first one got
    const int fd = ListenAt(each->ai_addr, each->ai_addrlen, false);
    if (fd >= 0) {
      sockets_.push_back(fd);
      port = PortOf(fd);
    } else if (errno == EADDRINUSE || errno == EACCES) {
      error = errno;
      CloseSockets();
      break;
    } else {
      error = errno;  // a family that this machine lacks
    }
  }
  if (sockets_.empty()) return CannotListen(where, error);
  if (port_ == 0) port_ = port;  // from then on others read it
  return absl::OkStatus();
}

absl::Status Listener::BindFile() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen at ", options_.address,
                                                   ": the path has more than ", sizeof(address.sun_path) - 1,
                                                   " bytes"));
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  struct stat file {};
  if (lstat(path_.c_str(), &file) == 0) {
    if (!S_ISSOCK(file.st_mode)) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot listen at ", options_.address, ": there is a file, and it is no socket"));
    }
    // Who answers is alive; nobody listens at a file that a dead server left.
    const int probe = NewSocket(AF_UNIX);
    const absl::Cleanup close_probe = [probe] { close(probe); };
    if (probe < 0) return CannotListen(options_.address, errno);
    if (connect(probe, where, sizeof(address)) == 0 || errno == EAGAIN) {
      return CannotListen(options_.address, EADDRINUSE);
    }
    if (errno != ECONNREFUSED) return CannotListen(options_.address, errno);
    if (unlink(path_.c_str()) != 0 && errno != ENOENT) return CannotListen(options_.address, errno);
  }
  const int fd = NewSocket(AF_UNIX);
  if (fd < 0) return CannotListen(options_.address, errno);
  sockets_.push_back(fd);
  // Before bind, so that the file never lets anybody else in, and after it because of the umask.
  if (fchmod(fd, 0660) != 0 || bind(fd, where, sizeof(address)) != 0 || chmod(path_.c_str(), 0660) != 0 ||
      listen(fd, kBacklog) != 0 || lstat(path_.c_str(), &file) != 0) {
    const int error = errno;
    CloseSockets();
    return CannotListen(options_.address, error);
  }
  file_device_ = file.st_dev;
  file_inode_ = file.st_ino;
  return absl::OkStatus();
}

bool Listener::FileIsOurs() const {
  struct stat file {};
  return file_inode_ != 0 && lstat(path_.c_str(), &file) == 0 && file.st_dev == file_device_ &&
         file.st_ino == file_inode_;
}

void Listener::CloseSockets() {
  for (const int socket : sockets_) close(socket);
  sockets_.clear();
}

void Listener::Start(std::function<void(int fd)> take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof(one));
    thread_.join();
  }
  if (!path_.empty() && FileIsOurs()) unlink(path_.c_str());
  file_inode_ = 0;
  CloseSockets();
}

Listener::Counts Listener::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

void Listener::Run() {
  while (true) {
    std::vector<pollfd> polled = {{.fd = wake_, .events = POLLIN, .revents = 0}};
    for (const int socket : sockets_) polled.push_back({.fd = socket, .events = POLLIN, .revents = 0});
    poll(polled.data(), polled.size(), static_cast<int>(absl::ToInt64Milliseconds(kLook)));
    if (polled[0].revents != 0) return;
    bool broken = sockets_.empty();
    for (size_t i = 1; i < polled.size() && !broken; ++i) {
      broken = (polled[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ||
               ((polled[i].revents & POLLIN) != 0 && !AcceptAll(polled[i].fd));
    }
    Forget(kLook);
    if (!broken && (path_.empty() || FileIsOurs())) continue;
    CloseSockets();
    if (absl::Status status = Bind(); !status.ok()) {
      Log(LogLevel::kError, "no connections are taken", {{"why", status.message()}});
      pollfd wait{.fd = wake_, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(kLook))) > 0) return;
    } else {
      Log(LogLevel::kWarn, "the listening socket was lost, and is open again",
          {{"address", options_.address}});
      absl::MutexLock lock(&mutex_);
      ++counts_.reopened;
    }
  }
}

bool Listener::AcceptAll(int socket) {
  // Bounded, so that a flood does not keep the thread from its other duties.
  for (int i = 0; i < kBacklog; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd =
        accept4(socket, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      Admit(fd, IpOf(address, size));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (OutOfDescriptors(errno)) {
      return RefuseWithReserve(socket);
    } else if (!OnlyThisConnection(errno)) {
      Log(LogLevel::kError, "accepting connections failed", {{"why", std::strerror(errno)}});
      return false;
    }
  }
  return true;
}

bool Listener::RefuseWithReserve(int socket) {
  Forget(kOftenest);
  if (reserve_ >= 0) close(reserve_);
  const int fd = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  Refused("descriptors have run out", &Counts::refused_descriptors, "");
  if (fd >= 0) close(fd);
  reserve_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  pollfd wait{.fd = wake_, .events = POLLIN, .revents = 0};
  poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(kPause)));
  return true;
}

void Listener::Admit(int fd, const std::string& ip) {
  const bool counted =
      options_.max_connections_per_peer > 0 && (options_.count_loopback_peers || !IsLoopback(ip));
  const std::string peer = counted ? PeerKey(ip) : "";
  const auto full = [this] { return connections_.size() >= static_cast<size_t>(options_.max_connections); };
  const auto peer_full = [this, &peer] {
    if (peer.empty()) return false;
    const auto found = by_peer_.find(peer);
    return found != by_peer_.end() && found->second >= options_.max_connections_per_peer;
  };
  if (full() || peer_full()) Forget(kOftenest);
  struct stat file {};
  if (full() || peer_full() || fstat(fd, &file) != 0) {
    if (peer_full()) {
      Refused("the peer has as many as it may", &Counts::refused_peer, peer);
    } else {
      Refused("there are as many as may be", &Counts::refused_full, peer);
    }
    close(fd);
    return;
  }
  if (!ip.empty()) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const int timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(options_.user_timeout));
    if (timeout_ms > 0) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
  }
  connections_.push_back({.fd = fd, .inode = file.st_ino, .peer = peer});
  if (!peer.empty()) ++by_peer_[peer];
  {
    absl::MutexLock lock(&mutex_);
    counts_.open = static_cast<int>(connections_.size());
    ++counts_.accepted;
  }
  take_(fd);
}

void Listener::Forget(absl::Duration not_within) {
  const absl::Time now = absl::Now();
  if (now - forgot_ < not_within) return;
  forgot_ = now;
  const auto over = [this](const Connection& connection) {
    // Closed, or closed and its number given to something else.
    struct stat file {};
    if (fstat(connection.fd, &file) == 0 && S_ISSOCK(file.st_mode) && file.st_ino == connection.inode) {
      return false;
    }
    if (const auto found = by_peer_.find(connection.peer); found != by_peer_.end()) {
      if (--found->second == 0) by_peer_.erase(found);
    }
    return true;
  };
  connections_.erase(std::remove_if(connections_.begin(), connections_.end(), over), connections_.end());
  absl::MutexLock lock(&mutex_);
  counts_.open = static_cast<int>(connections_.size());
}

void Listener::Refused(const char* why, int64_t Counts::*count, const std::string& peer) {
  int64_t refused = 0;
  {
    absl::MutexLock lock(&mutex_);
    ++(counts_.*count);
    refused = counts_.refused_full + counts_.refused_peer + counts_.refused_descriptors;
  }
  const absl::Time now = absl::Now();
  if (now - told_ < kTold) return;
  told_ = now;
  Log(LogLevel::kWarn, "a connection was refused",
      {{"why", why}, {"open", connections_.size()}, {"peer", peer}, {"refused_so_far", refused}});
}

}  // namespace parley::server
