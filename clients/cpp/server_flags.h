// What the flags of every command line client have in common: where the server is, and what a number is.
#pragma once

#include "CLI/CLI.hpp"
#include "base/number_text.h"
#include "clients/cpp/channel.h"

namespace parley::client {

// For CLI::Option::check; --help shows the range.
CLI::Validator Valid(NumberCheck check);

// --server, --tls, --tls-ca and --tls-server-name, in the group "Server". `channel` must outlive the parsing.
void AddServerFlags(CLI::App& app, ChannelOptions& channel);

}  // namespace parley::client
