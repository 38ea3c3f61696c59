// The shape of the model that a row of a table names: from its columns, a known model, its parameter counts, the sizes in its name, or its FLOPs a token.
#pragma once
#include <optional>
#include <string>

#include "cost/model_shape.h"
#include "plan/csv_table.h"

namespace finback {

// Nothing when the row says too little; `reason` gets what was assumed. A name that contains a known one counts only when the sizes agree.
std::optional<ModelShape> row_shape(const CsvTable& table, size_t row, std::string& reason);

}  // namespace finback
