#include "model/device.h"

#include <ATen/Context.h>

#include "base/error.h"

namespace finback {

c10::Device parse_device(const std::string& name, std::string_view what) {
  FB_CHECK(name == "cpu" || name == "cuda", "{}: expected cpu or cuda, got \"{}\"", what, name);
  FB_CHECK(name == "cpu" || at::hasCUDA(),
           "{}: expected a GPU for cuda, got a torch that finds none. Hint: tools/setup --preset cuda --torch PYTHON", what);
  return c10::Device(name);
}

}  // namespace finback
