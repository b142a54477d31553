#include "server/certificates.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/read_file.h"
#include "server/log.h"

namespace parley::server {
namespace {

constexpr size_t kMostPemBytes = 4 << 20;
constexpr size_t kMostAsked = 16;

// gRPC's own credentials are made once of fixed certificates. Those of its C interface ask for them at each
// handshake; this makes them the C++ interface's, which newer releases do themselves.
template <typename Base, bool kTakesThem = std::is_constructible_v<Base, grpc_server_credentials*>>
class Wrapped final : public Base {
 public:
  explicit Wrapped(grpc_server_credentials* of) : of_(of) {}
  ~Wrapped() override { grpc_server_credentials_release(of_); }
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), of_);
  }
  grpc_server_credentials* const of_;
};
template <typename Base>
class Wrapped<Base, true> final : public Base {
 public:
  explicit Wrapped(grpc_server_credentials* of) : Base(of) {}
};

// Whether the first certificate can be parsed, and the key, and they belong together.
absl::Status CheckKeyPair(const ServerOptions& options, const std::string& certificate,
                          const std::string& key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> certificate_text(
      BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> parsed(
      PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr), X509_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> key_text(
      BIO_new_mem_buf(key.data(), static_cast<int>(key.size())), BIO_free);
  // No password: a server asks nobody.
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> parsed_key(
      PEM_read_bio_PrivateKey(
          key_text.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr),
      EVP_PKEY_free);
  const bool fit = parsed != nullptr && parsed_key != nullptr &&
                   X509_check_private_key(parsed.get(), parsed_key.get()) == 1;
  ERR_clear_error();
  if (fit) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--tls-cert ", options.tls_cert, " and --tls-key ", options.tls_key, ": ",
                   parsed == nullptr       ? "the certificate is damaged"
                   : parsed_key == nullptr ? "the key is damaged, or needs a password"
                                           : "they are not of one another"));
}

}  // namespace

// What the watcher and the thread that reads the files share, and all that the latter has.
struct Certificates::Reading {
  bool Wanted() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return stopping || !asked.empty(); }
  bool Over() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return stopping || !busy; }

  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::vector<Done> asked ABSL_GUARDED_BY(mutex);  // since the files were read last; at most kMostAsked
  bool busy ABSL_GUARDED_BY(mutex) = false;        // there is a thread that reads
  std::string at ABSL_GUARDED_BY(mutex);           // the flag and the file that it is at
  std::optional<absl::StatusOr<Pem>> found ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<std::string> Certificates::ReadFile(const std::string& path) {
  return ReadRegularFile(path, kMostPemBytes);
}

absl::StatusOr<Certificates::Pem> Certificates::Read(const ServerOptions& options, const FileReader& read,
                                                     Reading* reading) {
  Pem pem;
  const struct {
    const char* flag;
    const std::string& path;
    const char* kind;
    std::string& to;
  } files[] = {{"--tls-cert", options.tls_cert, "CERTIFICATE", pem.chain},
               {"--tls-key", options.tls_key, "PRIVATE KEY", pem.key},
               {"--tls-client-ca", options.tls_client_ca, "CERTIFICATE", pem.client_authority}};
  for (const auto& file : files) {
    if (file.path.empty()) continue;  // only the authority may be left out
    {
      absl::MutexLock lock(&reading->mutex);
      reading->at = absl::StrCat(file.flag, " ", file.path);
    }
    absl::StatusOr<std::string> text = read(file.path);
    if (!text.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(file.flag, " ", text.status().message()));
    }
    if (!absl::StrContains(*text, absl::StrCat(file.kind, "-----"))) {
      return absl::FailedPreconditionError(
          absl::StrCat(file.flag, " ", file.path, ": holds no PEM block '", file.kind, "'"));
    }
    file.to = *std::move(text);
  }
  return pem;
}

absl::StatusOr<std::unique_ptr<Certificates>> Certificates::Load(const ServerOptions& options,
                                                                 FileReader read) {
  Reading reading;
  absl::StatusOr<Pem> pem = Read(options, read, &reading);
  if (!pem.ok()) return pem.status();
  if (absl::Status status = CheckKeyPair(options, pem->chain, pem->key); !status.ok()) return status;
  return std::unique_ptr<Certificates>(new Certificates(options, std::move(read), *std::move(pem)));
}

Certificates::Certificates(const ServerOptions& options, FileReader read, Pem pem)
    : options_(options),
      read_(std::move(read)),
      in_use_(std::move(pem)),
      reading_(std::make_shared<Reading>()) {
  grpc_init();
  watcher_ = std::thread([this] { Watch(); });
}

Certificates::~Certificates() {
  {
    absl::MutexLock lock(&reading_->mutex);
    reading_->stopping = true;
  }
  watcher_.join();
  grpc_shutdown();
}

std::shared_ptr<grpc::ServerCredentials> Certificates::MakeCredentials() {
  grpc_ssl_server_credentials_options* options =
      grpc_ssl_server_credentials_create_options_using_config_fetcher(
          options_.tls_client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                         : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
          &Certificates::Fetch, this);
  return std::make_shared<Wrapped<grpc::ServerCredentials>>(
      grpc_ssl_server_credentials_create_with_options(options));
}

grpc_ssl_certificate_config_reload_status Certificates::Fetch(void* self,
                                                              grpc_ssl_server_certificate_config** to) {
  const std::optional<Pem> pem = static_cast<Certificates*>(self)->TakeNew();
  if (!pem.has_value()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {pem->key.c_str(), pem->chain.c_str()};
  // gRPC wants an authority even where it asks clients for nothing.
  const std::string& authority = pem->client_authority.empty() ? pem->chain : pem->client_authority;
  *to = grpc_ssl_server_certificate_config_create(authority.c_str(), &pair, 1);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

std::optional<Certificates::Pem> Certificates::TakeNew() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(handed_over_, true)) return std::nullopt;
  return in_use_;
}

// gRPC itself says whether it could serve with them, at an address that nobody knows.
absl::Status Certificates::Try(const Pem& pem) {
  static std::atomic<int> count{0};
  grpc::SslServerCredentialsOptions tls(pem.client_authority.empty()
                                            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = pem.client_authority;
  tls.pem_key_cert_pairs.push_back({pem.key, pem.chain});
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix-abstract:parley-certificates-", getpid(), "-", ++count),
                           grpc::SslServerCredentials(tls));
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::FailedPreconditionError(
        "the certificate, its key or the client authority is damaged, or "
        "they are not of one another");
  }
  server->Shutdown();
  return absl::OkStatus();
}

void Certificates::Reload(Done done) {
  {
    absl::MutexLock lock(&reading_->mutex);
    if (!reading_->stopping && reading_->asked.size() < kMostAsked) {
      reading_->asked.push_back(std::move(done));
      return;
    }
  }
  done(absl::ResourceExhaustedError("enough wait for the certificates to be read"));
}

absl::Status Certificates::Take(absl::StatusOr<Pem> pem) {
  absl::Status status = pem.status();
  std::string seen(status.message());
  if (pem.ok()) {
    seen = absl::StrCat(pem->chain, pem->key, pem->client_authority);
    absl::MutexLock lock(&mutex_);
    if (*pem == in_use_) {
      refused_.clear();
      return absl::OkStatus();
    }
  }
  const bool again = seen == refused_;
  if (pem.ok()) {
    status = again ? absl::FailedPreconditionError("as before: they cannot be used") : Try(*pem);
  }
  if (!status.ok()) {
    if (!again) {
      Log(LogLevel::kError, "renewed certificates cannot be used: those in use stay",
          {{"why", status.message()}});
    }
    refused_ = std::move(seen);
    return status;
  }
  refused_.clear();
  {
    absl::MutexLock lock(&mutex_);
    in_use_ = *std::move(pem);
    handed_over_ = false;
  }
  Log(LogLevel::kInfo, "renewed certificates: used from the next connection on");
  return absl::OkStatus();
}

void Certificates::StartReading() const {
  // Not joined: it may never come back from the file system.
  std::thread([reading = reading_, options = options_, read = read_] {
    absl::StatusOr<Pem> found = Read(options, read, reading.get());
    absl::MutexLock lock(&reading->mutex);
    reading->found = std::move(found);
    reading->busy = false;
  }).detach();
}

void Certificates::Watch() {
  std::vector<Done> waiting;
  const auto tell = [&waiting](const absl::Status& status) {
    for (const Done& done : std::exchange(waiting, {})) done(status);
  };
  Reading& reading = *reading_;
  bool late = false;
  while (true) {
    std::optional<absl::StatusOr<Pem>> found;
    std::string at;
    {
      absl::MutexLock lock(&reading.mutex);
      if (!reading.busy) {
        reading.mutex.AwaitWithTimeout(absl::Condition(&reading, &Reading::Wanted),
                                       options_.certificate_check);
        if (reading.stopping) break;
        waiting = std::exchange(reading.asked, {});
        reading.busy = true;
        reading.at = absl::StrCat("--tls-cert ", options_.tls_cert);  // until the thread says more
        StartReading();
      }
      reading.mutex.AwaitWithTimeout(absl::Condition(&reading, &Reading::Over),
                                     options_.certificate_patience);
      if (reading.stopping) break;
      found = std::exchange(reading.found, std::nullopt);
      if (!found.has_value()) {
        at = reading.at;
        for (Done& done : std::exchange(reading.asked, {})) waiting.push_back(std::move(done));
      }
    }
    if (found.has_value()) {
      late = false;
      tell(Take(*std::move(found)));
      continue;
    }
    if (!std::exchange(late, true)) {
      Log(LogLevel::kError, "a certificate file is not read to its end: those in use stay",
          {{"file", at}, {"waited_s", absl::ToDoubleSeconds(options_.certificate_patience)}});
    }
    tell(absl::DeadlineExceededError(absl::StrCat(at, ": still being read")));
  }
  {
    absl::MutexLock lock(&reading.mutex);
    for (Done& done : std::exchange(reading.asked, {})) waiting.push_back(std::move(done));
  }
  tell(absl::CancelledError("the server ends"));
}

}  // namespace parley::server
