#include "cost/bill.h"

#include <algorithm>

#include "base/fields.h"
#include "base/file.h"
#include "base/timer.h"
#include "cost/electricity.h"
#include "cost/prices.h"

namespace finback {

void settle_bill(Bill& bill, double rate_usd_per_device_hour) {
  const Price price =
      rate_usd_per_device_hour > 0 ? given_price(bill.device, rate_usd_per_device_hour, utc_now().substr(0, 10)) : price_of(bill.device);
  bill.usd_per_device_hour = price.usd_per_hour;
  bill.price_what = price.what;
  bill.price_source = price.source;
  bill.price_date = price.date;
  if (bill.device_hours == 0) bill.device_hours = bill.wall_hours * double(bill.devices);
  bill.usd = bill.device_hours * bill.usd_per_device_hour;
  bill.usd_per_million_tokens = bill.tokens > 0 ? bill.usd / double(bill.tokens) * 1e6 : 0;
  bill.tokens_per_s = bill.wall_hours > 0 ? double(bill.tokens) / (bill.wall_hours * 3600) : 0;
  if (!bill.energy_how.starts_with("measured")) {
    const Electricity estimate = estimated_electricity(bill.device, bill.device_hours);
    bill.energy_kwh = estimate.kwh, bill.energy_how = estimate.how;
  }
  const double seconds = bill.wall_hours * 3600;
  if (bill.peak_flops_per_s > 0 && seconds > 0) bill.peak_flops_per_s = std::max(bill.peak_flops_per_s, bill.flops / seconds);
  const double capacity = seconds * bill.peak_flops_per_s;
  bill.share_of_peak = capacity > 0 ? std::min(1.0, bill.flops / capacity) : 0;
  bill.not_included = {"building the program", "fetching and tokenising the corpus", "runs that were thrown away", "people",
                       "storage and network"};
}

void write_bill(const std::filesystem::path& path, Bill& bill) { write_file_atomic(path, dump_json(dump_fields(bill))); }

Bill read_bill(const std::filesystem::path& path) {
  Bill bill;
  load_fields(bill, read_json(path), path.string());
  FB_CHECK(bill.format_version == 1, "{}: expected bill format 1, got {}", path.string(), bill.format_version);
  return bill;
}

namespace {

std::string comparison(const Bill& bill) {
  const Planned& plan = bill.planned;
  if (plan.tokens <= 0) return "  no plan was made before this run\n";
  if (bill.tokens <= 0) return "  nothing was trained, so its plan is not compared\n";
  const double share = double(bill.tokens) / plan.tokens;
  const double step_hours = share * (plan.wall_hours - plan.start_hours), hours = plan.start_hours + step_hours;
  if (share < 0.01 || (share < 1 && step_hours < plan.start_hours))
    return fmt::format("  too few steps to compare with the plan: {:.2g} % of its tokens\n", 100 * share);
  std::string text = fmt::format("  {:<16} {:>12} {:>12} {:>8}\n", share < 1 ? "share of the plan" : "", "predicted", "actual", "off");
  const auto line = [&](const char* name, const std::string& said, const std::string& is, double ratio) {
    text += fmt::format("  {:<16} {:>12} {:>12} {:>+7.1f} %\n", name, said, is, 100 * (ratio - 1));
  };
  const auto number = [&](const char* name, double said, double is) {
    line(name, fmt::format("{:.4g}", said), fmt::format("{:.4g}", is), is > 0 ? said / is : 1);
  };
  number("hours", hours, bill.wall_hours);
  const double tokens_per_s = plan.tokens_per_s * share * plan.wall_hours / hours;
  line("tokens/s", fmt::format("{:.0f}", tokens_per_s), fmt::format("{:.0f}", bill.tokens_per_s), tokens_per_s / bill.tokens_per_s);
  const double peak = double(bill.peak_memory_bytes);
  if (peak > 0) line("peak memory", human_bytes(plan.memory_bytes), human_bytes(peak), plan.memory_bytes / peak);
  number("dollars", plan.device_hours * hours / plan.wall_hours * bill.usd_per_device_hour, bill.usd);
  return text;
}

// "1.20 TFLOP", "0 FLOP".
std::string flop(double count) {
  const std::string number = human_count(count);
  const size_t unit = number.find_first_not_of("0123456789.-");
  return unit == std::string::npos ? number + " FLOP" : number + "FLOP";
}

}  // namespace

std::string bill_table(const Bill& bill) {
  std::string left_out;
  for (const std::string& item : bill.not_included) left_out += (left_out.empty() ? "" : ", ") + item;
  std::string text = fmt::format("bill of {} ({}{})\n", bill.run, bill.kind, bill.finished ? "" : ", unfinished");
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("  {:<16} {}\n", name, value); };
  if (!bill.finished) line("unfinished", bill.status);
  line("device", fmt::format("{} x {}{}", bill.devices, bill.device, bill.device_name.empty() ? "" : " (" + bill.device_name + ")"));
  line("hours", fmt::format("{:.4f} wall, {:.4f} {}-hours", bill.wall_hours, bill.device_hours, bill.device));
  line("tokens", fmt::format("{}, {:.0f} per second", human_count(double(bill.tokens)), bill.tokens_per_s));
  line("electricity", fmt::format("{:.5f} kWh ({})", bill.energy_kwh, bill.energy_how));
  line("work", fmt::format("{}, {:.1f} % of the highest rate measured ({}/s; f32)", flop(bill.flops), 100 * bill.share_of_peak,
                           flop(bill.peak_flops_per_s)));
  line("rate", fmt::format("${:.4f} a {}-hour: {} [{}, {}]", bill.usd_per_device_hour, bill.device, bill.price_what, bill.price_source,
                           bill.price_date));
  line("total", fmt::format("${:.4f}  (${:.4f} a million tokens)", bill.usd, bill.usd_per_million_tokens));
  line("not included", left_out);
  return text + comparison(bill);
}

}  // namespace finback
