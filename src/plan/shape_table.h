// Shapes of published models (configs/cost/models.csv, compiled in) and stand-ins for models of which only parameter counts are known.
#pragma once
#include <optional>
#include <vector>

#include "cost/model_shape.h"

namespace finback {

struct NamedShape {
  std::string key;
  std::vector<std::string> aliases;  // in plain_name's spelling
  ModelShape shape;
};
const std::vector<NamedShape>& shape_table();

// The model that a user names: the key or an alias, whole. A name that only contains one is another model's (deepseek-v3.2 is not deepseek-v3).
std::optional<ModelShape> find_named_shape(const std::string& name);

// For rows of published tables, whose names say more than the model's: by key, else by the longest alias that the name contains. A name that says "w/o MTP" drops the MTP modules.
std::optional<ModelShape> find_shape(const std::string& key, const std::string& name);

// A stand-in from parameter counts alone: 128 hidden units a layer's depth for a dense model, 8 of 64 or more fine experts for a sparse one. Its totals are
// the given ones within a few per cent. REQUIRES: active > 0; total == 0 or total == active means dense. Throws Error for sizes that cannot be
// counted.
ModelShape shape_from_sizes(const std::string& name, double total, double active, int64_t vocab);

}  // namespace finback
