// A small table of text: CSV with quoted cells (RFC 4180), read whole. Knows no meaning of any column.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace finback {

class CsvTable {
 public:
  // The first line names the columns. Throws Error for a quote that is never closed. A row with other than that many cells is kept: `fault` tells.
  static CsvTable parse(std::string_view text, const std::string& what);

  size_t size() const { return rows_.size(); }
  const std::vector<std::string>& columns() const { return columns_; }
  bool has(std::string_view column) const;
  // What is wrong with a row as it is written; "" when nothing is. Cells that it lacks are empty, what it has too many is dropped.
  std::string fault(size_t row) const;
  // "" where there is no such column.
  const std::string& cell(size_t row, std::string_view column) const;
  // `fallback` for an empty cell and for n/a; throws Error that names row and column for anything else that is no number.
  double number(size_t row, std::string_view column, double fallback = 0) const;
  int64_t integer(size_t row, std::string_view column, int64_t fallback = 0) const;

 private:
  std::string what_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> cell_counts_;  // of the rows as they were written
};

// A cell as CSV writes it: quoted when it has to be.
std::string csv_cell(const std::string& text);

}  // namespace finback
