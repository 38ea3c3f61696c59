#include "train/moments.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "model/safetensors.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

const std::string kModel = "model", kTrainer = "trainer";

// The part of a flat buffer that belongs to a tensor.
at::Tensor part_of(const at::Tensor& flat_P, const ParameterSpec& spec) {
  return flat_P.narrow(0, spec.offset, spec.numel).view(spec.shape);
}

std::map<std::string, const ParameterSpec*> by_name(const Parameters& parameters) {
  std::map<std::string, const ParameterSpec*> specs;
  for (const ParameterSpec& spec : parameters.specs()) specs.emplace(spec.name, &spec);
  return specs;
}

void write_file(const fs::path& path, const std::vector<const ParameterSpec*>& specs, const Optimizer& optimizer) {
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  for (const char* moment : {"m.", "v."}) {
    for (const ParameterSpec* spec : specs) {
      const uint64_t bytes = uint64_t(spec->numel) * sizeof(float);
      entries.push_back({moment + spec->name, at::kFloat, spec->shape, end, end + bytes});
      end += bytes;
    }
  }
  SafetensorsWriter writer(path, std::move(entries), {{"format", "finback-trainer"}});
  for (const at::Tensor& moment_P : {optimizer.m_P(), optimizer.v_P()}) {
    for (const ParameterSpec* spec : specs) writer.write(part_of(moment_P, *spec).to(at::kCPU));
  }
  writer.commit();
}

}  // namespace

void write_moments(const fs::path& folder, const Transformer& model, const Optimizer& optimizer, const SaveOptions& options) {
  const auto specs = by_name(model.parameters());
  for (const WeightFile& file : weight_files(model.config(), model.parameters(), options)) {
    std::vector<const ParameterSpec*> trained;  // the others are expert biases and MTP's copies
    for (const std::string& name : file.tensors) {
      if (const auto found = specs.find(name); found != specs.end()) trained.push_back(found->second);
    }
    if (!trained.empty()) write_file(folder / (kTrainer + file.name.substr(kModel.size())), trained, optimizer);
  }
}

void read_moments(const fs::path& folder, const Parameters& parameters, const Optimizer& optimizer) {
  std::vector<fs::path> files;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(kTrainer) && name.ends_with(".safetensors")) files.push_back(item.path());
  }
  std::sort(files.begin(), files.end());
  const auto specs = by_name(parameters);
  std::set<std::string> seen;
  for (const fs::path& path : files) {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) {
      const auto found = name.size() > 2 ? specs.find(name.substr(2)) : specs.end();
      FB_CHECK(found != specs.end() && (name.starts_with("m.") || name.starts_with("v.")), "{}: unknown moment \"{}\"", path.string(),
               name);
      FB_CHECK(seen.insert(name).second, "{}: \"{}\" is in an earlier file too", path.string(), name);
      FB_CHECK(entry.dtype == at::kFloat && entry.shape == found->second->shape,
               "{}: expected \"{}\" in f32 and in the shape of its weight", path.string(), name);
      part_of(name[0] == 'm' ? optimizer.m_P() : optimizer.v_P(), *found->second).copy_(file.tensor(name));
    }
  }
  for (const auto& [name, spec] : specs) {
    for (const char* moment : {"m.", "v."}) {
      FB_CHECK(seen.contains(moment + name), "{}: expected \"{}{}\" in trainer*.safetensors, not there", folder.string(), moment, name);
    }
  }
}

std::string moments_hash(const Parameters& parameters, const Optimizer& optimizer) {
  std::vector<uint64_t> hashes = piece_hashes(optimizer.m_P(), parameters.pieces());
  const std::vector<uint64_t> of_v = piece_hashes(optimizer.v_P(), parameters.pieces());
  hashes.insert(hashes.end(), of_v.begin(), of_v.end());
  return hash_of_hashes(hashes);
}

}  // namespace finback
