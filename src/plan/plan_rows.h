// Predictions for tables of published runs: one benchmark step a row, or one campaign a row; which one the columns say. Target columns are not read.
#pragma once
#include <vector>

#include "plan/cost_parameters.h"
#include "plan/csv_table.h"
#include "plan/step_time.h"

namespace finback {

struct RowSetup {
  TrainSetup setup;
  double tokens = 0;  // of a campaign, 0: a benchmark row
  bool moe = false;
  std::string reason;  // why there is no prediction, or what was assumed
  bool usable = false;
};

// Reads what a row says, fills in what it leaves out, and notes the assumptions. Never throws for the content of a row: `reason` says it.
RowSetup read_row(const CsvTable& table, size_t row, const CostParameters& parameters);

// A table with a line for each row of `table`: identity, prediction with its 80 % interval, layout, reason.
std::string predict_rows(const CsvTable& table, const CostParameters& parameters);
// For fitting: a line for each row, tokens/s/accelerator (benchmarks) or accelerator-hours (campaigns) under each parameter set.
std::string predict_rows_under(const CsvTable& table, const std::vector<CostParameters>& sets);

}  // namespace finback
