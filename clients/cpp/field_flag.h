// Flags whose value lands in a field of the call's configuration.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "CLI/CLI.hpp"

namespace parley::client {

// A flag for an optional number of `message`, which is set when the flag is given and must outlive
// the parsing. --help shows the range and the default that the contract states. Only what is no number is
// refused here: ranges are the server's to check, which may be a newer one.
CLI::Option* AddFieldFlag(CLI::App& app, const char* flag, const std::string& help,
                          google::protobuf::Message* message, int field_number);

}  // namespace parley::client
