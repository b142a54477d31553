// The command line of parley-call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/channel.h"
#include "clients/cpp/media/source.h"
#include "parley/v1/parley.pb.h"

namespace parley::client {

struct Options {
  ChannelOptions channel;
  double wait_s = 5;  // for a connection, or with `health` for SERVING

  bool health = false;
  bool capabilities = false;

  std::string file;
  std::string microphone;  // empty: none
  std::string camera;
  std::vector<std::string> images;
  std::vector<std::string> texts;
  media::SourceOptions source;

  v1::SessionConfig config;  // all but the media formats

  bool json = false;
  bool timing = false;
  bool verbose = false;
};

// Parses the arguments. nullopt: the process ends with *exit_code (help was printed, or what is wrong).
std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code);

}  // namespace parley::client
