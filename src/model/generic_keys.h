// Keys of a config.json that say nothing about a DeepSeek model's arithmetic: those that transformers writes into every config, sampling defaults of its
// older releases, what hubs, trainers and servers add. They are carried along. Exact names: anything else that resembles a key of ours is a slip.
#pragma once
#include <string>
#include <vector>

namespace finback {

bool is_generic_key(const std::string& key);
// Keys that follow from others and are never kept: num_key_value_heads and qk_head_dim (checked), head_dim and auto_map (a class's own affair).
const std::vector<std::string>& derived_keys();
bool is_derived_key(const std::string& key);

}  // namespace finback
