// A load's outcome as text for people and as JSON in the form of bench/.
#pragma once

#include <string>

#include "clients/cpp/parley_load/load_run.h"

namespace parley::client {

// One line: how it goes.
std::string ProgressLine(const LoadResult& result, int calls_now);
// A few lines: how it went.
std::string Summary(const LoadResult& result, const LoadOptions& options);
// One JSON object on one line: suite `load`, the figures of Summary and the quantiles of both latencies,
// which bench/plot draws.
std::string JsonLine(const LoadResult& result, const LoadOptions& options);

}  // namespace parley::client
