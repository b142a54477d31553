// The command line of parley-load.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/channel.h"
#include "clients/cpp/media/source.h"
#include "clients/cpp/parley_load/load_run.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

struct LoadProgramOptions {
  ChannelOptions channel;
  double wait_s = 10;
  std::vector<std::string> files;
  media::SourceOptions source;
  v1::SessionConfig config;  // all but the media formats
  LoadOptions load;
  bool search = false;  // for the most calls that meet the objective
  double most_calls = 256;
  std::string json;  // a file that each run's line is appended to; empty: none
};

// Parses the arguments. nullopt: the process ends with *exit_code (help was printed, or what is wrong).
std::optional<LoadProgramOptions> ParseLoadOptions(int argc, const char* const* argv, int* exit_code);

}  // namespace parley::client
