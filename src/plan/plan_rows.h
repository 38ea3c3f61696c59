// Predictions for tables of published runs, a line for each row: what `finback plan --rows` writes and tools/fit_cost fits with.
#pragma once
#include <string>
#include <vector>

#include "plan/cost_parameters.h"
#include "plan/csv_table.h"

namespace finback {

// A table with a line for each row of `table`: identity, prediction with its 80 % interval, layout, reason.
std::string predict_rows(const CsvTable& table, const CostParameters& parameters);
// For fitting: a line for each row, tokens/s/accelerator (benchmarks) or accelerator-hours (campaigns) under each parameter set.
std::string predict_rows_under(const CsvTable& table, const std::vector<CostParameters>& sets);

}  // namespace finback
