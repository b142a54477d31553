// Suite `machine`: what memory and multiply units do at most, the floor under the other suites' figures.
#include "bench/harness.h"
#include "bench/machine_limits.h"

namespace parley::bench {
namespace {

absl::Status Machine(const SuiteOptions& options) {
  const MachineLimits limits = MeasureMachine(options.threads);
  const auto print = [&](const char* name, double value, const char* unit, const std::string& instructions) {
    Figure figure = {.suite = "machine", .name = name, .ours = value, .unit = unit};
    figure.setting["threads"] = options.threads;
    if (!instructions.empty()) figure.setting["instructions"] = instructions;
    Print(figure);
  };
  print("memory_read", limits.read_bytes_per_s / 1e9, "GB/s", "");
  print("int8_peak", limits.int8_products_per_s / 1e9, "G products/s", limits.int8_instructions);
  print("fp32_peak", limits.fp32_products_per_s / 1e9, "G products/s", limits.fp32_instructions);
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv, "The machine's limits.", parley::bench::Machine);
}
