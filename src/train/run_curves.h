// A run's metrics.jsonl as curves over trained tokens. Reads what is there: unfinished runs, and files whose last line was cut. Knows no picture.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace finback {

struct CurvePoint {
  double tokens = 0, value = 0;
};
using Curve = std::vector<CurvePoint>;

struct EvaluationRow {
  int64_t step = 0;
  double tokens = 0, bpb = 0, minutes = 0;
  std::vector<double> mtp_acceptance = {};  // by depth
  std::optional<double> worst_vio = {};     // of the step before it
};

struct RunCurves {
  std::string name;                           // the folder's
  std::string key;                            // what `steps` shows
  Curve steps;                                // each optimizer step
  Curve validation;                           // of the same quantity; empty where evaluations do not measure it
  Curve worst_vio, mean_vio, mtp_acceptance;  // router overload by step; first depth, by evaluation
  std::vector<EvaluationRow> evaluations;
  int64_t last_step = 0, bad_lines = 0;  // bad_lines: not counting a last line that was cut
  double tokens = 0, minutes = 0;
};

// run: a run folder, or a metrics.jsonl. key: bpb, loss, lr, norm or tokens_per_s. Throws Error for another key, a folder without metrics, and
// one without a step or an evaluation.
RunCurves read_run_curves(const std::filesystem::path& run, const std::string& key);

// The mean of the last `window` points at each point.
Curve smoothed(const Curve& curve, size_t window = 25);

// {"runs": [{"name", "key", "steps": [[tokens, value], ...], "validation": ..., ...}]}
Json curves_json(const std::vector<RunCurves>& runs);
// The evaluations as a Markdown table, a column for the run where there are several.
std::string evaluations_table(const std::vector<RunCurves>& runs);

}  // namespace finback
