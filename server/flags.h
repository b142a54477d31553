// The flags of parley-server, on the command line and in the file of --config, each with its unit and range.
// The defaults are those of the structs.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace parley::server {

struct LogOptions {
  std::string level = "info";
  std::string format = "text";  // or "json"
};

// What main needs beside the server's own.
struct ProgramOptions {
  ServerOptions server;
  LogOptions log;
  std::string engine = "bundle";
  std::string model;
  std::string device = "cpu";  // or "torch-cpu"
  int threads = 0;
  std::string arithmetic = "auto";
  int64_t kv_bytes = 0;            // 0: a quarter of the memory that is free at the start
  std::string kv_format = "auto";  // "fp32", "fp16" or "int8"
};

// Reads the command line and the file named by --config. OK with `exit_text` set: print it and stop with 0
// (--help, --version). INVALID_ARGUMENT: one line that says what is wrong.
struct ParsedOptions {
  ProgramOptions options;
  std::string exit_text;
};
absl::StatusOr<ParsedOptions> ParseOptions(int argc, const char* const* argv);

}  // namespace parley::server
