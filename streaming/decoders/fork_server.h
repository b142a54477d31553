// parley-decoder from the server's side: started, asked for decoders, ended.
#pragma once

#include <memory>
#include <string>

#include "streaming/decoders/child_source.h"

namespace parley::streaming {

// `program`: parley-decoder. The process is started by posix_spawn, so nothing of this one's memory goes
// along, whenever that is.
std::unique_ptr<ChildSource> MakeForkServer(std::string program);

}  // namespace parley::streaming
