// The fork server, from the inside: a process that has FFmpeg loaded and its tables made, and forks a decoder
// for each call, which then costs a fork and the pages that it writes to. It never sees a stranger's bytes.
#pragma once

#include "streaming/decoders/decoder_child.h"

namespace parley::streaming {

// The descriptor that a fork server is started with.
inline constexpr int kForkServerSocket = 3;

// main() of parley-decoder: serves at kForkServerSocket until that ends, which also ends all decoders.
// Returns the exit code.
int RunForkServer(int argc, char** argv, const VideoInputFactory& factory);

}  // namespace parley::streaming
