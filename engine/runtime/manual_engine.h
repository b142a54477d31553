// The runtime driven by hand instead of by a thread: for tests, in simulated time.
#pragma once

#include <memory>

#include "engine/runtime/runtime_engine.h"

namespace parley::engine {

class ManualEngine : public Engine {
 public:
  // One pass of the model thread's loop; false when it had nothing to do.
  virtual bool RunOnce() = 0;
  void RunUntilIdle() {
    while (RunOnce()) {
    }
  }
};

// Not thread-safe: conversations are used by the thread that drives the engine. WarmUp drives it itself.
std::unique_ptr<ManualEngine> MakeManualEngine(Model model, const RuntimeOptions& options,
                                               const Clock* clock);

}  // namespace parley::engine
