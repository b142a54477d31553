// How many threads this process can use at once.
#pragma once

#include <string>

namespace parley {

struct Processors {
  int allowed = 1;    // processors that its threads may run on (sched_getaffinity)
  double quota = -1;  // processors' worth of time that its control groups give it; -1: no limit
  // What to size threads that compute by: at least 1. A quota is rounded down: when it is used up, all
  // threads stand still until the period is over, and those that wait for one another do it at every step.
  int usable = 1;
};

// `root`: see control_group.h.
Processors UsableProcessors(const std::string& root = "");

}  // namespace parley
