// What a run did cost: one bill.json a run folder and the table printed at its end. Hours are wall-clock hours of this machine spent in
// the run, all attempts added up (train/attempts.h keeps them); nothing else is in them, and the bill says so.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace finback {

// What the plan said before the first step; tokens 0: there was none.
struct Planned {
  double tokens = 0, wall_hours = 0, device_hours = 0, tokens_per_s = 0, memory_bytes = 0;
  double start_hours = 0;  // of wall_hours: before the first step, whatever the number of steps
};
template <class V>
void visit_fields(Planned& p, V& v) {
  v("tokens", p.tokens, "tokens of the plan; 0: no plan");
  v("wall_hours", p.wall_hours, "hours");
  v("device_hours", p.device_hours, "hours times devices");
  v("tokens_per_s", p.tokens_per_s, "trained tokens per second over the whole run");
  v("memory_bytes", p.memory_bytes, "peak memory of the process");
  v("start_hours", p.start_hours, "of wall_hours: until the first step, the rehearsal included");
}

struct Bill {
  int64_t format_version = 1;
  std::string kind = "train";     // train | sft | rl | serve
  std::string run;                // run name
  bool finished = true;           // false: it goes on, was stopped, killed or failed; see status
  std::string status;             // of an unfinished run, for people: "running, step 9 of 600"
  std::string device;             // price-table name: "cpu", "h200"
  std::string device_name;        // "AMD EPYC ..."
  int64_t devices = 1;            // vCPUs used, or accelerators
  double wall_hours = 0;          // of the run, every attempt included
  double device_hours = 0;        // of each attempt, its hours times its devices
  int64_t tokens = 0;             // trained tokens
  double tokens_per_s = 0;        // over the whole run
  int64_t peak_memory_bytes = 0;  // of the last attempt's process
  double energy_kwh = 0;
  std::string energy_how;  // measured or estimated, and of what
  Planned planned;
  double flops = 0;             // useful: train_flops_per_token (causal, MTP included) * tokens
  double peak_flops_per_s = 0;  // highest rate measured on the devices used: probes of f32 FMA, and the run itself
  double share_of_peak = 0;     // flops / (wall seconds * peak), at most 1
  double usd_per_device_hour = 0;
  std::string price_what, price_source, price_date;
  double usd = 0;
  double usd_per_million_tokens = 0;
  std::string started, ended;  // UTC
  std::vector<std::string> not_included;
};
template <class V>
void visit_fields(Bill& b, V& v) {
  v("format_version", b.format_version, "version of this file");
  v("kind", b.kind, "train, sft, rl or serve");
  v("run", b.run, "run name");
  v("finished", b.finished, "all of its tokens are trained and evaluated");
  v("status", b.status, "of an unfinished run: how far it is, and whether it runs");
  v("device", b.device, "device in the price table");
  v("device_name", b.device_name, "device as the machine calls it");
  v("devices", b.devices, "vCPUs or accelerators used");
  v("wall_hours", b.wall_hours, "hours, every attempt included");
  v("device_hours", b.device_hours, "hours of each attempt times its devices");
  v("tokens", b.tokens, "tokens trained");
  v("tokens_per_s", b.tokens_per_s, "tokens / wall seconds");
  v("peak_memory_bytes", b.peak_memory_bytes, "peak resident memory of the last attempt");
  v("energy_kwh", b.energy_kwh, "electricity, kWh");
  v("energy_how", b.energy_how, "measured or estimated, and of what");
  v("planned", b.planned, "what the plan said before the first step");
  v("flops", b.flops, "useful FLOPs: formula in src/cost/flops.h, causal attention, MTP included");
  v("peak_flops_per_s", b.peak_flops_per_s, "highest rate measured on the devices used, FLOP/s: probes of f32 FMA, and the run itself");
  v("share_of_peak", b.share_of_peak, "flops / (seconds * peak)");
  v("usd_per_device_hour", b.usd_per_device_hour, "rate");
  v("price_what", b.price_what, "what that rate buys");
  v("price_source", b.price_source, "who asks it");
  v("price_date", b.price_date, "when it was seen");
  v("usd", b.usd, "device_hours * rate");
  v("usd_per_million_tokens", b.usd_per_million_tokens, "usd / tokens * 1e6");
  v("started", b.started, "UTC");
  v("ended", b.ended, "UTC");
  v("not_included", b.not_included, "what this bill leaves out");
}

// A run that did more FLOPs a second than its peak has measured a higher one: the peak becomes that.
// Fills tokens_per_s, energy (estimated where nothing measured it), share_of_peak, usd and usd_per_million_tokens from the other fields, device_hours (where it
// is 0) as wall_hours * devices, the price from the table (or `rate` > 0), and not_included. Settling a bill again gives it today's price.
void settle_bill(Bill& bill, double rate_usd_per_device_hour = 0);
void write_bill(const std::filesystem::path& path, Bill& bill);
Bill read_bill(const std::filesystem::path& path);
// The table for people, predicted against actual included; a run that did not do all its tokens is held to the start and its share of the steps, and to
// nothing while the start is more than these.
std::string bill_table(const Bill& bill);

}  // namespace finback
