// What this machine's memory and multiply units do at most, measured: the floor under every figure.
#pragma once

#include <string>

namespace parley::bench {

struct MachineLimits {
  double read_bytes_per_s = 0;  // all threads reading memory that no cache holds
  // Products of two numbers added to a sum, all threads, operands in registers.
  double int8_products_per_s = 0;
  double fp32_products_per_s = 0;
  std::string int8_instructions;  // those that our kernels take (engine/kernels/cpu_features.h)
  std::string fp32_instructions;
};

// Takes about a second, on `threads` threads.
MachineLimits MeasureMachine(int threads);

}  // namespace parley::bench
