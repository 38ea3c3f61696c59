#include "cli/plan_here.h"

#include <unistd.h>

#include <filesystem>

#include "base/fields.h"
#include "cli/sample_text.h"
#include "cost/prices.h"
#include "model/row_probe.h"
#include "train/preflight.h"
#include "train/rehearsal.h"
#include "train/row_feed.h"

namespace finback {

PlanHere plan_here(const std::string& recipe, const std::vector<std::pair<std::string, std::string>>& overrides, double rate) {
  TrainConfig config = load_train_config(recipe, overrides);
  FB_CHECK(config.run.device == "cpu", "--hardware this: expected run.device = cpu, got {}", config.run.device);
  if (rate > 0) config.bill.rate = rate;
  check_paths(config);
  const RowFeed feed(config, at::kCPU);
  const ModelConfig shape = resolve_model_config(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  check_before_start(config, shape, feed, /*samples=*/true);
  const std::filesystem::path scratch = std::filesystem::path(config.run.dir) / fmt::format(".rehearsal-{}", ::getpid());
  const double rough_s = rough_seconds(config, shape, probe_machine().fma_peak_gflops);
  LocalPlan plan = *rehearse(config, sample_text, rough_s, scratch, [] { return false; });  // a signal ends the process, as nothing is kept
  const std::string device = price_row(config);
  const Price price = config.bill.rate > 0 ? given_price(device, config.bill.rate, /*date=*/"") : price_of(device);
  const LocalCost cost = local_cost(plan, device, price.usd_per_hour);
  PlanHere here;
  here.json = dump_fields(plan);
  here.json["usd"] = cost.usd;
  here.json["usd_per_device_hour"] = price.usd_per_hour;
  here.json["price"] = {{"what", price.what}, {"source", price.source}, {"date", price.date}, {"kind", price.kind}};
  here.json["energy_kwh"] = cost.power.kwh;
  here.text = local_plan_text(plan, device, price.usd_per_hour) +
              fmt::format("  {:<12} {} [{}{}]\n", "rate", price.what, price.source, price.date.empty() ? "" : ", " + price.date);
  return here;
}

}  // namespace finback
