// runs/<name>/: who may use it, and where its files are. One process at a time holds a run folder (flock on .lock, freed by any death).
//   config.toml  metrics.jsonl  attempts.jsonl  events.out.tfevents.*  plan.json  bill.json  step-000500/  latest -> step-000500
// Knows no tensors and no training.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace finback {

enum class OpenMode { kNew, kResume, kOverwrite };

class RunFolder {
 public:
  // kNew refuses a folder with anything in it; kOverwrite removes what an earlier run left (and nothing else); kResume takes it as it is,
  // makes it when absent, and removes checkpoints that were never finished. Throws Error when another process holds it.
  RunFolder(std::filesystem::path root, OpenMode mode);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path config() const { return root_ / "config.toml"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path attempts() const { return root_ / "attempts.jsonl"; }
  // A fixed name, so that a resumed run goes on in the same file; TensorBoard asks only for "tfevents" in it.
  std::filesystem::path events() const { return root_ / "events.out.tfevents.0000000000.finback"; }
  std::filesystem::path plan() const { return root_ / "plan.json"; }
  std::filesystem::path bill() const { return root_ / "bill.json"; }

 private:
  std::filesystem::path root_;
  int lock_fd_ = -1;
};

// "step-000500"; more digits when the step has more.
std::string step_name(int64_t step);
// Steps of the checkpoints that have their DONE, ascending.
std::vector<int64_t> finished_steps(const std::filesystem::path& root);
// Removes "step-*" folders without DONE and temporary names.
void remove_unfinished(const std::filesystem::path& root);
// Points latest at step-<step>, atomically.
void point_latest(const std::filesystem::path& root, int64_t step);
// Which of `steps` retention keeps: the newest keep_last, and multiples of keep_every (0: none). Pure.
std::vector<int64_t> kept_steps(const std::vector<int64_t>& steps, int64_t keep_last, int64_t keep_every);
// Removes the others; DONE goes first, so that a removal cut short leaves an unfinished folder, not a broken one.
void retain(const std::filesystem::path& root, int64_t keep_last, int64_t keep_every);

}  // namespace finback
