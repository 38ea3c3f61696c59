// A text sample of a model in training, made by the engine, which train/ cannot see.
#pragma once
#include <string>

#include "train/train.h"

namespace finback {

std::string sample_text(const SampleRequest& ask);

}  // namespace finback
