#include "plan/csv_table.h"

#include <charconv>
#include <cmath>

#include "base/error.h"

namespace finback {
namespace {

// Reads one record from `at`; true while there was one.
bool next_record(std::string_view text, size_t& at, std::vector<std::string>& cells, const std::string& what) {
  cells.clear();
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
  if (at >= text.size()) return false;
  std::string cell;
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c != '"') {
        cell += c;
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        cell += c, ++at;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      cells.push_back(std::move(cell)), cell.clear();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      cell += c;
    }
  }
  FB_CHECK(!quoted, "{}: a quoted cell is never closed", what);
  cells.push_back(std::move(cell));
  return true;
}

}  // namespace

CsvTable CsvTable::parse(std::string_view text, const std::string& what) {
  CsvTable table;
  table.what_ = what;
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  FB_CHECK(next_record(text, at, table.columns_, what), "{}: expected a line that names the columns, got an empty file", what);
  std::vector<std::string> cells;
  while (next_record(text, at, cells, what)) {
    table.cell_counts_.push_back(cells.size());
    cells.resize(table.columns_.size());
    table.rows_.push_back(cells);
  }
  return table;
}

bool CsvTable::has(std::string_view column) const {
  for (const std::string& name : columns_)
    if (name == column) return true;
  return false;
}

std::string CsvTable::fault(size_t row) const {
  if (cell_counts_[row] == columns_.size()) return "";
  return fmt::format("expected {} cells, got {}", columns_.size(), cell_counts_[row]);
}

const std::string& CsvTable::cell(size_t row, std::string_view column) const {
  static const std::string empty;
  for (size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i] == column) return rows_[row][i];
  return empty;
}

double CsvTable::number(size_t row, std::string_view column, double fallback) const {
  std::string text = cell(row, column);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  while (!text.empty() && (text.front() == ' ' || text.front() == '~')) text.erase(0, 1);
  for (const char* nothing : {"", "n/a", "N/A", "NA", "na", "nan", "NaN", "-", "None", "none", "null", "?"})
    if (text == nothing) return fallback;
  // "1,024"
  for (size_t at = text.find(','); at != std::string::npos && text.size() - at > 3; at = text.find(',', at)) text.erase(at, 1);
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FB_CHECK(error == std::errc() && stop == text.data() + text.size() && std::isfinite(value), "{}: expected a number, got \"{}\"", column,
           text.substr(0, 40));
  return value;
}

int64_t CsvTable::integer(size_t row, std::string_view column, int64_t fallback) const {
  const double value = number(row, column, double(fallback));
  FB_CHECK(value == std::floor(value) && std::abs(value) < 1e15, "{}: expected a whole number, got {}", column, value);
  return int64_t(value);
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace finback
