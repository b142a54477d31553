// Calls over TLS: who gets in, and what happens when certificates are renewed on disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/certificates.h"
#include "tests/server/server_harness.h"

namespace parley::server {
namespace {

namespace fs = std::filesystem;
using M = v1::ServerMessage;
using ::testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Certificates of tests/server/testdata: make_certificates has made them.
std::string Data(const std::string& file) {
  return std::string(PARLEY_SOURCE_DIR) + "/tests/server/testdata/" + file;
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    setup_.server.tls_cert = folder_ + "/cert.pem";
    setup_.server.tls_key = folder_ + "/key.pem";
    setup_.server.certificate_check = absl::Hours(1);
    Renew("cert.pem", "localhost.cert.pem");
    Renew("key.pem", "localhost.key.pem");
  }
  ~TlsTest() override { fs::remove_all(folder_); }

  // As who renews certificates should: a new file takes the name of the old one.
  void Renew(const std::string& name, const std::string& with) {
    fs::copy_file(Data(with), folder_ + "/new", fs::copy_options::overwrite_existing);
    fs::rename(folder_ + "/new", folder_ + "/" + name);
  }
  void RenewBoth() {
    Renew("key.pem", "renewed.key.pem");
    Renew("cert.pem", "renewed.cert.pem");
  }

  // A new connection that trusts the server's certificate `trusted` alone, and shows its own.
  static std::shared_ptr<grpc::Channel> Connect(const TestServer& server, const std::string& trusted,
                                                const std::string& own = "") {
    grpc::SslCredentialsOptions trust;
    trust.pem_root_certs = ReadFile(Data(trusted + ".cert.pem"));
    if (!own.empty()) {
      trust.pem_cert_chain = ReadFile(Data(own + ".cert.pem"));
      trust.pem_private_key = ReadFile(Data(own + ".key.pem"));
    }
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("localhost");
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server.address(), grpc::SslCredentials(trust), arguments);
  }
  static absl::Status Reload(TestServer& server) {
    absl::Notification told;
    absl::Status told_status;
    EXPECT_TRUE(server.server().ReloadCertificates([&](const absl::Status& status) {
      told_status = status;
      told.Notify();
    }));
    told.WaitForNotification();
    return told_status;
  }
  static bool GetsIn(const TestServer& server, const std::string& trusted, const std::string& own = "") {
    TestCall call(Connect(server, trusted, own));
    call.Open({});
    call.Close();
    return call.Finish().ok();
  }

  const std::string folder_ = ::testing::TempDir() + "/parley_tls_test." +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  TestSetup setup_;
};

TEST_F(TlsTest, CallsAreEncryptedWithTheGivenCertificate) {
  TestServer server(setup_);
  TestCall call(Connect(server, "localhost"));
  ASSERT_TRUE(call.Open({}));
  EXPECT_EQ(call.Await(M::kReady).ready().server_config().at("tls"), "on");
  TestCall plain(server.NewChannel());
  EXPECT_EQ(plain.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, WithAClientAuthorityOnlyItsClientsGetIn) {
  setup_.server.tls_client_ca = Data("client_ca.cert.pem");
  TestServer server(setup_);
  TestCall known(Connect(server, "localhost", "client"));
  ASSERT_TRUE(known.Open({}));
  EXPECT_EQ(known.Await(M::kReady).ready().server_config().at("tls"), "mutual");
  for (const char* stranger : {"", "localhost"}) {
    TestCall call(Connect(server, "localhost", stranger));
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE) << stranger;
  }
}

TEST_F(TlsTest, ARenewedCertificateIsShownToTheNextConnectionAndALiveCallGoesOn) {
  TestServer server(setup_);
  TestCall live(Connect(server, "localhost"));
  ASSERT_TRUE(live.Open({}));
  live.Await(M::kReady);
  RenewBoth();
  EXPECT_TRUE(GetsIn(server, "localhost"));
  EXPECT_TRUE(Reload(server).ok());
  EXPECT_TRUE(GetsIn(server, "renewed"));
  EXPECT_FALSE(GetsIn(server, "localhost"));
  live.SendText("Are you still there?");
  EXPECT_EQ(live.Await(M::kResponseDone).response_done().finish_reason(), v1::ResponseDone::END_OF_TURN);
}

TEST_F(TlsTest, ARenewedCertificateIsFoundWithoutBeingTold) {
  setup_.server.certificate_check = absl::Milliseconds(5);
  TestServer server(setup_);
  RenewBoth();
  EXPECT_TRUE(Eventually([&] { return GetsIn(server, "renewed"); }));
}

TEST_F(TlsTest, ARenewalThatIsBrokenOrHalfDoneKeepsThePairInUse) {
  TestServer server(setup_);
  Renew("key.pem", "renewed.key.pem");  // not of the certificate that is still there
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Reload(server).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(GetsIn(server, "localhost"));
  }
  fs::remove(folder_ + "/cert.pem");
  EXPECT_EQ(Reload(server).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(GetsIn(server, "localhost"));
  std::ofstream(folder_ + "/cert.pem") << "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(Reload(server).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(GetsIn(server, "localhost"));
  Renew("cert.pem", "renewed.cert.pem");
  EXPECT_TRUE(Reload(server).ok());
  EXPECT_TRUE(GetsIn(server, "renewed"));
}

TEST_F(TlsTest, ARenewedClientAuthorityDecidesWhoGetsIn) {
  setup_.server.tls_client_ca = folder_ + "/ca.pem";
  Renew("ca.pem", "client_ca.cert.pem");
  TestServer server(setup_);
  EXPECT_TRUE(GetsIn(server, "localhost", "client"));
  Renew("ca.pem", "renewed.cert.pem");
  EXPECT_TRUE(Reload(server).ok());
  EXPECT_FALSE(GetsIn(server, "localhost", "client"));
  EXPECT_TRUE(GetsIn(server, "localhost", "renewed"));
}

TEST_F(TlsTest, WhatIsNoFileOrTooLongIsNotWaitedForAndThePairInUseStays) {
  TestServer server(setup_);
  const std::string path = folder_ + "/cert.pem";
  fs::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  absl::Status status = Reload(server);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--tls-cert " + path + ": is a FIFO"));
  EXPECT_TRUE(GetsIn(server, "localhost"));
  fs::remove(path);
  std::ofstream(path).flush();
  fs::resize_file(path, uintmax_t{1} << 40);  // a hole
  status = Reload(server);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1099511627776 bytes"));
  EXPECT_TRUE(GetsIn(server, "localhost"));
  RenewBoth();
  EXPECT_TRUE(Reload(server).ok());
  EXPECT_TRUE(GetsIn(server, "renewed"));
}

// A file system that does not answer: reading begins, and does not end until the test says so.
struct DeadMount {
  absl::StatusOr<std::string> Read(const std::string& path) {
    if (dead) {
      began.Notify();
      back.WaitForNotification();
      dead = false;
    }
    return Certificates::ReadFile(path);
  }
  std::atomic<bool> dead{false};
  absl::Notification began;
  absl::Notification back;
};

TEST_F(TlsTest, AFileSystemThatDoesNotAnswerHoldsUpNeitherWhoAsksNorTheEnd) {
  setup_.server.certificate_patience = absl::Milliseconds(1);
  const auto mount = std::make_shared<DeadMount>();
  std::vector<absl::StatusCode> told;
  absl::Mutex mutex;
  const auto tell = [&](const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    told.push_back(status.code());
  };
  const auto await = [&](std::vector<absl::StatusCode> expected) {
    absl::MutexLock lock(&mutex);
    const auto enough = [&] { return told.size() >= expected.size(); };
    mutex.Await(absl::Condition(&enough));
    EXPECT_EQ(told, expected);
  };
  {
    auto certificates =
        Certificates::Load(setup_.server, [mount](const std::string& path) { return mount->Read(path); });
    ASSERT_TRUE(certificates.ok()) << certificates.status();
    mount->dead = true;
    (*certificates)->Reload(tell);
    mount->began.WaitForNotification();
    await({absl::StatusCode::kDeadlineExceeded});
    (*certificates)->Reload(tell);  // while it hangs
    await({absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kDeadlineExceeded});
  }
  mount->back.Notify();  // the thread that reads was left alone
}

TEST_F(TlsTest, WhenTheFileSystemAnswersAgainRenewalsAreFound) {
  setup_.server.certificate_patience = absl::Milliseconds(1);
  const auto mount = std::make_shared<DeadMount>();
  auto certificates =
      Certificates::Load(setup_.server, [mount](const std::string& path) { return mount->Read(path); });
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  const auto reload = [&] {
    absl::Notification told;
    absl::Status told_status;
    (*certificates)->Reload([&](const absl::Status& status) {
      told_status = status;
      told.Notify();
    });
    told.WaitForNotification();
    return told_status;
  };
  mount->dead = true;
  const absl::Status late = reload();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late.message()), HasSubstr("--tls-cert " + folder_ + "/cert.pem"));
  mount->back.Notify();
  // Reading what hung may be over before or after this is asked.
  EXPECT_TRUE(Eventually([&] { return reload().ok(); }));
  RenewBoth();
  EXPECT_TRUE(Eventually([&] { return reload().ok(); }));
}

}  // namespace
}  // namespace parley::server
