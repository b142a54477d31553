// Running an encoder in tests.
#pragma once

#include <gtest/gtest.h>

#include "engine/model/encoder.h"

namespace parley::engine {

inline absl::StatusOr<bool> AdvanceAlone(Encoder& encoder, Encoding& encoding) {
  Encoding* const alone = &encoding;
  return encoder.Advance({&alone, 1}).front();
}

// Until it is done.
inline Encoded Encode(Encoder& encoder, Encoding& encoding) {
  for (int pass = 0; pass < 1000; ++pass) {
    const absl::StatusOr<bool> done = AdvanceAlone(encoder, encoding);
    EXPECT_TRUE(done.ok()) << done.status();
    if (!done.ok()) return {};
    if (*done) return encoding.Take();
  }
  ADD_FAILURE() << "the encoding does not end";
  return {};
}

}  // namespace parley::engine
