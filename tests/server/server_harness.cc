#include "tests/server/server_harness.h"

#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace parley::server {
namespace {

constexpr int kRateHz = 16'000;

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return "";
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

// Sends one message, keeps the first answer, then half-closes.
class Exchange : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit Exchange(const std::string& request) : request_(ToBuffer(request)) {}
  void Start() {
    StartRead(&response_);
    StartWrite(&request_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (ok && answer_.empty()) answer_ = ToString(response_);
    if (!std::exchange(closed_, true)) StartWritesDone();
    if (ok) StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }
  grpc::Status Wait() {
    done_.WaitForNotification();
    return status_;
  }
  const std::string& answer() const { return answer_; }

 private:
  const grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::string answer_;
  bool closed_ = false;
  grpc::Status status_;
  absl::Notification done_;
};

}  // namespace

bool Eventually(const std::function<bool()>& condition, absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::Notification never;
    never.WaitForNotificationWithTimeout(absl::Milliseconds(2));
  }
  return true;
}

TestSetup Simulated(SimulatedClock* clock) {
  TestSetup setup;
  setup.clock = clock;
  for (absl::Duration* limit : {&setup.server.max_wait, &setup.server.engine_stall, &setup.server.max_call,
                                &setup.server.idle, &setup.server.slow_reader, &setup.server.drain_limit}) {
    *limit = absl::InfiniteDuration();
  }
  return setup;
}

TestServer::TestServer(TestSetup setup) {
  EXPECT_TRUE(setup.clock == Clock::Real() || setup.server.slow_reader == absl::InfiniteDuration())
      << "simulated time would run against a real socket: begin with Simulated()";
  fake_ = engine::MakeFakeEngine(setup.fake, setup.clock);
  setup.server.port = 0;
  setup.server.decoder_program = PARLEY_DECODER_BINARY;
  setup.server.metrics_address = setup.metrics ? setup.metrics_address : "none";
  setup.server.tick = absl::Milliseconds(5);
  if (setup.at_socket_file) {
    static int files = 0;
    socket_file_ = absl::StrCat("unix:/tmp/parley_test.", getpid(), ".", ++files, ".sock");
    setup.server.address = socket_file_;
  }
  auto server = ParleyServer::Start(setup.server, fake_.engine.get(),
                                    setup.with_detector ? fake_.speech_detector.get() : nullptr, setup.clock);
  EXPECT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  if (setup.ready) server_->SetReady();
}

std::string TestServer::address() const {
  return socket_file_.empty() ? absl::StrCat("127.0.0.1:", server_->port()) : socket_file_;
}

std::shared_ptr<grpc::Channel> TestServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
}

std::string TestServer::MetricsPage() const { return HttpGet(server_->metrics_port(), "/metrics"); }

TestCall::TestCall(std::shared_ptr<grpc::Channel> channel, bool reads,
                   const std::map<std::string, std::string>& metadata)
    : stub_(v1::Parley::NewStub(std::move(channel))) {
  for (const auto& [name, value] : metadata) context_.AddMetadata(name, value);
  stream_ = stub_->Converse(&context_);
  if (reads) Read();
}

TestCall::~TestCall() {
  if (!status_.has_value()) {
    Cancel();
    Finish();
  }
}

void TestCall::Read() {
  reader_ = std::thread([this] {
    v1::ServerMessage message;
    while (stream_->Read(&message)) {
      absl::MutexLock lock(&mutex_);
      messages_.push_back(message);
    }
    absl::MutexLock lock(&mutex_);
    over_ = true;
  });
}

bool TestCall::Send(v1::ClientMessage message) {
  message.set_seq(++seq_);
  return stream_->Write(message);
}

bool TestCall::Open(const v1::SessionConfig& config) {
  v1::ClientMessage message;
  *message.mutable_open()->mutable_config() = config;
  return Send(std::move(message));
}

bool TestCall::SendText(const std::string& text) {
  v1::ClientMessage message;
  message.mutable_text()->set_text(text);
  return Send(std::move(message));
}

bool TestCall::SendAudio(int ms, bool speech) {
  constexpr int kChunk = kRateHz / 50;
  for (int left = ms * kRateHz / 1000; left > 0; left -= kChunk) {
    std::string data;
    for (int i = 0; i < std::min(left, kChunk); ++i) {
      const double t = static_cast<double>(next_sample_ + i) / kRateHz;
      const auto sample = static_cast<int16_t>(speech ? 8'000 * std::sin(2 * M_PI * 440 * t) : 0);
      data.push_back(static_cast<char>(sample & 0xff));
      data.push_back(static_cast<char>((sample >> 8) & 0xff));
    }
    v1::ClientMessage message;
    message.mutable_audio()->set_first_sample_index(next_sample_);
    next_sample_ += data.size() / 2;
    message.mutable_audio()->set_data(std::move(data));
    if (!Send(std::move(message))) return false;
  }
  return true;
}

bool TestCall::Close() {
  v1::ClientMessage message;
  message.mutable_close();
  return Send(std::move(message));
}

v1::ServerMessage TestCall::Await(Case payload) {
  struct Wait {
    TestCall* call;
    Case payload;
    size_t at;
  } wait{this, payload, cursor_};
  auto found = +[](Wait* wait) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    auto& messages = wait->call->messages_;
    for (; wait->at < messages.size(); ++wait->at) {
      if (messages[wait->at].payload_case() == wait->payload) return true;
    }
    return wait->call->over_;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(found, &wait), kPatience);
  if (wait.at >= messages_.size()) {
    std::string seen;
    for (const auto& message : messages_) absl::StrAppend(&seen, message.ShortDebugString(), "\n");
    ADD_FAILURE() << "no message with payload " << payload << "; there came:\n" << seen;
    return {};
  }
  cursor_ = wait.at + 1;
  return messages_[wait.at];
}

bool TestCall::Has(Case payload) {
  absl::MutexLock lock(&mutex_);
  return over_ || std::any_of(messages_.begin() + static_cast<ptrdiff_t>(cursor_), messages_.end(),
                              [payload](const auto& message) { return message.payload_case() == payload; });
}

v1::ServerMessage TestCall::AwaitWhileTimePasses(Case payload, SimulatedClock& clock, absl::Duration step) {
  Eventually([&] {
    if (Has(payload)) return true;
    clock.Advance(step);
    return false;
  });
  return Await(payload);
}

grpc::Status TestCall::Finish() {
  if (status_.has_value()) return *status_;
  if (!reader_.joinable()) Read();
  reader_.join();
  status_ = stream_->Finish();
  return *status_;
}

std::vector<v1::ServerMessage> TestCall::messages() {
  absl::MutexLock lock(&mutex_);
  return messages_;
}

std::string AnswerText(const std::vector<v1::ServerMessage>& messages, uint64_t response_id) {
  std::string text;
  for (const v1::ServerMessage& message : messages) {
    if (message.has_token() && message.response_id() == response_id) text += message.token().text();
  }
  return text;
}

v1::SessionConfig AudioConfig() {
  v1::SessionConfig config;
  config.mutable_audio()->set_codec(v1::AudioFormat::PCM16);
  config.mutable_audio()->set_sample_rate_hz(kRateHz);
  return config;
}

grpc::Status CallBytes(std::shared_ptr<grpc::Channel> channel, const std::string& method,
                       const std::string& request, std::string* response) {
  grpc::GenericStub stub(std::move(channel));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const grpc::ByteBuffer sent = ToBuffer(request);
  grpc::ByteBuffer received;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, method, {}, &sent, &received, [&](grpc::Status result) {
    status = std::move(result);
    done.Notify();
  });
  done.WaitForNotification();
  if (status.ok()) *response = ToString(received);
  return status;
}

std::string ExchangeBytes(std::shared_ptr<grpc::Channel> channel, const std::string& method,
                          const std::string& request, grpc::Status* status) {
  grpc::GenericStub stub(std::move(channel));
  grpc::ClientContext context;
  Exchange exchange(request);
  stub.PrepareBidiStreamingCall(&context, method, {}, &exchange);
  exchange.Start();
  *status = exchange.Wait();
  return exchange.answer();
}

int Health(std::shared_ptr<grpc::Channel> channel, const std::string& service) {
  // HealthCheckRequest {string service = 1}, HealthCheckResponse {ServingStatus status = 1}.
  std::string request;
  if (!service.empty())
    request = absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service);
  std::string response;
  const grpc::Status status =
      CallBytes(std::move(channel), "/grpc.health.v1.Health/Check", request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.size() == 2 && response[0] == 0x08 ? response[1] : -1;
}

LoopbackSocket::LoopbackSocket(int port, bool v6)
    : fd_(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in v4_address{};
  v4_address.sin_family = AF_INET;
  v4_address.sin_port = htons(static_cast<uint16_t>(port));
  v4_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6_address{};
  v6_address.sin6_family = AF_INET6;
  v6_address.sin6_port = htons(static_cast<uint16_t>(port));
  v6_address.sin6_addr = in6addr_loopback;
  connected_ = v6 ? connect(fd_, reinterpret_cast<sockaddr*>(&v6_address), sizeof(v6_address)) == 0
                  : connect(fd_, reinterpret_cast<sockaddr*>(&v4_address), sizeof(v4_address)) == 0;
}

LoopbackSocket::~LoopbackSocket() { close(fd_); }

bool LoopbackSocket::Send(const std::string& bytes) {
  return connected_ &&
         send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::string LoopbackSocket::ReadAll() {
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd_, buffer, sizeof(buffer), 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  return answer;
}

std::string HttpGet(int port, const std::string& path, bool v6) {
  LoopbackSocket connection(port, v6);
  if (!connection.Send(absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: localhost\r\n\r\n"))) return "";
  return connection.ReadAll();
}

}  // namespace parley::server
