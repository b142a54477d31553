// The gRPC service: every stream becomes a CallStream, and GetCapabilities answers from the environment.
#pragma once

#include "parley/v1/parley.grpc.pb.h"
#include "server/call_environment.h"
#include "server/call_stream.h"

namespace parley::server {

// What GetCapabilities answers.
v1::Capabilities MakeCapabilities(const CallEnvironment& environment);

// Thread-safe, as gRPC calls it. Converse is raw: CallStream says why.
class Service final : public v1::Parley::WithRawCallbackMethod_Converse<
                          v1::Parley::WithCallbackMethod_GetCapabilities<v1::Parley::Service>> {
 public:
  explicit Service(const CallEnvironment* environment)
      : environment_(environment), capabilities_(MakeCapabilities(*environment)) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Converse(
      grpc::CallbackServerContext* context) override {
    return CallStream::Start(context, environment_);
  }
  grpc::ServerUnaryReactor* GetCapabilities(grpc::CallbackServerContext* context,
                                            const v1::GetCapabilitiesRequest*,
                                            v1::Capabilities* response) override {
    *response = capabilities_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const CallEnvironment* const environment_;
  const v1::Capabilities capabilities_;
};

}  // namespace parley::server
