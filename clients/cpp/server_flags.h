// The flags by which every command line client says where the server is.
#pragma once

#include "CLI/CLI.hpp"
#include "clients/cpp/channel.h"

namespace parley::client {

// --server, --tls, --tls-ca and --tls-server-name, in the group "Server". `channel` must outlive the parsing.
void AddServerFlags(CLI::App& app, ChannelOptions& channel);

}  // namespace parley::client
