// parley-decoder: the fork server of FFmpeg's decoders, started by parley-server.
#include "streaming/decoders/fork_server_main.h"

int main(int argc, char** argv) {
  return parley::streaming::RunForkServer(argc, argv, parley::streaming::VideoInput::Create);
}
