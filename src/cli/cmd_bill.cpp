// finback bill: adds up the bills of runs.
#include <filesystem>

#include "base/fields.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/bill.h"

namespace finback {

int cmd_bill(Words words) {
  Args args("bill RUN... [--json]", "Prints the bill of each run folder (bill.json) and, for several, their sum.",
            "finback bill runs/quickstart");
  args.toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.required(0, "a run folder");
  Json document;
  document["runs"] = Json::array();
  double hours = 0, usd = 0, flops = 0;
  int64_t tokens = 0;
  std::string text;
  for (const std::string& run : args.positional()) {
    Bill bill = read_bill(std::filesystem::path(run) / "bill.json");
    hours += bill.device_hours, usd += bill.usd, flops += bill.flops, tokens += bill.tokens;
    document["runs"].push_back(dump_fields(bill));
    text += bill_table(bill) + "\n";
  }
  document["sum"] = {{"device_hours", hours}, {"tokens", tokens}, {"flops", flops}, {"usd", usd}};
  if (args.has("json")) {
    fmt::print("{}", dump_json(document));
    return 0;
  }
  fmt::print("{}", text);
  if (args.positional().size() > 1)
    fmt::print("sum of {} runs: {:.4f} device-hours, {} tokens, ${:.4f}\n", args.positional().size(), hours, tokens, usd);
  return 0;
}

}  // namespace finback
