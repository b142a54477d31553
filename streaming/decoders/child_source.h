// Where decoders' processes come from: the fork server (fork_server.h), or a test's fakes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "streaming/decoders/descriptor.h"
#include "streaming/decoders/wire.h"

namespace parley::streaming {

// Used by one thread, which lives as long as the source: decoders end with the thread that launched them.
class ChildSource {
 public:
  struct Event {
    enum Kind { kReady, kUnable, kSpawned, kEnded, kLost };
    Kind kind = kLost;
    uint64_t child = 0;   // kSpawned, kEnded
    int pid = 0;          // kSpawned
    int status = 0;       // kEnded: that of waitpid
    uint32_t codecs = 0;  // kReady: bit 1 << VideoCodec for each that can be had
    std::string message;  // kUnable: why; kLost: of the source
  };

  virtual ~ChildSource() = default;  // ends every child
  // Begins anew: what there was is ended. kReady or kUnable follows.
  virtual absl::Status Launch() = 0;
  // Readable when Next has something; changes with Launch.
  virtual int fd() const = 0;
  virtual std::optional<Event> Next() = 0;
  // Starts a child with its end of the socket and the memory. False: the source is stuck or gone.
  virtual bool Spawn(uint64_t child, const DecoderConfig& config, const Descriptor& socket,
                     const Descriptor& memory) = 0;
  virtual bool Kill(uint64_t child) = 0;
};

}  // namespace parley::streaming
