// The certificates that calls are encrypted with, read again when they change on disk.
//
// What is on disk is looked at every `ServerOptions::certificate_check`, and when Reload is called. A set
// that is whole and fits together is used from the next connection on; connections that are open stay. One
// that is not (a key that is not the certificate's, a file half written or gone) is told in the log, once,
// and the one in use stays.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

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
  // REQUIRES: options.tls_cert is not empty. FAILED_PRECONDITION names the file that cannot be read or is not
  // PEM, or says that certificate and key are not of one another: gRPC itself would take no connection, and
  // not say so.
  static absl::StatusOr<std::unique_ptr<Certificates>> Load(const ServerOptions& options);
  ~Certificates();

  // For one server.
  std::shared_ptr<grpc::ServerCredentials> MakeCredentials();
  // Looks at the files now. OK: what is on disk is in use.
  absl::Status Reload();

 private:
  struct Pem {
    std::string chain;
    std::string key;
    std::string client_authority;  // empty: clients show no certificate
    bool operator==(const Pem&) const = default;
  };

  Certificates(const ServerOptions& options, Pem pem);
  static absl::StatusOr<Pem> Read(const ServerOptions& options);
  static absl::Status Try(const Pem& pem);
  // For gRPC, at each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** to);
  // What is in use, where gRPC does not have it yet.
  std::optional<Pem> TakeNew();
  void Watch();

  const ServerOptions options_;
  absl::Mutex reload_mutex_;  // before mutex_
  // The last that was looked at and not taken: it is not tried, and told, again.
  std::string refused_ ABSL_GUARDED_BY(reload_mutex_);
  absl::Mutex mutex_;
  Pem in_use_ ABSL_GUARDED_BY(mutex_);
  bool handed_over_ ABSL_GUARDED_BY(mutex_) = false;  // gRPC has `in_use_`
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace parley::server
