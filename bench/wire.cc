// Suite `wire`: messages a second there and back over loopback streams, ours answering Ping with Pong on the
// fake engine, against a bare gRPC echo of the same bytes. Client and server share the machine on both sides.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <sys/resource.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "bench/harness.h"
#include "bench/peers/echo_server.h"
#include "engine/fake/fake_engine.h"
#include "parley/v1/parley.pb.h"
#include "server/server.h"

namespace parley::bench {
namespace {

constexpr char kMethod[] = "/parley.v1.Parley/Converse";
constexpr int kWindow = 16;            // messages of a stream under way
constexpr int kMessages = 20'000;      // of all streams together, a run
constexpr int kCheckedMessages = 200;  // of a stream

grpc::ByteBuffer ToBuffer(const v1::ClientMessage& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

v1::ClientMessage Ping(uint64_t seq) {
  v1::ClientMessage message;
  message.set_seq(seq);
  message.mutable_ping()->set_nonce(seq);
  return message;
}

// One stream: opens a call, then sends pings and takes what comes back, kWindow at a time. An echo gives back
// the opening, too, so both sides answer every message once.
class Stream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // `keep`: what comes back is kept for whoever looks at it.
  Stream(grpc::GenericStub* stub, int messages, bool keep) : messages_(messages), keep_(keep) {
    stub->PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    AddHold();  // the first write comes from outside
    StartRead(&read_);
    v1::ClientMessage open;
    open.set_seq(1);
    open.mutable_open()->mutable_config();
    {
      absl::MutexLock lock(&mutex_);
      Write(open);
    }
    StartCall();
  }

  // The stream's status.
  grpc::Status Wait() {
    done_.WaitForNotification();
    return status_;
  }
  const std::vector<grpc::ByteBuffer>& kept() const { return kept_; }  // after Wait

  void OnReadDone(bool ok) override {
    if (ok && keep_) kept_.push_back(read_);
    absl::MutexLock lock(&mutex_);
    if (ok) ++received_;
    // After the last answer one more read finds the end of the stream.
    if (ok) StartRead(&read_);
    over_ = over_ || !ok || received_ == messages_;
    Go();
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    over_ = over_ || !ok;
    Go();
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }

 private:
  void Go() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || released_) return;
    if (over_) {
      released_ = true;
      StartWritesDone();
      RemoveHold();
    } else if (sent_ < messages_ && sent_ - received_ < kWindow) {
      Write(Ping(static_cast<uint64_t>(sent_) + 1));
    }
  }
  void Write(const v1::ClientMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++sent_;
    writing_ = true;
    write_ = ToBuffer(message);
    StartWrite(&write_);
  }

  const int messages_;
  const bool keep_;
  grpc::ClientContext context_;
  grpc::ByteBuffer read_;
  std::vector<grpc::ByteBuffer> kept_;
  absl::Mutex mutex_;
  grpc::ByteBuffer write_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;      // nothing more is sent
  bool released_ ABSL_GUARDED_BY(mutex_) = false;  // and gRPC knows
  int sent_ ABSL_GUARDED_BY(mutex_) = 0;
  int received_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::Status status_;
  absl::Notification done_;
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A server as its clients see it.
class Side {
 public:
  explicit Side(int port)
      : channel_(grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials())),
        stub_(channel_) {}

  absl::StatusOr<std::vector<std::unique_ptr<Stream>>> Play(int streams, int messages_each, bool keep) {
    std::vector<std::unique_ptr<Stream>> all;
    for (int i = 0; i < streams; ++i) {
      all.push_back(std::make_unique<Stream>(&stub_, messages_each, keep));
    }
    grpc::Status status;
    for (const auto& stream : all) {
      if (const grpc::Status each = stream->Wait(); !each.ok()) status = each;
    }
    if (!status.ok()) return absl::InternalError(absl::StrCat("a stream ended: ", status.error_message()));
    return all;
  }

  absl::StatusOr<double> MessagesASecond(int streams) {
    const double start = Now();
    const double cpu = CpuSeconds();
    const auto played = Play(streams, kMessages / streams, false);
    if (!played.ok()) return played.status();
    cpu_us_ = 1e6 * (CpuSeconds() - cpu) / kMessages;
    return kMessages / (Now() - start);
  }
  // Of the last run: client's and server's processor time for a message there and back.
  double cpu_us() const { return cpu_us_; }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  double cpu_us_ = 0;
};

// Every stream must get its answers, each once and in order.
template <typename Message>
absl::Status Check(Side& side, const char* name, bool (*answers)(const Message& message, uint64_t seq)) {
  const auto streams = side.Play(4, kCheckedMessages, true);
  if (!streams.ok()) return streams.status();
  for (const auto& stream : *streams) {
    uint64_t seq = 0;
    for (grpc::ByteBuffer buffer : stream->kept()) {
      Message message;
      if (!grpc::SerializationTraits<Message>::Deserialize(&buffer, &message).ok() ||
          !answers(message, ++seq)) {
        return absl::InternalError(
            absl::StrCat(name, ": message ", seq, " has the wrong answer: nothing is timed"));
      }
    }
    if (seq != kCheckedMessages) return absl::InternalError(absl::StrCat(name, ": ", seq, " answers"));
  }
  return absl::OkStatus();
}

absl::Status Measure(const SuiteOptions& options) {
  const engine::LoadedFake fake = engine::MakeFakeEngine({}, Clock::Real());
  server::ServerOptions server_options;
  server_options.port = 0;
  server_options.metrics_address = "none";
  server_options.max_calls = 256;
  server_options.decoder_program = PARLEY_DECODER_BINARY;
  const auto server =
      server::ParleyServer::Start(server_options, fake.engine.get(), fake.speech_detector.get());
  if (!server.ok()) return server.status();
  (*server)->SetReady();
  const auto echo = EchoServer::Start();
  if (!echo.ok()) return echo.status();
  Side ours((*server)->port());
  Side peer((*echo)->port());
  const absl::Status pongs =
      Check<v1::ServerMessage>(ours, "parley-server", [](const v1::ServerMessage& message, uint64_t seq) {
        return message.seq() == seq && (seq == 1 ? message.has_ready() : message.pong().nonce() == seq);
      });
  if (!pongs.ok()) return pongs;
  const absl::Status echoes =
      Check<v1::ClientMessage>(peer, "echo", [](const v1::ClientMessage& message, uint64_t seq) {
        return message.seq() == seq && (seq == 1 ? message.has_open() : message.ping().nonce() == seq);
      });
  if (!echoes.ok()) return echoes;

  for (const auto& [name, streams] :
       {std::pair("messages", 8), std::pair("messages_1_call", 1), std::pair("messages_64_calls", 64)}) {
    const absl::StatusOr<std::vector<double>> medians =
        Alternate({[&, n = streams] { return ours.MessagesASecond(n); },
                   [&, n = streams] { return peer.MessagesASecond(n); }},
                  {.seconds = options.seconds});
    if (!medians.ok()) return medians.status();
    Figure figure = {.suite = "wire", .name = name, .ours = (*medians)[0]};
    figure.unit = "messages/s";
    figure.peer = (*medians)[1];
    figure.peer_name = absl::StrCat("bare gRPC ", grpc::Version(), " echo");
    figure.setting = {{"calls", streams},
                      {"in_flight_a_call", kWindow},
                      {"cpu_us_a_message", ours.cpu_us()},
                      {"peer_cpu_us_a_message", peer.cpu_us()}};
    Print(figure);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "Messages over gRPC, against a bare echo.",
                                  parley::bench::Measure);
}
