// The library that Triton loads as the backend `naiad`.
//
// Serves Naiad's pipelines in Triton's own process: requests are checked, queued, batched and sent to
// worker processes. Also serves model files, if the library has the name of their backend: pytorch,
// onnxruntime or tensorflow.
//
// It also replaces Triton's Python backend, with the real one beside it under another name, which
// gets all models but pipelines, and all requests but those that would crash it.

#include <dlfcn.h>

#include <iterator>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "model.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace naiad {
namespace {

constexpr const char* kPythonBackend = "libtriton_python_stub.so";

// The real Python backend; loaded when Triton initialises the backend `python`.
class PythonBackend {
 public:
  static PythonBackend& instance() {
    static PythonBackend one;
    return one;
  }

  template <typename... Arguments>
  TRITONSERVER_Error* call(const char* name, Arguments... arguments) {
    using Function = TRITONSERVER_Error* (*)(Arguments...);
    auto function = library_ ? reinterpret_cast<Function>(dlsym(library_, name)) : nullptr;
    if (function) return function(arguments...);
    return TRITONSERVER_ErrorNew(kInternal, ("Triton's Python backend: " + failure_).c_str());
  }

 private:
  PythonBackend() {
    Dl_info own{};
    dladdr(reinterpret_cast<void*>(&PythonBackend::instance), &own);
    std::string path = own.dli_fname ? own.dli_fname : "";
    path = path.substr(0, path.rfind('/') + 1) + kPythonBackend;
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library_) failure_ = dlerror();
  }

  void* library_;
  std::string failure_ = "a function is missing";
};

// The models that are served here.
class Models {
 public:
  void add(TRITONBACKEND_Model* key, std::unique_ptr<Model> model) {
    std::unique_lock<std::shared_mutex> hold(mutex_);
    models_[key] = std::move(model);
  }

  Model* find(TRITONBACKEND_Model* key) {
    std::shared_lock<std::shared_mutex> hold(mutex_);
    auto found = models_.find(key);
    return found == models_.end() ? nullptr : found->second.get();
  }

  Model* find(TRITONBACKEND_ModelInstance* instance) {
    TRITONBACKEND_Model* model = nullptr;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceModel(instance, &model));
    return find(model);
  }

  std::unique_ptr<Model> remove(TRITONBACKEND_Model* key) {
    std::unique_lock<std::shared_mutex> hold(mutex_);
    auto found = models_.find(key);
    if (found == models_.end()) return nullptr;
    auto model = std::move(found->second);
    models_.erase(found);
    return model;
  }

 private:
  std::shared_mutex mutex_;
  std::unordered_map<TRITONBACKEND_Model*, std::unique_ptr<Model>> models_;
};

// Bytes per element, by TRITONSERVER_DataType: BOOL, UINT8 to UINT64, INT8 to INT64, FP16 to FP64,
// BYTES (the length before each element) and BF16.
constexpr int64_t kItemSizes[] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 4, 2};

// Return the part of a request that would crash the Python backend: a shape with more elements than
// its bytes hold, which Triton accepts if the product overflows (seen in 2.51). "" if there is none.
std::string impossible(TRITONBACKEND_Request* request) {
  uint32_t count = 0;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestInputCount(request, &count));
  for (uint32_t number = 0; number < count; ++number) {
    TRITONBACKEND_Input* input = nullptr;
    const char* name = "";
    const int64_t* shape = nullptr;
    int dtype = 0;
    uint32_t rank = 0;
    uint64_t bytes = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestInputByIndex(request, number, &input));
    TRITONSERVER_ErrorDelete(TRITONBACKEND_InputProperties(
        input, &name, &dtype, &shape, &rank, &bytes, nullptr));
    if (dtype <= 0 || dtype >= static_cast<int>(std::size(kItemSizes))) continue;
    auto found = elements(shape, rank, kItemSizes[dtype]);
    if (!found || static_cast<uint64_t>(*found) > bytes / kItemSizes[dtype]) {
      return std::string(name) + " has shape " + shape_text(shape, rank) + ", but " +
             std::to_string(bytes) + " bytes";
    }
  }
  return "";
}

void refuse(TRITONBACKEND_Request* request, const std::string& why) {
  auto* error = TRITONSERVER_ErrorNew(kInvalidArgument, sendable(why).c_str());
  TRITONBACKEND_Response* response = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseNew(&response, request));
  if (response) TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseSend(response, kFinal, error));
  TRITONSERVER_ErrorDelete(error);
  TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestRelease(request, kAll));
}

Models& models() {
  static auto* all = new Models;  // never destroyed: Triton may call as the process ends
  return *all;
}

// True for Triton's Python backend, which this library replaces.
bool is_python(TRITONBACKEND_Backend* backend) {
  const char* name = "";
  TRITONSERVER_ErrorDelete(TRITONBACKEND_BackendName(backend, &name));
  return std::string("python") == name;
}

bool is_python(TRITONBACKEND_Model* model) {
  TRITONBACKEND_Backend* backend = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelBackend(model, &backend));
  return is_python(backend);
}

// Complete a config without inputs or outputs from the model's file, if Triton asks for it.
void complete(TRITONBACKEND_Model* model, const std::string& name, const std::string& hello) {
  bool wanted = false;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelAutoCompleteConfig(model, &wanted));
  if (!wanted) return;
  Worker worker(name + " config", hello);
  worker.launch();
  std::string said = worker.receive(Seconds(300));
  auto config = Json::parse(said);
  if (config["error"]) throw std::runtime_error(config["error"].text());
  TRITONSERVER_Message* message = nullptr;
  auto* failed = TRITONSERVER_MessageNewFromSerializedJson(&message, said.data(), said.size());
  if (!failed) failed = TRITONBACKEND_ModelSetConfig(model, 1, message);
  if (message) TRITONSERVER_ErrorDelete(TRITONSERVER_MessageDelete(message));
  if (failed) {
    std::string why = TRITONSERVER_ErrorMessage(failed);
    TRITONSERVER_ErrorDelete(failed);
    throw std::runtime_error(why);
  }
}

std::string config_of(TRITONBACKEND_Model* model) {
  TRITONSERVER_Message* message = nullptr;
  const char* text = "";
  size_t size = 0;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelConfig(model, 1, &message));
  TRITONSERVER_ErrorDelete(TRITONSERVER_MessageSerializeToJson(message, &text, &size));
  std::string config(text, size);
  TRITONSERVER_ErrorDelete(TRITONSERVER_MessageDelete(message));
  return config;
}

}  // namespace
}  // namespace naiad

using naiad::models;
using naiad::PythonBackend;

EXPORTED TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* backend) {
  if (!naiad::is_python(backend)) return nullptr;
  return PythonBackend::instance().call(__func__, backend);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_Finalize(TRITONBACKEND_Backend* backend) {
  if (!naiad::is_python(backend)) return nullptr;
  return PythonBackend::instance().call(__func__, backend);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_GetBackendAttribute(
    TRITONBACKEND_Backend* backend, TRITONBACKEND_BackendAttribute* attributes) {
  if (!naiad::is_python(backend)) return nullptr;
  return PythonBackend::instance().call(__func__, backend, attributes);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  try {
    std::string text = naiad::config_of(model);
    auto config = naiad::Json::parse(text);
    if (naiad::is_python(model) && !naiad::Settings(config).is_pipeline) {
      return PythonBackend::instance().call(__func__, model);
    }
    const char *name = "", *path = "";
    uint64_t version = 0;
    int kind = 0;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelName(model, &name));
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelVersion(model, &version));
    TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelRepository(model, &kind, &path));
    if (config["input"].items().empty() || config["output"].items().empty()) {
      naiad::complete(model, name, naiad::hello(path, version, text));
      text = naiad::config_of(model);
      config = naiad::Json::parse(text);
    }
    naiad::Settings settings(config);
    models().add(model, std::make_unique<naiad::Model>(name, version, path, text, settings));
    return nullptr;
  } catch (const std::exception& error) {
    return TRITONSERVER_ErrorNew(naiad::kInternal, error.what());
  }
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  if (models().remove(model) || !naiad::is_python(model)) return nullptr;
  return PythonBackend::instance().call(__func__, model);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(
    TRITONBACKEND_ModelInstance* instance) {
  if (models().find(instance)) return nullptr;
  return PythonBackend::instance().call(__func__, instance);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(
    TRITONBACKEND_ModelInstance* instance) {
  if (auto* model = models().find(instance)) {
    model->settle();
    return nullptr;
  }
  return PythonBackend::instance().call(__func__, instance);
}

EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const uint32_t count) {
  auto* model = models().find(instance);
  if (!model) {
    std::vector<TRITONBACKEND_Request*> possible;
    for (uint32_t number = 0; number < count; ++number) {
      auto why = naiad::impossible(requests[number]);
      if (why.empty()) {
        possible.push_back(requests[number]);
      } else {
        naiad::refuse(requests[number], why);
      }
    }
    uint32_t left = possible.size();
    if (!left) return nullptr;
    return PythonBackend::instance().call(__func__, instance, possible.data(), left);
  }
  for (uint32_t number = 0; number < count; ++number) {
    try {
      model->accept(requests[number], instance);
    } catch (const std::exception& error) {  // the request has been answered already
      naiad::log(naiad::kError, std::string("a request could not be accepted: ") + error.what());
    }
  }
  return nullptr;
}
