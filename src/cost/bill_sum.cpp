#include "cost/bill_sum.h"

#include <algorithm>
#include <utility>

#include "base/fields.h"

namespace finback {

BillSum sum_bills(const std::vector<std::string>& runs, std::vector<Bill> bills, const std::string& final_run) {
  FB_ASSERT(runs.size() == bills.size(), "a bill for each run");
  BillSum sum;
  sum.final_run = final_run;
  for (size_t i = 0; i < bills.size(); ++i) {
    const Bill& bill = bills[i];
    if (runs[i] == final_run) sum.final_usd = bill.usd;
    sum.device_hours[bill.device] += bill.device_hours;
    sum.usd += bill.usd, sum.flops += bill.flops, sum.tokens += bill.tokens;
  }
  sum.development_usd = sum.usd - sum.final_usd;
  sum.bills = std::move(bills);
  return sum;
}

Json bill_sum_json(const BillSum& sum) {
  Json json;
  json["runs"] = Json::array();
  for (Bill bill : sum.bills) json["runs"].push_back(dump_fields(bill));
  json["sum"] = {{"device_hours", sum.device_hours}, {"tokens", sum.tokens}, {"flops", sum.flops}, {"usd", sum.usd}};
  json["final"] = {{"run", sum.final_run}, {"usd", sum.final_usd}, {"development_usd", sum.development_usd}};
  return json;
}

std::string bill_sum_text(const BillSum& sum) {
  std::string text;
  for (const Bill& bill : sum.bills) text += bill_table(bill) + "\n";
  if (sum.bills.size() < 2) return text;
  std::string spent;
  for (const auto& [device, hours] : sum.device_hours) spent += fmt::format("{:.4f} {}-hours, ", hours, device);
  const auto unfinished = std::count_if(sum.bills.begin(), sum.bills.end(), [](const Bill& bill) { return !bill.finished; });
  text += fmt::format("sum of {} runs{}: {}{} tokens, ${:.4f}\n", sum.bills.size(),
                      unfinished ? fmt::format(" ({} unfinished)", unfinished) : "", spent, sum.tokens, sum.usd);
  text += fmt::format("final run {}: ${:.4f}; development: ${:.4f}; all of it is {:.2f} times the final run\n", sum.final_run,
                      sum.final_usd, sum.development_usd, sum.final_usd > 0 ? sum.usd / sum.final_usd : 1);
  return text;
}

}  // namespace finback
