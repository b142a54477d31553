#include "bench/peers/llama_cpp.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/executor.h"
#include "engine/text/largest.h"

namespace parley::bench {
namespace {

using engine::TokenId;

// What is used of llama.h and ggml-backend.h at this release. Parameter structs are passed by value in
// memory, where the callee reads only its own length: they stand here as blocks that are long enough, filled
// by the library's defaults, with the few fields that are set at their offsets.
struct LlamaModel;
struct LlamaContext;
struct LlamaMemory;
struct Backend;
struct GgmlThreadPool;

struct Params {
  alignas(8) uint8_t bytes[256];

  template <typename T>
  void Set(size_t offset, T value) {
    std::memcpy(bytes + offset, &value, sizeof(value));
  }
};
struct ThreadPoolParams {
  alignas(8) uint8_t bytes[1024];
};

// llama_context_params
constexpr size_t kContextTokens = 0;      // uint32, of all sequences together
constexpr size_t kContextBatch = 4;       // uint32, tokens of a llama_decode
constexpr size_t kContextSequences = 12;  // uint32
constexpr size_t kContextAttention = 52;  // int32
constexpr size_t kContextThreads = 28;    // int32, and another for batches behind it
// llama_model_quantize_params
constexpr size_t kQuantizeThreads = 0;      // int32
constexpr size_t kQuantizeType = 4;         // int32
constexpr size_t kQuantizeRequantize = 16;  // bool

struct Batch {
  int32_t tokens;
  TokenId* token;
  float* embedding;
  int32_t* position;
  int32_t* sequence_count;
  int32_t** sequence;
  int8_t* wants_scores;
};

void Quiet(int, const char*, void*) {}

// The libraries' functions. They stay loaded until the process ends.
struct Api {
  Params (*model_default_params)();
  LlamaModel* (*model_load)(const char* path, Params);
  void (*model_free)(LlamaModel*);
  const void* (*model_vocabulary)(const LlamaModel*);
  int32_t (*vocabulary_size)(const void*);
  Params (*context_default_params)();
  LlamaContext* (*context_new)(LlamaModel*, Params);
  void (*context_free)(LlamaContext*);
  void (*attach_threads)(LlamaContext*, GgmlThreadPool*, GgmlThreadPool*);
  int32_t (*decode)(LlamaContext*, Batch);
  float* (*scores)(LlamaContext*, int32_t row);
  LlamaMemory* (*memory)(const LlamaContext*);
  bool (*memory_remove)(LlamaMemory*, int32_t sequence, int32_t begin, int32_t end);
  Params (*quantize_default_params)();
  uint32_t (*quantize)(const char* from, const char* to, const Params*);
  void (*log_set)(void (*)(int, const char*, void*), void*);
  void (*load_backends)(const char* folder);
  size_t (*backend_count)();
  Backend* (*backend)(size_t);
  void* (*backend_function)(Backend*, const char* name);
  ThreadPoolParams (*thread_pool_default_params)(int threads);
  GgmlThreadPool* (*thread_pool_new)(ThreadPoolParams*);
  void (*thread_pool_free)(GgmlThreadPool*);
};

absl::StatusOr<Api> LoadApi(const std::string& folder) {
  void* libraries[3];
  const char* names[] = {"libggml-base.so", "libggml.v0.5.0.so", "libllama.v0.5.0.so"};
  for (int i = 0; i < 3; ++i) {
    libraries[i] = dlopen(absl::StrCat(folder, "/", names[i]).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (libraries[i] == nullptr) {
      return absl::NotFoundError(absl::StrCat(dlerror(), " (bench/peers/install sets it up)"));
    }
  }
  std::string missing;
  const auto find = [&missing](auto*& function, void* from, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(from, name));
    if (function == nullptr) missing = name;
  };
  Api api;
  void* const base = libraries[0];
  void* const ggml = libraries[1];
  void* const llama = libraries[2];
  find(api.model_default_params, llama, "llama_model_default_params");
  find(api.model_load, llama, "llama_model_load_from_file");
  find(api.model_free, llama, "llama_model_free");
  find(api.model_vocabulary, llama, "llama_model_get_vocab");
  find(api.vocabulary_size, llama, "llama_vocab_n_tokens");
  find(api.context_default_params, llama, "llama_context_default_params");
  find(api.context_new, llama, "llama_init_from_model");
  find(api.context_free, llama, "llama_free");
  find(api.attach_threads, llama, "llama_attach_threadpool");
  find(api.decode, llama, "llama_decode");
  find(api.scores, llama, "llama_get_logits_ith");
  find(api.memory, llama, "llama_get_memory");
  find(api.memory_remove, llama, "llama_memory_seq_rm");
  find(api.quantize_default_params, llama, "llama_model_quantize_default_params");
  find(api.quantize, llama, "llama_model_quantize");
  find(api.log_set, llama, "llama_log_set");
  find(api.load_backends, ggml, "ggml_backend_load_all_from_path");
  find(api.backend_count, ggml, "ggml_backend_reg_count");
  find(api.backend, ggml, "ggml_backend_reg_get");
  find(api.backend_function, base, "ggml_backend_reg_get_proc_address");
  find(api.thread_pool_default_params, base, "ggml_threadpool_params_default");
  if (!missing.empty()) return absl::InternalError(absl::StrCat(folder, ": no function ", missing));

  api.log_set(Quiet, nullptr);
  if (api.backend_count() == 0) api.load_backends(folder.c_str());
  if (api.backend_count() == 0)
    return absl::InternalError(absl::StrCat(folder, ": no library for this processor"));
  // The processor's library brings these.
  const auto find_in_backend = [&](auto*& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(api.backend_function(api.backend(0), name));
    if (function == nullptr) missing = name;
  };
  find_in_backend(api.thread_pool_new, "ggml_threadpool_new");
  find_in_backend(api.thread_pool_free, "ggml_threadpool_free");
  if (!missing.empty()) return absl::InternalError(absl::StrCat(folder, ": no function ", missing));
  return api;
}

class LlamaCppModel final : public LlamaCpp {
 public:
  LlamaCppModel(const Api& api, LlamaModel* model, int threads, LlamaAttention attention)
      : api_(api),
        model_(model),
        threads_(threads),
        attention_(attention),
        vocabulary_(api.vocabulary_size(api.model_vocabulary(model))) {
    ThreadPoolParams params = api_.thread_pool_default_params(threads);
    pool_ = api_.thread_pool_new(&params);
  }
  ~LlamaCppModel() override {
    if (context_ != nullptr) api_.context_free(context_);
    api_.thread_pool_free(pool_);
    api_.model_free(model_);
  }

  absl::Status Start(int slots, int tokens) override {
    if (context_ != nullptr) api_.context_free(context_);
    Params params = api_.context_default_params();
    params.Set<uint32_t>(kContextTokens, slots * tokens);
    params.Set<uint32_t>(kContextBatch, std::max(tokens, slots));
    params.Set<uint32_t>(kContextSequences, slots);
    params.Set<int32_t>(kContextThreads, threads_);
    params.Set<int32_t>(kContextThreads + 4, threads_);
    params.Set<int32_t>(kContextAttention, static_cast<int32_t>(attention_));
    context_ = api_.context_new(model_, params);
    if (context_ == nullptr) return absl::InternalError("llama.cpp: no context");
    api_.attach_threads(context_, pool_, pool_);
    held_.assign(slots, 0);
    return absl::OkStatus();
  }

  void Truncate(int slot, int length) override {
    api_.memory_remove(api_.memory(context_), slot, length, -1);
    held_[slot] = std::min(held_[slot], length);
  }

  absl::Status Step(absl::Span<Rows> rows) override {
    tokens_.clear();
    positions_.clear();
    slots_.clear();
    wants_.clear();
    for (const Rows& row : rows) {
      for (size_t i = 0; i < row.tokens.size(); ++i) {
        tokens_.push_back(row.tokens[i]);
        positions_.push_back(held_[row.slot]++);
        slots_.push_back(row.slot);
        wants_.push_back(i + 1 == row.tokens.size());
      }
    }
    const int count = static_cast<int>(tokens_.size());
    ones_.assign(count, 1);
    slot_pointers_.clear();
    for (int32_t& slot : slots_) slot_pointers_.push_back(&slot);
    const int failed = api_.decode(context_, {count, tokens_.data(), nullptr, positions_.data(), ones_.data(),
                                              slot_pointers_.data(), wants_.data()});
    if (failed != 0) return absl::InternalError(absl::StrCat("llama_decode returned ", failed));
    int last = -1;
    for (Rows& row : rows) {
      last += static_cast<int>(row.tokens.size());
      const float* scores = api_.scores(context_, last);
      if (scores == nullptr) return absl::InternalError("llama.cpp: no scores");
      row.next =
          static_cast<TokenId>(engine::text::IndexOfLargest({scores, static_cast<size_t>(vocabulary_)}));
    }
    return absl::OkStatus();
  }

 private:
  const Api api_;
  LlamaModel* const model_;
  const int threads_;
  const LlamaAttention attention_;
  const int vocabulary_;
  GgmlThreadPool* pool_;
  LlamaContext* context_ = nullptr;
  std::vector<int> held_;  // tokens, by slot
  // The batch under way.
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> slots_;
  std::vector<int32_t> ones_;
  std::vector<int32_t*> slot_pointers_;
  std::vector<int8_t> wants_;
};

// Runs what it is given on a thread of its own, and waits for it.
class OneThread {
 public:
  absl::Status Run(absl::FunctionRef<absl::Status()> work) {
    absl::Status status;
    absl::Notification done;
    pool_.Post([&] {
      status = work();
      done.Notify();
    });
    done.WaitForNotification();
    return status;
  }

 private:
  ThreadPool pool_{1};
};

// The library configures a thread's AMX tiles once and takes them for configured from then on. Our kernels
// release them on the threads that they run on, so the library never runs on one of those.
class LlamaCppOnItsThread final : public LlamaCpp {
 public:
  LlamaCppOnItsThread(std::unique_ptr<OneThread> thread, std::unique_ptr<LlamaCpp> model)
      : thread_(std::move(thread)), model_(std::move(model)) {}
  ~LlamaCppOnItsThread() override {
    thread_
        ->Run([this] {
          model_.reset();
          return absl::OkStatus();
        })
        .IgnoreError();
  }

  absl::Status Start(int slots, int tokens) override {
    return thread_->Run([&] { return model_->Start(slots, tokens); });
  }
  void Truncate(int slot, int length) override {
    thread_
        ->Run([&] {
          model_->Truncate(slot, length);
          return absl::OkStatus();
        })
        .IgnoreError();
  }
  absl::Status Step(absl::Span<Rows> rows) override {
    return thread_->Run([&] { return model_->Step(rows); });
  }

 private:
  const std::unique_ptr<OneThread> thread_;
  std::unique_ptr<LlamaCpp> model_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LlamaCpp>> LlamaCpp::Load(const std::string& folder, const std::string& gguf,
                                                         int threads, LlamaAttention attention) {
  auto thread = std::make_unique<OneThread>();
  std::unique_ptr<LlamaCpp> model;
  const absl::Status loaded = thread->Run([&]() -> absl::Status {
    const absl::StatusOr<Api> api = LoadApi(folder);
    if (!api.ok()) return api.status();
    LlamaModel* weights = api->model_load(gguf.c_str(), api->model_default_params());
    if (weights == nullptr) return absl::InternalError(absl::StrCat("llama.cpp does not load ", gguf));
    model = std::make_unique<LlamaCppModel>(*api, weights, threads, attention);
    return absl::OkStatus();
  });
  if (!loaded.ok()) return loaded;
  return std::make_unique<LlamaCppOnItsThread>(std::move(thread), std::move(model));
}

absl::Status LlamaCpp::Quantize(const std::string& folder, const std::string& from, const std::string& to,
                                LlamaFileType type) {
  return OneThread().Run([&]() -> absl::Status {
    const absl::StatusOr<Api> api = LoadApi(folder);
    if (!api.ok()) return api.status();
    Params params = api->quantize_default_params();
    params.Set<int32_t>(kQuantizeThreads, 0);  // as many as there are
    params.Set<int32_t>(kQuantizeType, static_cast<int32_t>(type));
    params.Set<bool>(kQuantizeRequantize, true);
    if (api->quantize(from.c_str(), to.c_str(), &params) != 0) {
      return absl::InternalError(absl::StrCat("llama.cpp does not quantise ", from));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::string> RequantisedFile(const SuiteOptions& options, const std::string& gguf,
                                            LlamaFileType type) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = fs::path(options.peers_dir) / "llama.cpp.models";
  const fs::path file = folder / (type == LlamaFileType::kQ4_0 ? "Q4_0.gguf" : "Q8_0.gguf");
  if (fs::exists(file, error) && fs::last_write_time(file, error) > fs::last_write_time(gguf, error))
    return file;
  fs::create_directories(folder, error);
  const std::string partial = absl::StrCat(file.string(), ".partial");
  std::fprintf(stderr, "making %s\n", file.c_str());
  if (absl::Status status = LlamaCpp::Quantize(options.peers_dir + "/llama.cpp", gguf, partial, type);
      !status.ok()) {
    return status;
  }
  fs::rename(partial, file, error);
  if (error) return absl::InternalError(absl::StrCat(file.string(), ": ", error.message()));
  return file;
}

}  // namespace parley::bench
