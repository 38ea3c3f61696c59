// runs/<name>/: who may use it, and where its files are. One process at a time holds a run folder (flock on .lock, freed by any death).
//   config.toml  model.json  metrics.jsonl  attempts.jsonl  log.txt  events.out.tfevents.*  plan.json  bill.json  step-000500/  latest -> step-000500
// Knows no tensors and no training.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file_lock.h"

namespace finback {

enum class OpenMode { kNew, kResume, kOverwrite };

class RunFolder {
 public:
  // Makes the folder when it is absent, and removes nothing. kNew refuses a folder with anything in it but what a start that failed before its
  // first step leaves. Throws Error when another process holds it.
  RunFolder(std::filesystem::path root, OpenMode mode);
  // Removes what is in the new run's way: kOverwrite all that an earlier run left, and nothing else; kNew what a failed start left, but for the hours
  // that it took; every mode checkpoints that were never finished. config.toml and model.json stay until the new ones replace them: they may be what
  // this run was started from. To be called when nothing can be refused any more.
  void clear();

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path config() const { return root_ / "config.toml"; }
  std::filesystem::path model() const { return root_ / "model.json"; }
  std::filesystem::path log() const { return root_ / "log.txt"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path attempts() const { return root_ / "attempts.jsonl"; }
  // A fixed name, so that a resumed run goes on in the same file; TensorBoard asks only for "tfevents" in it.
  std::filesystem::path events() const { return root_ / "events.out.tfevents.0000000000.finback"; }
  std::filesystem::path plan() const { return root_ / "plan.json"; }
  std::filesystem::path bill() const { return root_ / "bill.json"; }

 private:
  std::filesystem::path root_;
  OpenMode mode_;
  std::optional<FileLock> lock_;
};

// Whether a run wrote `name` into its folder, so that --overwrite removes it.
bool is_run_file(const std::string& name);
// Whether a process trains in this folder now.
bool run_is_held(const std::filesystem::path& root);
// Whether `root` holds a checkpoint or a step of training: what a start that failed does not leave.
bool has_trained(const std::filesystem::path& root);

// "step-000500"; more digits when the step has more.
std::string step_name(int64_t step);
// Steps of the checkpoints that have their DONE, ascending.
std::vector<int64_t> finished_steps(const std::filesystem::path& root);
// Removes "step-*" folders without DONE and temporary names.
void remove_unfinished(const std::filesystem::path& root);
// Points latest at step-<step>, atomically. A folder of that name takes its place only if it is a copy of a finished checkpoint, which a copy of the run
// with its links followed has; of any other folder it throws Error.
void point_latest(const std::filesystem::path& root, int64_t step);
// Which of `steps` retention keeps: the newest keep_last, and multiples of keep_every (0: none). Pure.
std::vector<int64_t> kept_steps(const std::vector<int64_t>& steps, int64_t keep_last, int64_t keep_every);
// Removes the others; DONE goes first, so that a removal cut short leaves an unfinished folder, not a broken one.
void retain(const std::filesystem::path& root, int64_t keep_last, int64_t keep_every);

}  // namespace finback
