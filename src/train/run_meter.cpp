#include "train/run_meter.h"

#include <algorithm>

#include "base/pool.h"
#include "base/timer.h"
#include "cost/flops.h"
#include "cost/prices.h"
#include "train/peak_memory.h"
#include "train/preflight.h"

namespace finback {
namespace {

constexpr double kProbeEvery = 60;  // seconds; each takes some 30 ms

}  // namespace

int64_t device_count(const TrainConfig& config) { return config.run.device == "cpu" ? std::min(threads(), available_cores()) : 1; }

RunMeter::RunMeter(const TrainConfig& config, const ModelConfig& shape, const MachineProbe& machine, const AttemptLog& attempts,
                   EnergyCounter& energy)
    : attempts_(attempts), energy_(energy), machine_(machine) {
  const double rate = config.bill.rate > 0 ? config.bill.rate : price_of(price_row(config)).usd_per_hour;
  flops_per_token_ =
      train_flops_per_token(shape_of(shape), double(config.data.seq_len), AttentionCount::kCausal, config.train.mtp_lambda > 0);
  usd_per_device_second_ = rate / 3600;
  peak_flops_per_s_ = machine.fma_peak_gflops * 1e9;
}

double RunMeter::peak_share(double tokens_per_s) {
  if (peak_flops_per_s_ == 0) return 0;
  if (since_probe_.seconds() > kProbeEvery) {
    peak_flops_per_s_ = std::max(peak_flops_per_s_, measure_fma_gflops() * 1e9);
    since_probe_.restart();
  }
  const double rate = flops_per_token_ * tokens_per_s;
  peak_flops_per_s_ = std::max(peak_flops_per_s_, rate);
  return rate / peak_flops_per_s_;
}

Bill RunMeter::bill(const TrainConfig& config, const TrainerState& state, const std::optional<LocalPlan>& plan) const {
  Bill bill;
  bill.run = config.run.name;
  bill.device = price_row(config);
  bill.device_name = config.run.device == "cpu" ? machine_.processor : config.run.device;
  bill.devices = attempts_.devices();
  bill.wall_hours = elapsed_s() / 3600;
  bill.device_hours = attempts_.device_seconds() / 3600;
  bill.peak_memory_bytes = peak_memory_bytes();
  if (const std::optional<double> joules = energy_.joules()) {
    // Earlier attempts at this one's draw.
    bill.energy_kwh = *joules / 3.6e6 * attempts_.device_seconds() / attempts_.own_device_seconds();
    bill.energy_how = "measured: processor packages by RAPL, whatever else ran there included";
  }
  if (plan) bill.planned = planned_of(*plan);
  bill.tokens = state.tokens;
  bill.flops = flops_per_token_ * double(state.tokens);
  bill.peak_flops_per_s = peak_flops_per_s_;
  bill.started = state.started;
  bill.ended = utc_now();
  settle_bill(bill, config.bill.rate);
  return bill;
}

}  // namespace finback
