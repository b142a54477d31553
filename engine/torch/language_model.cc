#include "engine/torch/language_model.h"

#include <ATen/Parallel.h>

#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/torch/llama.h"

namespace parley::engine::libtorch {
namespace {

void SetThreads(int threads) {
  at::set_num_threads(threads);
  // Operations are called one after the other by one thread: nothing runs between them. It can be set once.
  static std::once_flag once;
  std::call_once(once, [] { at::set_num_interop_threads(1); });
}

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadOnCpu(
    std::shared_ptr<const bundle::LanguageModelFiles> files, const LanguageModelOptions& options) {
  const KvFormat kv_format = options.KvFormatInForce();
  if (kv_format == KvFormat::kInt8) {
    return absl::InvalidArgumentError(
        absl::StrCat(files->path(), ": LibTorch keeps keys and values in fp32 or fp16, not in int8"));
  }
  absl::StatusOr<std::unique_ptr<LanguageModel>> model = absl::InternalError("not loaded");
  // On a thread of its own: LibTorch gives each thread that calls it a team of helpers, and a team that
  // outlives the load would compete with the model thread's.
  std::thread([&] {
    SetThreads(options.threads);
    model = Llama::Load(std::move(files), {.device = at::kCPU,
                                           .arithmetic = options.arithmetic,
                                           .kv_bytes = options.kv_bytes,
                                           .kv_type = kv_format == KvFormat::kFp32 ? at::kFloat : at::kHalf});
  }).join();
  return model;
}

}  // namespace parley::engine::libtorch
