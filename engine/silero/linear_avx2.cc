#include "engine/silero/linear_internal.h"

namespace parley::engine::silero::internal {

void LinearAvx2(const LinearTask& task) { RunLinear(task); }

}  // namespace parley::engine::silero::internal
