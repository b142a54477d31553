#include "engine/silero/linear_internal.h"

namespace parley::engine::silero::internal {

void LinearPortable(const LinearTask& task) { RunLinear(task); }

}  // namespace parley::engine::silero::internal
