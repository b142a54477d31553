// What text is made of for a language model.
#pragma once

#include <cstdint>

namespace parley::engine {

using TokenId = int32_t;

}  // namespace parley::engine
