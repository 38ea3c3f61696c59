// Whether a model folder will work on this machine, before an hour of loading tells: what its files miss or say oddly, what memory it takes, how fast it can
// decode at most. Reads headers and small files, loads no weights.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cost/memory_parts.h"
#include "gemm/precision.h"
#include "machine/free_memory.h"

namespace finback {

struct Finding {
  bool fault = false;  // it cannot work so; else a remark
  std::string what;    // one line, what to do included
};

struct DoctorOptions {
  std::optional<Precision> weights;  // as generate takes them; without: as the folder stores them, or the widest that fit
  int64_t context = 0;               // tokens in the cache; 0: 4096, or the model's limit when smaller
};

struct Diagnosis {
  std::vector<Finding> findings;  // faults first
  // Of a folder whose config.json is read; else `weights` has no meaning and the rest is empty.
  Precision weights = Precision::kF32;
  int64_t context = 0, cache_bytes_per_token = 0;
  std::vector<MemoryPart> memory;
  FreeMemory free;
  double bytes_per_token = 0;       // that decoding one token reads in the middle of the context: weights and cache
  double read_gb_per_s = 0;         // measured now
  double tokens_per_s_at_most = 0;  // their quotient: an upper bound
  // With which it works: finback chat MODEL and these flags, or finback generate MODEL --ids where there is no tokenizer.
  bool chats = false;
  std::vector<std::string> flags;
  bool works() const { return findings.empty() || !findings.front().fault; }
};

// `folder`: a model folder, or a run folder for its newest checkpoint. Throws Error for a path that is neither.
Diagnosis diagnose(const std::filesystem::path& folder, const DoctorOptions& options);
Json diagnosis_json(const Diagnosis& diagnosis);

}  // namespace finback
