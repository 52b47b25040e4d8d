-- Identifies clients and checks their rights from the headers; refuses requests without a rule.
--
-- Defined above by the generator: sha256, base64_decoded, KEYS (by hash), CONTROL_KEY, CONTROL_HASH,
-- ACCEPTS, WITH_UI.
-- Envoy continues when a script fails, so a request has a route only once `passed` is set.

local SPACE = "naiad"
local JWT = "envoy.filters.http.jwt_authn"
local HTTP_CONTROL = "naiad-control-key"
local GRPC_CONTROL = "triton-grpc-protocol-naiad-control-key"
local MODELS = "x-naiad-models" -- tells the tasks which models the key is for
local LONGEST_CONTROL_KEY = 256
local LONGEST_BASIC = 1024

local OPEN, INFER, CONTROL = "open", "infer", "control"

-- `field`: the message field with the model's name; `all`: the call concerns all models.
local GRPC = {
  ServerLive = { verb = OPEN },
  ServerReady = { verb = OPEN },
  ServerMetadata = { verb = INFER },
  ModelReady = { verb = INFER, field = 1 },
  ModelMetadata = { verb = INFER, field = 1 },
  ModelConfig = { verb = INFER, field = 1 },
  ModelStatistics = { verb = INFER, field = 1 },
  ModelInfer = { verb = INFER, field = 1 },
  ModelStreamInfer = { verb = INFER, all = true },
  RepositoryIndex = { verb = INFER, all = true, key = true },
  RepositoryModelLoad = { verb = CONTROL, field = 2, key = true },
  RepositoryModelUnload = { verb = CONTROL, field = 2, key = true },
  SystemSharedMemoryStatus = { verb = CONTROL, all = true, key = true },
  SystemSharedMemoryRegister = { verb = CONTROL, all = true, key = true },
  SystemSharedMemoryUnregister = { verb = CONTROL, all = true, key = true },
  CudaSharedMemoryStatus = { verb = CONTROL, all = true, key = true },
  CudaSharedMemoryRegister = { verb = CONTROL, all = true, key = true },
  CudaSharedMemoryUnregister = { verb = CONTROL, all = true, key = true },
  TraceSetting = { verb = CONTROL, all = true, key = true },
  LogSettings = { verb = CONTROL, all = true, key = true },
}
local HTTP = {
  ["/v2"] = { verb = INFER },
  ["/v2/"] = { verb = INFER },
  ["/v2/health/live"] = { verb = OPEN },
  ["/v2/health/ready"] = { verb = OPEN },
  ["/v2/models/stats"] = { verb = INFER, all = true },
  ["/v2/repository/index"] = { verb = INFER, all = true, key = true },
  ["/v2/trace/setting"] = { verb = CONTROL, all = true, key = true },
  ["/v2/logging"] = { verb = CONTROL, all = true, key = true },
}
local HEALTH = { verb = OPEN }
local OF_MODEL = { verb = INFER }
local CONTROL_OF_MODEL = { verb = CONTROL, key = true }
local SHARED_MEMORY = { verb = CONTROL, all = true, key = true }
local MODEL_CALLS = {
  [""] = OF_MODEL,
  ["/ready"] = OF_MODEL,
  ["/config"] = OF_MODEL,
  ["/stats"] = OF_MODEL,
  ["/infer"] = OF_MODEL,
  ["/generate"] = OF_MODEL,
  ["/generate_stream"] = OF_MODEL,
  ["/trace/setting"] = CONTROL_OF_MODEL,
}
local REGION_CALLS = { status = true, register = true, unregister = true }

-- `ui`: takes HTTP Basic, which browsers ask for; `page`: shows all models.
local PAGE = { verb = INFER, ui = true, page = true }
local TASKS = { verb = INFER, ui = true }

local ANYONE = { name = "-", infer = true, control = false }
local OWNER = { name = "control key", infer = true, control = true }

local function refuse(handle, status, message, more)
  local headers = { [":status"] = tostring(status) }
  for name, value in pairs(more or {}) do
    headers[name] = value
  end
  handle:respond(headers, message)
end

local function ui_rule(path)
  -- Browsers ask for the icon by themselves.
  if path == "/ui" or path:sub(1, 4) == "/ui/" or path == "/favicon.ico" then
    return PAGE
  elseif path == "/openapi.json" or path == "/v1/tasks" or path:sub(1, 10) == "/v1/tasks/" then
    return TASKS
  end
  return nil
end

local function http_rule(path)
  if HTTP[path] then
    return HTTP[path]
  end
  local ui = WITH_UI and ui_rule(path)
  if ui then
    return ui
  end
  -- Model names need no escapes, and escaped paths would be decoded twice.
  if path:find("%", 1, true) then
    return nil
  end
  local model, rest = path:match("^/v2/models/([^/]+)(.*)$")
  if model then
    return MODEL_CALLS[rest:match("^/versions/%d+(.*)$") or rest], model
  end
  local call
  model, call = path:match("^/v2/repository/models/([^/]+)/(%a+)$")
  if model and (call == "load" or call == "unload") then
    return CONTROL_OF_MODEL, model
  end
  call = path:match("^/v2/systemsharedmemory/(.+)$") or path:match("^/v2/cudasharedmemory/(.+)$")
  if call and REGION_CALLS[call:match("^region/[^/]+/(%a+)$") or call] then
    return SHARED_MEMORY
  end
  return nil
end

local found = {} -- clients by valid key, so that each hash is computed once

local function of_key(key)
  if found[key] then
    return found[key]
  end
  if #key ~= 49 or not key:find("^naiad_[%w_-]+$") then
    return nil
  end
  local client = KEYS[sha256(key)]
  found[key] = client -- bounded by the number of keys
  return client
end

local function texts(list)
  local set, listed = {}, {}
  if type(list) == "table" then
    for _, text in ipairs(list) do
      if type(text) == "string" then
        set[text] = true
        listed[#listed + 1] = text
      end
    end
  end
  return set, listed
end

local function of_token(handle)
  local claims = handle:streamInfo():dynamicMetadata():get(JWT)
  claims = claims and claims.claims
  if type(claims) ~= "table" then
    return nil
  end
  local may = texts(claims.naiad_may)
  local client = { name = "token", infer = true, control = may.control == true }
  if type(claims.sub) == "string" then
    client.name = "token " .. claims.sub:sub(1, 128)
  end
  if claims.naiad_models ~= nil then -- anything but a list means no models
    client.models, client.listed = texts(claims.naiad_models)
  end
  return client
end

local function why_no_token(handle)
  local failed = handle:streamInfo():dynamicMetadata():get(JWT)
  failed = failed and failed.failed
  return type(failed) == "table" and type(failed.message) == "string" and failed.message or nil
end

-- Returns the client, or nil and what is missing.
local function identify(handle, control, key, bearer)
  if control and #control <= LONGEST_CONTROL_KEY then
    if found[control] == OWNER or sha256(control) == CONTROL_HASH then
      found[control] = OWNER
      return OWNER
    end
  end
  if not ACCEPTS.keys and not ACCEPTS.tokens then
    return ANYONE
  end
  local token = bearer and bearer:match("^[Bb]earer +([^ ]+)$")
  if ACCEPTS.keys then
    key = key or (token and token:find("^naiad_") and token)
    if key then
      local client = of_key(key)
      if client then
        return client
      end
      return nil, "this API key is unknown"
    end
  end
  if ACCEPTS.tokens then
    local client = of_token(handle)
    if client then
      return client
    end
    if bearer then
      return nil, "this token was rejected: " .. (why_no_token(handle) or "it is not valid")
    end
  end
  if not ACCEPTS.tokens then
    return nil, "no API key: send one as x-api-key or Authorization: Bearer"
  elseif not ACCEPTS.keys then
    return nil, "no token: send one as Authorization: Bearer"
  end
  return nil, "no API key or token: send one as x-api-key or Authorization: Bearer"
end

local function take(headers, name)
  local value = headers:get(name)
  if value ~= nil then
    headers:remove(name)
  end
  return value
end

-- Returns the password of HTTP Basic, which is the API key; or nil.
local function of_basic(given)
  local encoded = given and #given <= LONGEST_BASIC and given:match("^[Bb]asic +([%w+/=]+)$")
  local decoded = encoded and base64_decoded(encoded)
  return decoded and decoded:match("^[^:]*:(.*)$")
end

local function authorise(handle)
  local headers = handle:headers()
  local path = headers:get(":path"):match("^[^?]*")
  local control = take(headers, HTTP_CONTROL)
  control = take(headers, GRPC_CONTROL) or control
  local key, bearer = take(headers, "x-api-key"), take(headers, "authorization")
  take(headers, "x-naiad-client")
  take(headers, MODELS)

  local call = path:match("^/inference%.GRPCInferenceService/(%a+)$")
  local health = path:match("^/grpc%.health%.v1%.Health/(%a+)$")
  local rule, model
  if call or health then
    rule = health and HEALTH or GRPC[call]
    local kind = headers:get("content-type") or ""
    if kind ~= "application/grpc" and not kind:find("^application/grpc%+") then
      return refuse(handle, 415, "this path accepts only gRPC: content-type application/grpc")
    end
    local encoding = headers:get("grpc-encoding")
    if encoding and encoding ~= "identity" then
      local message = "compressed gRPC messages are not accepted (grpc-encoding " .. encoding:sub(1, 32)
      return refuse(handle, 415, message .. "): send them uncompressed", { ["grpc-status"] = "12" })
    end
  else
    rule, model = http_rule(path)
    local method = headers:get(":method")
    if rule and method ~= "GET" and method ~= "POST" and not (rule.ui and method == "HEAD") then
      return refuse(handle, 405, "the method must be GET or POST")
    end
  end
  if not rule then
    return refuse(handle, 404, "not found: the gate serves the paths of KServe v2")
  end
  local encoding = headers:get("content-encoding")
  if encoding and encoding ~= "identity" and (encoding ~= "gzip" or call or health) then
    local message = "content-encoding must be gzip or identity"
    return refuse(handle, 415, message, call and { ["grpc-status"] = "12" })
  end

  local metadata = handle:streamInfo():dynamicMetadata()
  if model then
    metadata:set(SPACE, "model", model)
  end
  if rule.verb ~= OPEN then
    key = key or (rule.ui and of_basic(bearer))
    local client, missing = identify(handle, control, key, bearer)
    if not client then
      local how = rule.ui and ACCEPTS.keys and 'Basic realm="Naiad", charset="UTF-8"' or "Bearer"
      return refuse(handle, 401, missing, { ["www-authenticate"] = how })
    end
    metadata:set(SPACE, "client", client.name)
    if rule.verb == CONTROL and not client.control then
      if client == ANYONE then
        return refuse(handle, 403, "this needs the server's control key, or an API key that may control")
      end
      return refuse(handle, 403, "this key may not control models or the server")
    elseif rule.verb == INFER and not client.infer then
      return refuse(handle, 403, "this key may not infer")
    end
    if client.models and rule.page then
      return refuse(handle, 403, "this key is for some models only, and the page shows all")
    elseif client.models and rule.ui then
      headers:add(MODELS, table.concat(client.listed, ","))
    elseif client.models then
      if rule.all or (model and not client.models[model]) then
        local message = "this key is for " .. (#client.listed > 0 and "models " or "no model")
        return refuse(handle, 403, message .. table.concat(client.listed, ", "))
      elseif rule.field then
        metadata:set(SPACE, "models", client.listed)
        metadata:set(SPACE, "field", rule.field)
        return -- the message has the model's name: inspect.lua decides
      end
    end
    if rule.key then
      headers:add(call and GRPC_CONTROL or HTTP_CONTROL, CONTROL_KEY)
    end
  end
  metadata:set(SPACE, "passed", "yes")
  handle:clearRouteCache()
end

function envoy_on_request(handle)
  local ok, problem = pcall(authorise, handle)
  if not ok then
    handle:logErr("authorise.lua: " .. tostring(problem))
    refuse(handle, 500, "internal error in the gate", { ["grpc-status"] = "13" })
  end
end
