// What a picture decoder's process says to the server, which takes it for a stranger's bytes. The first byte
// says what was asked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "streaming/decoders/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace parley::streaming;
  if (size < 1) return 0;
  constexpr int64_t kMaxPixels = 4096 * 4096;
  const DecodeRequest request = {.number = 1, .bytes = 100, .want = static_cast<uint8_t>(data[0] & 1)};
  const auto reply = CheckReply({reinterpret_cast<const char*>(data) + 1, size - 1}, request, kMaxPixels);
  if (!reply.ok()) return 0;
  if (reply->width < 0 || reply->height < 0 || int64_t{reply->width} * reply->height > kMaxPixels)
    std::abort();
  if (reply->width > 0 && request.want == 0) std::abort();
  for (const char c : reply->status.message()) {
    if (c < 0x20 || c > 0x7e) std::abort();
  }
  return 0;
}
