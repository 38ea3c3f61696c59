// The bill of a run folder, whatever became of the run: its bill.json when it is finished; else made from what the folder knows (attempts.jsonl, the
// last step in metrics.jsonl, config.toml, model.json, plan.json) and marked unfinished. Reads files, changes none; works beside a running trainer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cost/bill.h"

namespace finback {

// Nothing for a folder that is no run's: neither bill.json nor attempts.jsonl. Throws Error for files that cannot be understood.
std::optional<Bill> run_bill(const std::filesystem::path& root);

// "stopped at step 9 of 600"; steps 0: not known.
std::string unfinished_status(const std::string& what, int64_t step, int64_t steps);

}  // namespace finback
