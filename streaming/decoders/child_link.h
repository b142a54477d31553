// One decoder's process from the server's side: a socket, and memory that the server reads and writes by
// system calls and never maps, so that nothing done to it there can make the server fault.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/media.h"
#include "streaming/decoders/child_source.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {

// Not thread-safe.
class ChildLink {
 public:
  // A frame's result, or that there is none yet, or (an error of this) that the process is gone (UNAVAILABLE)
  // or said what it must not (INTERNAL) and is to be ended.
  struct Answer {
    absl::StatusOr<engine::ImagePtr> image;
  };
  using Result = absl::StatusOr<std::optional<Answer>>;

  // Starts a process. Errors: no descriptors or no memory for it, or `source` is stuck.
  static absl::StatusOr<std::unique_ptr<ChildLink>> Start(uint64_t child, const DecoderConfig& config,
                                                          ChildSource* source);

  // The frame's parameter sets go along after a loss only. REQUIRES: nothing is asked for.
  absl::Status Ask(const PictureDecoder::Frame& frame, bool after_loss);
  // What has come since. A picture is copied out here.
  Result Receive();
  bool asked() const { return asked_; }

  uint64_t child() const { return child_; }
  int socket() const { return socket_.get(); }  // readable: call Receive
  void SetPid(int pid) { pid_ = pid; }
  bool started() const { return pid_ > 0; }
  // Core time that the process has used, by the kernel's clock and not by its word; nothing when that cannot
  // be told (yet).
  std::optional<absl::Duration> CpuTime() const;

 private:
  ChildLink(uint64_t child, const DecoderConfig& config) : child_(child), config_(config) {}
  absl::StatusOr<engine::ImagePtr> ReadPicture(int width, int height);
  void GiveBack(int64_t offset, int64_t bytes);

  const uint64_t child_;
  const DecoderConfig config_;
  Descriptor socket_;
  Descriptor memory_;
  int pid_ = 0;
  bool asked_ = false;
  DecodeRequest request_;
};

}  // namespace parley::streaming
