// The certificates that calls are encrypted with, read again when they change on disk.
//
// What is on disk is looked at every `ServerOptions::certificate_check`, and when Reload is called. A set
// that is whole and fits together is used from the next connection on; connections that are open stay. One
// that is not (a key that is not the certificate's, a file half written or gone, or none at all but a FIFO)
// is told in the log, once, and the one in use stays. Files are read on a thread that nobody waits for long:
// a file system that does not answer is told in the log, too, and holds up neither calls nor the end.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/options.h"

namespace parley::server {

// Thread-safe. Must outlive the gRPC server that has its credentials.
class Certificates {
 public:
  // What a file holds; any error: it cannot be read. Called by one thread at a time.
  using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;
  // Told once. OK: what is on disk is in use. FAILED_PRECONDITION: it cannot be used. DEADLINE_EXCEEDED: a
  // file is still being read. CANCELLED: the end was quicker. RESOURCE_EXHAUSTED: too many wait to be told.
  using Done = std::function<void(const absl::Status& status)>;

  // Regular files, by base/read_file.h.
  static absl::StatusOr<std::string> ReadFile(const std::string& path);

  // REQUIRES: options.tls_cert is not empty. FAILED_PRECONDITION names the file that cannot be read or is not
  // PEM, or says that certificate and key are not of one another: gRPC itself would take no connection, and
  // not say so. Reads the files itself, and waits for them.
  static absl::StatusOr<std::unique_ptr<Certificates>> Load(const ServerOptions& options,
                                                            FileReader read = &Certificates::ReadFile);
  ~Certificates();

  // For one server.
  std::shared_ptr<grpc::ServerCredentials> MakeCredentials();
  // Has the files looked at, and waits for nothing. `done` is called on another thread, or at once.
  void Reload(Done done);

 private:
  struct Pem {
    std::string chain;
    std::string key;
    std::string client_authority;  // empty: clients show no certificate
    bool operator==(const Pem&) const = default;
  };
  struct Reading;

  Certificates(const ServerOptions& options, FileReader read, Pem pem);
  static absl::StatusOr<Pem> Read(const ServerOptions& options, const FileReader& read, Reading* reading);
  static absl::Status Try(const Pem& pem);
  // For gRPC, at each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** to);
  // What is in use, where gRPC does not have it yet.
  std::optional<Pem> TakeNew();
  void Watch();
  // REQUIRES: none is under way.
  void StartReading() const;
  // What came of a reading: used, or told and not used.
  absl::Status Take(absl::StatusOr<Pem> pem);

  const ServerOptions options_;
  const FileReader read_;
  // Of the watcher: the last that was looked at and not taken. It is not tried, and told, again.
  std::string refused_;
  absl::Mutex mutex_;
  Pem in_use_ ABSL_GUARDED_BY(mutex_);
  bool handed_over_ ABSL_GUARDED_BY(mutex_) = false;  // gRPC has `in_use_`
  const std::shared_ptr<Reading> reading_;  // shared with the thread that reads, which may outlive this
  std::thread watcher_;
};

}  // namespace parley::server
