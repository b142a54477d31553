#include "server/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/peer.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

using ::testing::HasSubstr;

// Holds the connections that a listener gives, until it is told to close them.
class Taken {
 public:
  ~Taken() { CloseAll(); }
  void operator()(int fd) {
    absl::MutexLock lock(&mutex_);
    fds_.push_back(fd);
  }
  int count() {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(fds_.size());
  }
  void CloseAll() {
    absl::MutexLock lock(&mutex_);
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

 private:
  absl::Mutex mutex_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mutex_);
};

// A client's socket.
class Client {
 public:
  explicit Client(int port, const char* from = "127.0.0.1") : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from, &address.sin_addr);
    (void)bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { Close(); }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  bool connected() const { return connected_; }
  // Whether the server closed it; blocks until it says something.
  bool closed() const {
    char byte;
    return recv(fd_, &byte, 1, 0) <= 0;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  bool connected_ = false;
};

class ListenerTest : public ::testing::Test {
 protected:
  ListenerTest() {
    char folder[] = "/tmp/parley_listener_test.XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~ListenerTest() override {
    listener_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path() const { return absl::StrCat(folder_, "/parley.sock"); }
  Listener::Options AtFile() const {
    return {.address = absl::StrCat("unix:", path()), .max_connections = 64};
  }
  Listener::Options AtAnyPort(int connections = 64) const {
    return {.address = "127.0.0.1", .max_connections = connections};
  }
  void Listen(const Listener::Options& options) {
    auto listener = Listener::Open(options);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
    listener_->Start([this](int fd) { taken_(fd); });
  }
  int port() const { return listener_->port(); }
  bool EventuallyTakes(int connections) {
    return Eventually([&] { return taken_.count() == connections; });
  }

  std::string folder_;
  Taken taken_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, ASocketFileIsForItsOwnerAndGroupAndGoesAtTheEnd) {
  Listen(AtFile());
  struct stat file {};
  ASSERT_EQ(stat(path().c_str(), &file), 0);
  EXPECT_TRUE(S_ISSOCK(file.st_mode));
  EXPECT_EQ(file.st_mode & 07777, 0660u);
  const Client client(path());
  EXPECT_TRUE(client.connected());
  EXPECT_TRUE(EventuallyTakes(1));
  listener_->Stop();
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ListenerTest, ASocketFileOfADeadServerIsReplaced) {
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path().data(), path().size());
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(dead);
  Listen(AtFile());
  EXPECT_TRUE(Client(path()).connected());
}

TEST_F(ListenerTest, ASocketFileInUseAndAFileThatIsNoneAreLeftAlone) {
  Listen(AtFile());
  const auto second = Listener::Open(AtFile());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  EXPECT_TRUE(Client(path()).connected());

  Listener::Options other = AtFile();
  other.address = absl::StrCat("unix:", folder_, "/notes.txt");
  std::ofstream(folder_ + "/notes.txt") << "mine";
  EXPECT_EQ(Listener::Open(other).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/notes.txt"));
  other.address = absl::StrCat("unix:/", std::string(108, 'x'));
  EXPECT_EQ(Listener::Open(other).status().code(), absl::StatusCode::kInvalidArgument);
  other.address = "unix:/no/such/folder/parley.sock";
  EXPECT_EQ(Listener::Open(other).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ListenerTest, ASocketFileThatSomebodyRemovedIsMadeAgain) {
  Listen(AtFile());
  std::filesystem::remove(path());
  EXPECT_TRUE(Eventually([&] { return Client(path()).connected(); }));
  EXPECT_TRUE(Eventually([&] { return listener_->counts().reopened == 1; }));
}

TEST_F(ListenerTest, AListeningSocketThatBrokeIsOpenedAgainAtTheSamePort) {
  Listen(AtAnyPort());
  for (int fd = 0; fd < 1'024; ++fd) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    sockaddr_in address{};
    socklen_t address_size = sizeof(address);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_size) == 0 &&
        ntohs(address.sin_port) == port()) {
      ASSERT_EQ(shutdown(fd, SHUT_RDWR), 0);
    }
  }
  ASSERT_TRUE(Eventually([&] { return listener_->counts().reopened == 1; }));
  const Client client(port());
  EXPECT_TRUE(client.connected());
  EXPECT_TRUE(EventuallyTakes(1));
}

TEST_F(ListenerTest, AConnectionTooManyIsClosedAndItsPlaceIsFreeAgainLater) {
  Listen(AtAnyPort(3));
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(port());
  ASSERT_TRUE(EventuallyTakes(3));
  EXPECT_TRUE(Client(port()).closed());
  EXPECT_EQ(listener_->counts().refused_full, 1);
  EXPECT_EQ(listener_->counts().open, 3);
  EXPECT_EQ(listener_->counts().accepted, 3);
  clients.clear();
  taken_.CloseAll();
  EXPECT_TRUE(Eventually([&] { return listener_->counts().open == 0; }));
  const Client client(port());
  EXPECT_TRUE(EventuallyTakes(1));
}

TEST_F(ListenerTest, OnePeerCannotTakeAllConnections) {
  Listener::Options options = AtAnyPort();
  options.max_connections_per_peer = 2;
  options.count_loopback_peers = true;
  Listen(options);
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) clients.emplace_back(port(), "127.0.0.2");
  ASSERT_TRUE(EventuallyTakes(2));
  EXPECT_TRUE(Client(port(), "127.0.0.2").closed());
  EXPECT_EQ(listener_->counts().refused_peer, 1);
  const Client other(port(), "127.0.0.3");
  EXPECT_TRUE(EventuallyTakes(3));
}

TEST_F(ListenerTest, LoopbackPeersAreNotCountedUnlessAskedFor) {
  Listener::Options options = AtAnyPort();
  options.max_connections_per_peer = 1;
  Listen(options);
  const Client first(port());
  const Client second(port());
  EXPECT_TRUE(EventuallyTakes(2));
}

TEST_F(ListenerTest, WhenDescriptorsRunOutItGoesOnAsSoonAsThereAreSome) {
  Listen(AtAnyPort(10'000));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(port());
  ASSERT_TRUE(EventuallyTakes(4));
  // The next connection needs two descriptors, the client's and the server's: there is one.
  const int lowest_free = open("/dev/null", O_RDONLY);
  close(lowest_free);
  const rlimit low{.rlim_cur = static_cast<rlim_t>(lowest_free) + 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  {
    const Client refused(port());
    EXPECT_TRUE(refused.connected());
    EXPECT_TRUE(refused.closed());
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_GT(listener_->counts().refused_descriptors, 0);
  EXPECT_EQ(listener_->counts().refused_full, 0);
  EXPECT_EQ(listener_->counts().reopened, 0);
  const Client client(port());
  EXPECT_TRUE(EventuallyTakes(5));
}

TEST(DescriptorLimit, IsRaisedToWhatTheSystemAllows) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = 256, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(static_cast<rlim_t>(RaiseDescriptorLimit()), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
}

TEST(PeerKey, IsTheIpv4AddressOrTheNetworkOfAnIpv6One) {
  EXPECT_EQ(PeerKey("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(PeerKey("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(PeerKey("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(PeerKey("2001:db8:1:2::"), "2001:db8:1:2::/64");
  EXPECT_EQ(PeerKey("fe80::1%eth0"), "fe80::/64");
  EXPECT_EQ(PeerKey("::1"), "::1");
  for (const char* bad : {"", "192.0.2", "192.0.2.7:80", "example.org", "::1 ", "2001:db8::g"}) {
    EXPECT_EQ(PeerKey(bad), "") << bad;
  }
}

}  // namespace
}  // namespace parley::server
