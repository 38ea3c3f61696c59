// The accelerators that plans know (configs/hardware/*.toml, compiled in): peaks, memory, links, power, measured ceilings, each row with source
// and date. Facts only; what training reaches of a peak is in plan/cost_parameters.h.
#pragma once
#include <string>
#include <vector>

#include "base/fields.h"

namespace finback {

struct Accelerator {
  std::string name, title;
  std::vector<std::string> aliases;
  int64_t year = 0;
  double bf16_tflops = 0, fp8_tflops = 0, fp4_tflops = 0;  // dense; 0: the part has none
  double memory_gb = 0, hbm_tb_s = 0;
  std::string link;
  double link_gb_s = 0;  // one direction, inside the scale-up domain
  int64_t domain = 1;    // accelerators of a scale-up domain
  double nic_gb_s = 0;   // one direction, network for each accelerator
  double tdp_w = 0, die_tdp_w = 0;
  double matmul_bf16_tflops = 0, matmul_fp8_tflops = 0;  // best measured product; 0: unknown
  double exp_gop_s = 0;
  std::string source, date;
};
template <class V>
void visit_fields(Accelerator& a, V& v) {
  v("name", a.name, "name in commands");
  v("title", a.title, "name for people");
  v("aliases", a.aliases, "other spellings");
  v("year", a.year, "year of introduction");
  v("bf16_tflops", a.bf16_tflops, "dense 16-bit peak, TFLOP/s");
  v("fp8_tflops", a.fp8_tflops, "dense FP8 peak, TFLOP/s; 0: none");
  v("fp4_tflops", a.fp4_tflops, "dense FP4 peak, TFLOP/s; 0: none");
  v("memory_gb", a.memory_gb, "memory, GB as sold");
  v("hbm_tb_s", a.hbm_tb_s, "memory bandwidth, TB/s");
  v("link", a.link, "what joins the scale-up domain");
  v("link_gb_s", a.link_gb_s, "GB/s one way in the domain");
  v("domain", a.domain, "accelerators in the domain");
  v("nic_gb_s", a.nic_gb_s, "GB/s one way to other domains, for each accelerator");
  v("tdp_w", a.tdp_w, "power limit, W");
  v("die_tdp_w", a.die_tdp_w, "power limit at which the peaks hold, W");
  v("matmul_bf16_tflops", a.matmul_bf16_tflops, "best measured 16-bit matrix product; 0: not measured");
  v("matmul_fp8_tflops", a.matmul_fp8_tflops, "best measured FP8 matrix product; 0: not measured");
  v("exp_gop_s", a.exp_gop_s, "exponentials, 10^9 a second");
  v("source", a.source, "where the row is from");
  v("date", a.date, "when it was read");
}

const std::vector<Accelerator>& accelerators();
// By name or alias, spelling of case, blanks and dashes aside; throws Error that lists the names and the nearest.
const Accelerator& accelerator(const std::string& name);

// Lower case, letters and digits only: how names are compared.
std::string plain_name(const std::string& name);

}  // namespace finback
