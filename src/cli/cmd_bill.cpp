// finback bill: adds up the bills of runs.
#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/status_line.h"
#include "cli/args.h"
#include "cli/named_once.h"
#include "cli/verbs.h"
#include "cost/bill_sum.h"
#include "cost/serve_bill.h"
#include "train/run_bill.h"

namespace finback {
namespace {

int bill_serving(const Args& args) {
  args.required(0, "a usage file");
  const std::vector<std::string> files = named_once(args.positional());
  ServeUsage sum = read_usage(files[0]);
  for (size_t i = 1; i < files.size(); ++i) add_usage(sum, read_usage(files[i]));
  const ServeBill bill = serve_bill(sum, args.number("rate", 0, 0, 1e6));
  fmt::print("{}", args.has("json") ? dump_json(serve_bill_json(sum, bill)) : serve_bill_table(sum, bill));
  return 0;
}

// The bills of the folders that are runs; what is none is said and left out, so that `bill runs/*` gives the sum of what is there.
struct FoundBills {
  std::vector<std::string> runs, left_out;
  std::vector<Bill> bills;
  bool damaged = false;
};
FoundBills find_bills(const std::vector<std::string>& folders) {
  FoundBills found;
  const auto leave_out = [&](const std::string& folder, const std::string& why) {
    found.left_out.push_back(folder);
    warn(fmt::format("{}: left out: {}", folder, why));
  };
  for (const std::string& folder : folders) {
    try {
      std::optional<Bill> bill = std::filesystem::is_directory(folder) ? run_bill(folder) : std::nullopt;
      if (!bill) FB_CHECK(folders.size() > 1, "{}: expected a run folder, with bill.json or attempts.jsonl in it", folder);
      if (!bill) {
        leave_out(folder, "no run, neither bill.json nor attempts.jsonl in it");
        continue;
      }
      found.runs.push_back(folder), found.bills.push_back(*std::move(bill));
    } catch (const std::exception& e) {
      if (folders.size() == 1) throw;
      found.damaged = true;
      leave_out(folder, e.what());
    }
  }
  FB_CHECK(!found.runs.empty(), "expected a run folder, with bill.json or attempts.jsonl in it, got none of {} folders", folders.size());
  return found;
}

}  // namespace

int cmd_bill(CommandLine words) {
  Args args("bill RUN... [--final RUN] [--rate USD] [--json]  |  bill --serve USAGE.json...",
            "Prints the bill of each run folder, its plan beside it, and for several their sum: the final run against those that led\n"
            "to it. The final one is the last named, or --final RUN. A run that goes on, was stopped, killed or failed has a bill of what "
            "it took so\n"
            "far, marked unfinished; among several, folders that are no runs are said on stderr and left out.\nWith --serve: dollars a "
            "million input tokens, cached and new, and "
            "output tokens, "
            "from usage files (generate --usage).",
            "finback bill runs/quickstart");
  args.flag("final", "RUN", "the run whose model is kept; the others are development")
      .only_of({"RUN"})
      .flag("rate", "USD", "price the device-hours anew: USD for each (files stay as they are)")
      .toggle("serve", "usage files of serving instead of run folders")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.check_mode(args.has("serve") ? "--serve" : "RUN");
  if (args.has("serve")) return bill_serving(args);
  args.required(0, "a run folder");
  const double rate = args.number("rate", 0, 0, 1e6);
  FoundBills found = find_bills(named_once(args.positional()));
  // By whatever name: the last one may have been named before, too.
  const auto found_as = [&](const std::string& run) {
    return std::find_if(found.runs.begin(), found.runs.end(), [&](const std::string& other) { return is_same_place(other, run); });
  };
  const auto last = found_as(args.positional().back());
  const auto chosen = args.has("final") ? found_as(*args.get("final")) : last != found.runs.end() ? last : found.runs.end() - 1;
  FB_CHECK(chosen != found.runs.end(), "--final: expected one of the runs named, got {}", *args.get("final"));
  const std::string final_run = *chosen;
  for (Bill& bill : found.bills) {
    if (rate > 0) settle_bill(bill, rate);
  }
  const BillSum sum = sum_bills(found.runs, std::move(found.bills), final_run);
  if (args.has("json")) {
    Json json = bill_sum_json(sum);
    json["left_out"] = found.left_out;
    fmt::print("{}", dump_json(json));
  } else {
    fmt::print("{}", bill_sum_text(sum));
  }
  return found.damaged ? 1 : 0;  // a damaged run is missing in the sum; what is no run is not
}

}  // namespace finback
