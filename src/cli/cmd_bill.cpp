// finback bill: adds up the bills of runs.
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/fields.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/bill.h"
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
  Json document;
  document["runs"] = Json::array();
  const double rate = args.number("rate", 0, 0, 1e6);
  std::map<std::string, double> hours;  // by device: hours of a vCPU and of an accelerator do not add up
  double usd = 0, flops = 0, final_usd = 0;
  const std::string final_run = args.get_or("final", args.positional().back());
  FB_CHECK(std::count(args.positional().begin(), args.positional().end(), final_run) > 0, "--final: expected one of the runs named, got {}",
           final_run);
  int64_t tokens = 0;
  std::string text;
  for (const std::string& run : args.positional()) {
    Bill bill = read_bill(std::filesystem::path(run) / "bill.json");
    if (rate > 0) settle_bill(bill, rate);
    if (run == final_run) final_usd = bill.usd;
    hours[bill.device] += bill.device_hours, usd += bill.usd, flops += bill.flops, tokens += bill.tokens;
    document["runs"].push_back(dump_fields(bill));
    text += bill_table(bill) + "\n";
  }
  document["sum"] = {{"device_hours", hours}, {"tokens", tokens}, {"flops", flops}, {"usd", usd}};
  document["final"] = {{"run", final_run}, {"usd", final_usd}, {"development_usd", usd - final_usd}};
  if (args.has("json")) {
    fmt::print("{}", dump_json(document));
    return 0;
  }
  fmt::print("{}", text);
  std::string spent;
  for (const auto& [device, device_hours] : hours) spent += fmt::format("{:.4f} {}-hours, ", device_hours, device);
  if (args.positional().size() > 1) {
    fmt::print("sum of {} runs: {}{} tokens, ${:.4f}\n", args.positional().size(), spent, tokens, usd);
    fmt::print("final run {}: ${:.4f}; development: ${:.4f}; all of it is {:.2f} times the final run\n", final_run, final_usd,
               usd - final_usd, final_usd > 0 ? usd / final_usd : 1);
  }
  return 0;
}

}  // namespace finback
