// What /metrics shows of parts that count for themselves: they are asked when somebody scrapes.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <vector>

#include "server/metrics.h"

namespace parley::server {

// One for the log and for each source that there is. The sources must outlive them.
std::vector<std::shared_ptr<prometheus::Collectable>> MakeScrapedMetrics(const MetricSources& sources);

}  // namespace parley::server
