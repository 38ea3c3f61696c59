// Several bills added up: the final run, whose model is kept, against those that led to it. Knows no files.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "cost/bill.h"

namespace finback {

struct BillSum {
  std::vector<Bill> bills;
  std::map<std::string, double> device_hours;  // by device: hours of a vCPU and of an accelerator do not add up
  int64_t tokens = 0;
  double flops = 0, usd = 0;
  std::string final_run;
  double final_usd = 0, development_usd = 0;
};
// bills[i] is that of runs[i]; the final one is the last of the name `final_run`.
BillSum sum_bills(const std::vector<std::string>& runs, std::vector<Bill> bills, const std::string& final_run);

Json bill_sum_json(const BillSum& sum);
// Every bill's table, and for several the sum.
std::string bill_sum_text(const BillSum& sum);

}  // namespace finback
