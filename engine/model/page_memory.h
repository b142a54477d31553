// The memory of a KV cache's pages on one device. Which sequence holds which page is kept by
// engine/schedule/page_table.h, which knows pages by number only; what lies in a page is known to the models
// of the device.
//
// Owned by the language model. Called by the model thread only.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace parley::engine {

class PageMemory {
 public:
  virtual ~PageMemory() = default;
  virtual int64_t page_bytes() const = 0;
  // Gives memory to the pages [0, pages) that have none. RESOURCE_EXHAUSTED when the device has not enough;
  // those that got some keep it.
  virtual absl::Status Allocate(int64_t pages) = 0;
  // REQUIRES, also below: the page has memory.
  virtual void Copy(int from, int to) = 0;
  // Where the page lies on its device.
  virtual uint8_t* Address(int page) = 0;
};

}  // namespace parley::engine
