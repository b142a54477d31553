// How many prefix codes a lossless WebP picture brings, which is what its decoder's tables grow with.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace parley::streaming {

// Groups of five prefix codes, of which each block of pixels names one. The format has room for 65,536, which
// take libavcodec at least 5 KiB each; libwebp writes at most 2,600. At this limit tables of any form take
// under 128 MiB.
inline constexpr int kMaxPrefixCodeGroups = 4'096;

// `data`: a lossless WebP bitstream (RFC 9649 section 3.4) behind its header, or an alpha plane of one. Reads
// as far as the image that says which group each block takes; of its pixels it keeps none. INVALID_ARGUMENT:
// damaged before that. RESOURCE_EXHAUSTED: over kMaxPrefixCodeGroups.
absl::Status CheckPrefixCodeGroups(std::string_view data, int64_t width, int64_t height);

}  // namespace parley::streaming
