#include "plan/link_time.h"

#include <algorithm>
#include <cmath>

namespace finback {
namespace {

int64_t ranks_in_domain(RankGroup group, const Accelerator& gpu) {
  return std::clamp<int64_t>(gpu.domain / std::max<int64_t>(1, group.stride), 1, group.size);
}

}  // namespace

double gather_seconds(double bytes, RankGroup group, const Accelerator& gpu, const CostParameters& p) {
  if (group.size <= 1) return 0;
  const double inside = double(ranks_in_domain(group, gpu)), size = double(group.size), domains = size / inside;
  const double link = bytes * (size - 1) / size / (gpu.link_gb_s * 1e9 * p.link);
  // A ring through the domains enters each one by all ports of its members.
  const double nic = domains > 1 ? bytes * (domains - 1) / domains / (inside * gpu.nic_gb_s * 1e9 * p.nic) : 0;
  const double hops = std::log2(inside) + 2 * std::log2(std::max(1.0, domains));
  return std::max(inside > 1 ? link : 0, nic) + hops * p.hop_us * 1e-6;
}

double exchange_seconds(double bytes, double copies, RankGroup group, const Accelerator& gpu, const CostParameters& p) {
  if (group.size <= 1) return 0;
  const double inside = double(ranks_in_domain(group, gpu)), size = double(group.size), domains = size / inside;
  const double link = inside > 1 ? bytes * (size - 1) / size / (gpu.link_gb_s * 1e9 * p.link) : 0;
  // Of `copies` copies an expected domains * (1 - (1 - 1/domains)^copies) domains are hit; one of them is at home.
  const double hit = domains * (1 - std::pow(1 - 1 / domains, copies)) * (domains - 1) / domains;
  const double nic = domains > 1 ? bytes / copies * hit / (gpu.nic_gb_s * 1e9 * p.nic) : 0;
  return std::max(link, nic) + (domains > 1 ? 3 : 1) * p.hop_us * 1e-6;
}

}  // namespace finback
