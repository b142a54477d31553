// Pictures decoded by threads of this process, with the same policy of shares and places as child processes
// have, but nothing between a stranger's bytes and the server's memory, and no end to a frame that takes too
// long. For where processes without rights cannot be had.
#pragma once

#include <memory>

#include "base/clock.h"
#include "streaming/decoders/decode_queue.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {

std::unique_ptr<PictureDecoders> MakeThreadDecoders(const DecodePolicy& policy, const Clock* clock);

}  // namespace parley::streaming
