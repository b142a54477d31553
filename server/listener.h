// Where connections are taken: at an IP address or at a socket file, how many at once, and how many of a
// peer.
//
// gRPC 1.51 stops listening for good when accept() fails once, and one connection too many makes it fail
// (EMFILE); it counts no connections either. So this accepts, and gRPC is given what it may keep.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace parley::server {

// The limit of descriptors of this process, raised to the most that the system lets it have. Returns it.
int RaiseDescriptorLimit();

// One thread accepts; the public functions are for one owner, `counts` for any thread.
//
// When there are `max_connections`, or a peer has `max_connections_per_peer`, a new one is closed at once.
// When descriptors run out all the same, one that is kept in reserve is given up to take and close what
// waits. A listening socket that broke, and a socket file that somebody removed, are opened again, tried once
// a second.
class Listener {
 public:
  struct Options {
    std::string address;  // an IP address or name, or unix:PATH
    int port = 0;         // 0: any free one; not for a socket file
    int max_connections = 0;
    int max_connections_per_peer = 0;  // 0: as many as all; a socket file's are never counted by peer
    bool count_loopback_peers = false;
    // A connection whose peer acknowledges nothing for this long is dropped by the kernel. 0: its default.
    absl::Duration user_timeout;
  };
  struct Counts {
    int open = 0;
    int64_t accepted = 0;             // those given to `take`
    int64_t refused_full = 0;         // closed because of max_connections
    int64_t refused_peer = 0;         // because of max_connections_per_peer
    int64_t refused_descriptors = 0;  // because descriptors ran out
    int64_t reopened = 0;             // times a listening socket was opened again
  };

  // Binds and listens. A socket file gets mode 0660: who may open it is believed about whom he speaks for
  // (see Peer). One that a dead server left is replaced. Errors, with the address in their text:
  // INVALID_ARGUMENT (no such name, a path that is too long), UNAVAILABLE (taken, not allowed),
  // FAILED_PRECONDITION (a file that is no socket is at the path).
  static absl::StatusOr<std::unique_ptr<Listener>> Open(Options options);
  // Stop.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Begins to accept. `take` owns the descriptor, which is not blocking, and closes it when the connection
  // is over; it is called on the accepting thread. Once.
  void Start(std::function<void(int fd)> take);
  // Takes no more connections and removes the socket file. Those that were taken go on. Again: a no-op.
  void Stop();

  int port() const { return port_; }  // 0: a socket file
  Counts counts() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Connection {
    int fd;
    ino_t inode;  // tells it from a later one with the same number
    std::string peer;
  };

  explicit Listener(Options options) : options_(std::move(options)) {}
  absl::Status Bind();
  absl::Status BindFile();
  absl::Status BindAddresses();
  void CloseSockets();

  void Run();
  // False: the socket is broken.
  bool AcceptAll(int socket);
  void Admit(int fd, const std::string& peer);
  bool RefuseWithReserve(int socket);
  // Drops from the table what gRPC has closed, unless that was looked at a moment ago.
  void Forget(absl::Duration not_within);
  bool FileIsOurs() const;
  void Refused(const char* why, int64_t Counts::*count, const std::string& peer);

  const Options options_;
  std::string path_;  // of the socket file; empty: an IP address
  int port_ = 0;
  std::vector<int> sockets_;
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;
  int wake_ = -1;     // an eventfd: stop
  int reserve_ = -1;  // given up when descriptors run out
  std::function<void(int fd)> take_;
  std::thread thread_;

  // The accepting thread's.
  std::vector<Connection> connections_;
  absl::flat_hash_map<std::string, int> by_peer_;
  absl::Time forgot_ = absl::InfinitePast();
  absl::Time told_ = absl::InfinitePast();

  mutable absl::Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace parley::server
