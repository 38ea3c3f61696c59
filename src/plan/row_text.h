// What the free text of a table's row says: words about schedules and layouts, software versions, sizes in model names, shapes in columns.
#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "cost/hardware.h"
#include "plan/csv_table.h"
#include "plan/layout.h"

namespace finback {

// Case aside, `text` contains `word`.
bool has_word(const std::string& text, const std::string& word);
// The cells that describe a schedule, joined: schedule, notes, model, recompute.
std::string row_words(const CsvTable& table, size_t row);
Recompute recompute_in(const std::string& text);
// The FSDP cell: PyTorch's names, ZeRO's stages, yes and no; nothing for other words (a number is a group's size).
std::optional<Sharding> sharding_in(const std::string& text);
// "TP8 PP16 (zero-bubble), EP8, ZeRO-1 DP, no TP" -> degrees and sharding that are named.
Layout layout_in_text(const std::string& text);
// Columns n_layers, d_model, n_heads, n_kv_heads_or_MLA, d_ffn_dense, moe_*, vocab; nothing when too few of them are filled.
std::optional<ModelShape> written_shape(const CsvTable& table, size_t row);
// "30B-A3B", "8x7B", "70b": total and active parameters.
std::optional<std::pair<double, double>> sizes_in_name(const std::string& name);
// gpu_type, told apart by `system` where one name has several parts (40 and 80 GB, power caps).
Accelerator row_accelerator(const CsvTable& table, size_t row);
// Years: of `version` ("26.04.01", "2024-12"), of `date` less the length of a campaign, else `fallback`.
double software_date(const CsvTable& table, size_t row, double fallback);
// "1@32768+1@131072" -> (weight, length).
std::vector<std::pair<double, int64_t>> sequence_mix(const std::string& text);

}  // namespace finback
