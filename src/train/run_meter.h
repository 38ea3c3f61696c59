// What turns a run's seconds and tokens into shares of the machine's peak, dollars and a bill. Reads clocks and counters, decides nothing.
#pragma once
#include <optional>

#include "base/timer.h"
#include "cost/bill.h"
#include "cost/local_plan.h"
#include "machine/machine_probe.h"
#include "train/attempts.h"
#include "train/checkpointing.h"
#include "train/energy_counter.h"
#include "train/train_config.h"

namespace finback {

// vCPUs or accelerators that a run pays for: more threads than cores are no more machine.
int64_t device_count(const TrainConfig& config);

class RunMeter {
 public:
  // `attempts` and `energy` outlive it. Throws Error when the price table has no row for the device and the recipe no rate.
  RunMeter(const TrainConfig& config, const ModelConfig& shape, const MachineProbe& machine, const AttemptLog& attempts,
           EnergyCounter& energy);
  double elapsed_s() const { return attempts_.seconds(); }  // of all attempts
  double usd() const { return attempts_.device_seconds() * usd_per_device_second_; }
  // Useful FLOP/s over the highest rate seen so far, at most 1; 0 where none is known. The probe at the start is of one moment, in which a neighbour
  // may have had the cores: it is repeated once a minute, and a step that was faster has measured a higher rate itself.
  double peak_share(double tokens_per_s);
  void poll_energy() { energy_.poll(); }
  std::string label() const { return machine_label(machine_); }
  Bill bill(const TrainConfig& config, const TrainerState& state, const std::optional<LocalPlan>& plan) const;

 private:
  const AttemptLog& attempts_;
  EnergyCounter& energy_;
  MachineProbe machine_;
  double flops_per_token_ = 0, usd_per_device_second_ = 0;
  double peak_flops_per_s_ = 0;  // 0: none known
  Timer since_probe_;
};

}  // namespace finback
