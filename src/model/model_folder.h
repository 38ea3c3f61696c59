// Which folder a word on the command line or in a recipe means. Looks at names, reads no weights.
#pragma once
#include <filesystem>

namespace finback {

// Whether a model folder holds weights, or an index of some; another one may be a config.json alone.
bool has_weights(const std::filesystem::path& folder);

// The model folder that `given` names: itself when it holds a config.json; of a run folder the newest finished checkpoint (RUN/latest, or by its number
// where a copy of the run lost that link), which is said on stderr. Throws Error for anything else (a file, a folder without a model, a run without a checkpoint) and names what was probably meant.
std::filesystem::path find_model_folder(const std::filesystem::path& given);

// For verbs that read shapes alone: the same, or a file (config.json) as it is, but for one of weights.
std::filesystem::path find_model_or_config(const std::filesystem::path& given);

// Where a tokenizer is: of a run folder its newest checkpoint, which is said on stderr; anything else as it is.
std::filesystem::path find_tokenizer(const std::filesystem::path& given);

}  // namespace finback
