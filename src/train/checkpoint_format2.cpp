#include "train/checkpoint_format2.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/file.h"
#include "model/safetensors.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

uint64_t hash_after(const at::Tensor& flat, uint64_t before) {
  const at::Tensor cpu = flat.to(at::kCPU).contiguous();
  return xxhash64(std::span(static_cast<const std::byte*>(cpu.const_data_ptr()), size_t(cpu.nbytes())), before);
}

}  // namespace

std::string format2_fingerprint(const Parameters& parameters) {
  at::Tensor buffers = at::empty({0});
  for (const ParameterSpec& spec : parameters.buffers()) buffers = at::cat({buffers, parameters.buffer(spec.name).to(at::kCPU).flatten()});
  return fmt::format("{:016x}", hash_after(buffers, hash_after(parameters.values_P(), 0)));
}

std::string format2_moments_hash(const Optimizer& optimizer) {
  return fmt::format("{:016x}", hash_after(optimizer.v_P(), hash_after(optimizer.m_P(), 0)));
}

void read_format2_moments(const fs::path& folder, const Optimizer& optimizer) {
  const fs::path path = folder / "trainer.safetensors";
  const SafetensorsFile file(path);
  for (const auto& [name, out_P] : {std::pair{"m", optimizer.m_P()}, std::pair{"v", optimizer.v_P()}}) {
    const at::Tensor stored_P = file.tensor(name);
    FB_CHECK(stored_P.scalar_type() == at::kFloat && stored_P.numel() == out_P.numel(), "{}: expected {} f32 values in \"{}\", got {}",
             path.string(), out_P.numel(), name, stored_P.numel());
    out_P.copy_(stored_P.view({-1}));
  }
}

}  // namespace finback
