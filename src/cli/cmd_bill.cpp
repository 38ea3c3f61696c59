// finback bill: adds up the bills of runs.
#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/bill_sum.h"
#include "cost/serve_bill.h"

namespace finback {
namespace {

int bill_serving(const Args& args) {
  FB_CHECK(!args.has("final"), "--final: does not go with --serve");
  ServeUsage sum = read_usage(args.required(0, "a usage file"));
  for (size_t i = 1; i < args.positional().size(); ++i) add_usage(sum, read_usage(args.positional()[i]));
  const ServeBill bill = serve_bill(sum, args.number("rate", 0, 0, 1e6));
  fmt::print("{}", args.has("json") ? dump_json(serve_bill_json(sum, bill)) : serve_bill_table(sum, bill));
  return 0;
}

}  // namespace

int cmd_bill(Words words) {
  Args args("bill RUN... [--final RUN] [--rate USD] [--json]  |  bill --serve USAGE.json...",
            "Prints the bill of each run folder (bill.json), its plan beside it, and for several their sum: the final run against those "
            "that led\n"
            "to it. The final one is the last named, or --final RUN.\nWith --serve: dollars a million input tokens, cached and new, and "
            "output tokens, "
            "from usage files (generate --usage).",
            "finback bill runs/quickstart");
  args.flag("final", "RUN", "the run whose model is kept; the others are development")
      .flag("rate", "USD", "price the device-hours anew: USD for each (files stay as they are)")
      .toggle("serve", "usage files of serving instead of run folders")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  if (args.has("serve")) return bill_serving(args);
  args.required(0, "a run folder");
  const double rate = args.number("rate", 0, 0, 1e6);
  const std::vector<std::string>& runs = args.positional();
  const std::string final_run = args.get_or("final", runs.back());
  FB_CHECK(std::count(runs.begin(), runs.end(), final_run) > 0, "--final: expected one of the runs named, got {}", final_run);
  std::vector<Bill> bills;
  for (const std::string& run : runs) {
    bills.push_back(read_bill(std::filesystem::path(run) / "bill.json"));
    if (rate > 0) settle_bill(bills.back(), rate);
  }
  const BillSum sum = sum_bills(runs, std::move(bills), final_run);
  fmt::print("{}", args.has("json") ? dump_json(bill_sum_json(sum)) : bill_sum_text(sum));
  return 0;
}

}  // namespace finback
