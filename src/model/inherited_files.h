// What a model that is trained from another one's weights takes over beside them: how it is sampled (generation_config.json) and talked to (its chat
// template). Its tokenizer is that of the tokens it is trained on. Texts, held in memory: the folder that they come from may go while a run lasts.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "model/model_config.h"

namespace finback {

using InheritedFiles = std::map<std::string, std::string>;  // file name -> text

// Of a model folder, or of a checkpoint that has them from one; none that it does not have. A template inside tokenizer_config.json becomes
// chat_template.jinja, which is read first. Throws Error for a broken file.
InheritedFiles inherited_files(const std::filesystem::path& folder);

// generation_config.json of a model with this config: the inherited keys, with its own bos_token_id, and with its ends of text beside theirs.
std::string generation_config_text(const ModelConfig& config, const InheritedFiles& inherited);

}  // namespace finback
