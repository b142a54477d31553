#include "streaming/decoders/child_link.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace parley::streaming {
namespace {

// A camera's pages are kept for its next frame; those of a large still are not.
constexpr int64_t kMaxKeptBytes = 4 << 20;

absl::Status Failed(const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat(what, ": ", std::strerror(errno)));
}

// Appends the first `size` bytes of `fd`. By way of a small buffer, which the cache holds: resizing `to`
// first would write all of it once more.
bool ReadAll(int fd, size_t size, std::vector<uint8_t>& to) {
  to.reserve(to.size() + size);
  std::array<uint8_t, 64 << 10> buffer;
  for (size_t offset = 0; offset < size;) {
    const ssize_t got =
        pread(fd, buffer.data(), std::min(buffer.size(), size - offset), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to.insert(to.end(), buffer.data(), buffer.data() + got);
    offset += static_cast<size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, std::string_view data, off_t offset) {
  while (!data.empty()) {
    const ssize_t put = pwrite(fd, data.data(), data.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    data.remove_prefix(static_cast<size_t>(put));
    offset += put;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildLink>> ChildLink::Start(uint64_t child, const DecoderConfig& config,
                                                            ChildSource* source) {
  auto link = absl::WrapUnique(new ChildLink(child, config));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return Failed("socketpair");
  link->socket_ = Descriptor(ends[0]);
  const Descriptor theirs(ends[1]);
  const int flags = fcntl(theirs.get(), F_GETFL);
  if (flags < 0 || fcntl(theirs.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) return Failed("fcntl");
  link->memory_ = Descriptor(memfd_create("parley-pictures", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!link->memory_.valid()) return Failed("memfd_create");
  // Its size stays as it is whatever the decoder does. Only pages that are written to take memory.
  if (ftruncate(link->memory_.get(), config.shared_bytes()) != 0) return Failed("ftruncate");
  if (fcntl(link->memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return Failed("F_ADD_SEALS");
  if (!source->Spawn(child, config, theirs, link->memory_))
    return absl::UnavailableError("the decoders' fork server does not listen");
  return link;
}

absl::Status ChildLink::Ask(const PictureDecoder::Frame& frame, bool after_loss) {
  const auto bytes = static_cast<int64_t>(frame.data.size());
  if (bytes > config_.max_frame_bytes)
    return absl::InvalidArgumentError(absl::StrCat("a frame of ", bytes, " bytes"));
  const std::string_view parameter_sets = after_loss ? frame.parameter_set_bytes() : std::string_view();
  if (parameter_sets.size() > H264ParameterSets::kMaxBytes)
    return absl::InvalidArgumentError(absl::StrCat(parameter_sets.size(), " bytes of parameter sets"));
  if (!WriteAll(memory_.get(), frame.data, config_.picture_bytes()) ||
      !WriteAll(memory_.get(), parameter_sets, config_.parameter_sets_at()))
    return Failed("a frame's memory");
  request_.number += 1;
  request_.bytes = bytes;
  request_.parameter_set_bytes = static_cast<int64_t>(parameter_sets.size());
  request_.rotation_degrees = frame.rotation_degrees;
  request_.want = frame.want ? 1 : 0;
  request_.after_loss = after_loss ? 1 : 0;
  if (send(socket_.get(), &request_, sizeof(request_), MSG_NOSIGNAL) != sizeof(request_))
    return absl::UnavailableError("the picture decoder is gone");
  asked_ = true;
  return absl::OkStatus();
}

ChildLink::Result ChildLink::Receive() {
  // One byte more than a reply, so that a longer one shows. Descriptors that come along are closed by the
  // kernel.
  char bytes[sizeof(DecodeReply) + 1];
  const ssize_t received = recv(socket_.get(), bytes, sizeof(bytes), 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Answer>();
  if (received <= 0) return absl::UnavailableError("the picture decoder is gone");
  if (!asked_) return absl::InternalError("the picture decoder spoke without being asked");
  const auto reply = CheckReply({bytes, static_cast<size_t>(received)}, request_, config_.max_pixels);
  if (!reply.ok()) return reply.status();
  asked_ = false;
  GiveBack(config_.picture_bytes(), request_.bytes);
  if (!reply->status.ok()) return Answer{reply->status};
  if (reply->width == 0) return Answer{nullptr};
  auto image = ReadPicture(reply->width, reply->height);
  if (!image.ok()) return image.status();
  return Answer{*std::move(image)};
}

absl::StatusOr<engine::ImagePtr> ChildLink::ReadPicture(int width, int height) {
  auto image = std::make_shared<engine::Image>();
  image->width = width;
  image->height = height;
  if (!ReadAll(memory_.get(), 3 * static_cast<size_t>(width) * static_cast<size_t>(height), image->pixels))
    return absl::InternalError("the picture decoder's memory cannot be read");
  GiveBack(0, static_cast<int64_t>(image->pixels.size()));
  return image;
}

// Holes instead of pages, where they are many.
void ChildLink::GiveBack(int64_t offset, int64_t bytes) {
  if (bytes <= kMaxKeptBytes) return;
  (void)fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

std::optional<absl::Duration> ChildLink::CpuTime() const {
  clockid_t clock;
  timespec time;
  if (pid_ <= 0 || clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0)
    return std::nullopt;
  return absl::DurationFromTimespec(time);
}

}  // namespace parley::streaming
