// A gRPC server whose answers a test writes: one handler for the stream, real transport, no engine.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "parley/v1/parley.grpc.pb.h"

namespace parley::client {

class ScriptedServer {
 public:
  using Stream = grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>;
  using Script = std::function<grpc::Status(Stream&, grpc::ServerContext&)>;

  explicit ScriptedServer(Script script) : service_(std::move(script)) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedServer() { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  grpc::Server& server() { return *server_; }

 private:
  class Service final : public v1::Parley::Service {
   public:
    explicit Service(Script script) : script_(std::move(script)) {}
    grpc::Status Converse(grpc::ServerContext* context, Stream* stream) override {
      return script_(*stream, *context);
    }

   private:
    const Script script_;
  };

  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace parley::client
