// What all calls of a server share.
#pragma once

#include <map>
#include <string>

#include "parley/v1/parley.pb.h"
#include "server/call_registry.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/validation.h"
#include "streaming/call/live_call.h"

namespace parley::server {

// Owned by the server. Outlives every call, and does not change once the first stream has arrived.
struct CallEnvironment {
  ServerOptions options;
  v1::Limits limits;
  Accepts accepts;
  v1::ModelInfo model;
  std::map<std::string, std::string> server_config;  // for SessionReady
  streaming::LiveCall::Dependencies dependencies;
  Metrics* metrics = nullptr;
  CallRegistry* registry = nullptr;
};

}  // namespace parley::server
