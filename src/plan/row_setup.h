// What a row of a table of published runs says about a training run, and what is assumed where it says nothing. A row is one benchmark step or one campaign; the
// columns say which. Target columns (rates, times, hours) are not read.
#pragma once
#include <string>

#include "plan/cost_parameters.h"
#include "plan/csv_table.h"
#include "plan/train_setup.h"

namespace finback {

struct RowSetup {
  TrainSetup setup;
  double tokens = 0;  // of a campaign, 0: a benchmark row
  bool moe = false;
  std::string reason;  // why there is no prediction, or what was assumed
  bool usable = false;
};

// Reads what a row says, fills in what it leaves out, and notes the assumptions. Never throws for the content of a row: `reason` says it. Parameters, because
// a layout that a row leaves out is searched.
RowSetup read_row(const CsvTable& table, size_t row, const CostParameters& parameters);

}  // namespace finback
