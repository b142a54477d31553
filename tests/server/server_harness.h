// A real server on the fake engine, and a client that talks to it over a loopback connection.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/fake/fake_engine.h"
#include "parley/v1/parley.grpc.pb.h"
#include "server/server.h"

namespace parley::server {

// Longer than anything takes, sanitizers and a busy machine included: what waits for this has failed.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// Waits for a condition that no notification tells of: a few milliseconds between looks.
bool Eventually(const std::function<bool()>& condition, absl::Duration patience = kPatience);

struct TestSetup {
  engine::FakeOptions fake;
  // Port, tick and metrics address are replaced. Pictures are decoded in-process, unless a test says
  // otherwise: starting processes takes longer than most tests.
  ServerOptions server = {.picture_decoders = "in-process"};
  bool at_socket_file = false;
  const Clock* clock = Clock::Real();
  bool with_detector = true;
  bool ready = true;
  bool metrics = false;  // its HTTP server takes two seconds to stop
  std::string metrics_address = "127.0.0.1:0";
};

// A server in simulated time, for a client over a real socket. The clock can jump while a message is on its
// way, so that a time limit on what the client or the transport does can run out at any moment: all are
// infinite here, and a test sets the one that it is about. What moves the clock to such a limit moves it
// again until the limit has run out (TestCall::AwaitWhileTimePasses): when a period begins is up to the
// server's threads, too.
TestSetup Simulated(SimulatedClock* clock);

class TestServer {
 public:
  explicit TestServer(TestSetup setup = {});

  ParleyServer& server() { return *server_; }
  engine::Engine& engine() { return *fake_.engine; }
  std::string address() const;
  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  std::string MetricsPage() const;
  int conversations() const { return fake_.engine->stats().conversations; }

 private:
  engine::LoadedFake fake_;
  std::string socket_file_;
  std::unique_ptr<ParleyServer> server_;
};

// One call from the client's side. A thread reads what the server sends; the test waits for it.
class TestCall {
 public:
  using Case = v1::ServerMessage::PayloadCase;

  // `metadata` goes with the stream, as a proxy may set it.
  explicit TestCall(std::shared_ptr<grpc::Channel> channel, bool reads = true,
                    const std::map<std::string, std::string>& metadata = {});
  ~TestCall();  // cancels what is still going on

  // Sends with the next seq; false: the stream is over.
  bool Send(v1::ClientMessage message);
  bool SendRaw(const v1::ClientMessage& message) { return stream_->Write(message); }
  bool Open(const v1::SessionConfig& config);
  bool SendText(const std::string& text);
  // 16 kHz mono PCM16 in chunks of 20 ms: a tone, which the fake detector takes for speech, or silence.
  bool SendAudio(int ms, bool speech);
  bool SendSpeech(int ms) { return SendAudio(ms, true); }
  bool SendSilence(int ms) { return SendAudio(ms, false); }
  bool Close();
  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  // Starts to read, where the constructor did not.
  void Read();

  // The next message with this payload after the one that the last Await gave; fails the test when the stream
  // ends first, or after kPatience.
  v1::ServerMessage Await(Case payload);
  // The same while the clock moves on by `step` again and again.
  v1::ServerMessage AwaitWhileTimePasses(Case payload, SimulatedClock& clock, absl::Duration step);
  // The status of the stream; reads it to its end.
  grpc::Status Finish();
  // All that has come so far.
  std::vector<v1::ServerMessage> messages();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::Parley::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientMessage, v1::ServerMessage>> stream_;
  // Whether Await would not wait.
  bool Has(Case payload);

  std::thread reader_;
  uint64_t seq_ = 0;
  uint64_t next_sample_ = 0;
  size_t cursor_ = 0;
  std::optional<grpc::Status> status_;

  absl::Mutex mutex_;
  std::vector<v1::ServerMessage> messages_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

// What an answer says.
std::string AnswerText(const std::vector<v1::ServerMessage>& messages, uint64_t response_id);

// 16 kHz PCM16, and the defaults for the rest.
v1::SessionConfig AudioConfig();

// A unary call of bytes, for services whose stubs are not at hand.
grpc::Status CallBytes(std::shared_ptr<grpc::Channel> channel, const std::string& method,
                       const std::string& request, std::string* response);
// The same over a bidirectional stream: sends one message and gives the first answer.
std::string ExchangeBytes(std::shared_ptr<grpc::Channel> channel, const std::string& method,
                          const std::string& request, grpc::Status* status);
// grpc.health.v1 for `service`: 1 SERVING, 2 NOT_SERVING.
int Health(std::shared_ptr<grpc::Channel> channel, const std::string& service = "");

// A TCP connection to a loopback port.
class LoopbackSocket {
 public:
  explicit LoopbackSocket(int port, bool v6 = false);
  ~LoopbackSocket();
  LoopbackSocket(const LoopbackSocket&) = delete;
  LoopbackSocket& operator=(const LoopbackSocket&) = delete;

  bool Send(const std::string& bytes);
  // Until the other side closes.
  std::string ReadAll();

 private:
  const int fd_;
  bool connected_ = false;
};

// The whole answer of an HTTP GET at a loopback port; empty: nobody is there.
std::string HttpGet(int port, const std::string& path, bool v6 = false);

}  // namespace parley::server
