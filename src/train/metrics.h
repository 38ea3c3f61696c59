// metrics.jsonl: one JSON object a line, appended and never rewritten, except that a resumed run cuts off what came after its checkpoint.
// Kinds: "step" (one an optimizer step), "eval", "sample", "audit". A line is one write(2), so a killed run leaves whole lines and at most one
// torn end, which the cut removes. Every line says on what machine and kernels it was made. One thread.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.h"

namespace finback {

// The only fields in which a resumed run may differ from one never interrupted. Everything else is bitwise equal.
inline constexpr std::array<std::string_view, 7> kWallClockFields = {"time",       "elapsed_s", "step_s", "tokens_per_s",
                                                                     "peak_share", "usd",       "machine"};

class MetricsLog {
 public:
  // Opens for appending. `keep_bytes`: the file is cut to this length first (0 for a new run); a shorter file is an Error, because lines
  // that belong to the checkpoint are lost. `machine`: the label that every line gets (machine_label).
  MetricsLog(const std::filesystem::path& path, uint64_t keep_bytes, std::string machine);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;

  // Adds the label. Throws Error when the disk is full; the torn line is cut off again.
  void append(Json line);
  uint64_t size() const { return size_; }
  // Makes all lines durable.
  void sync();

 private:
  std::filesystem::path path_;
  std::string machine_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace finback
