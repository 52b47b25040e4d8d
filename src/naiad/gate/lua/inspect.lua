-- Checks bodies: the JSON of HTTP requests; the model's name in gRPC messages, for keys that are
-- restricted to some models; and the length of each message of a stream, which is not buffered.
--
-- Defined above by the generator: problem_of_json, MAX_BYTES, MAX_JSON, CONTROL_KEY.

local bit = require("bit")
local SPACE = "naiad"
local GRPC_CONTROL = "triton-grpc-protocol-naiad-control-key"
local STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
local MOST_FIELDS = 4096
local LONGEST_NAME = 1024
-- Replaces messages that are too long: a length that gRPC servers refuse.
local REFUSED = "\0\255\255\255\255"

-- Returns the number at `at` of `bytes` (1-based) and where it ends, or nil.
local function varint(bytes, at)
  local value, scale = 0, 1
  for i = at, at + 4 do
    local byte = bytes:byte(i)
    if not byte then
      return nil
    end
    value = value + bit.band(byte, 127) * scale
    if byte < 128 then
      if (byte == 0 and i > at) or value >= 2 ^ 32 then
        return nil -- longer than necessary: parsers disagree about it
      end
      return value, i + 1
    end
    scale = scale * 128
  end
  return nil
end

local function skip_varint(bytes, at)
  for i = at, at + 9 do
    local byte = bytes:byte(i)
    if not byte then
      return nil
    elseif byte < 128 then
      return i + 1
    end
  end
  return nil
end

-- Returns the text of `field` in the only message of `body`; or nil and what is wrong.
local function text_of(body, field)
  local total = body:length()
  if total < 5 then
    return nil, "it is too short"
  end
  local flag, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  if flag ~= 0 then
    return nil, "the message is compressed"
  elseif ((a * 256 + b) * 256 + c) * 256 + d ~= total - 5 then
    return nil, "there must be exactly one message of the stated length"
  end
  local at, text = 5, ""
  for _ = 1, MOST_FIELDS do
    if at == total then
      return text
    end
    local bytes = body:getBytes(at, math.min(20, total - at))
    local tag, next = varint(bytes, 1)
    if not tag or tag < 8 then
      return nil, "a field has no number"
    end
    local kind, number = tag % 8, math.floor(tag / 8)
    if kind == 2 then
      local length
      length, next = varint(bytes, next)
      if not length or at + next - 1 + length > total then
        return nil, "a field is longer than the message"
      end
      at = at + next - 1
      if number == field then
        if length > LONGEST_NAME then
          return nil, "the model's name is too long"
        end
        text = length > 0 and body:getBytes(at, length) or ""
      end
      at = at + length
    elseif kind == 0 then
      next = skip_varint(bytes, next)
      if not next then
        return nil, "a number is cut off"
      end
      at = at + next - 1
    elseif kind == 1 or kind == 5 then
      at = at + next - 1 + (kind == 1 and 8 or 4)
    else
      return nil, "a field has an unknown wire type"
    end
    if at > total then
      return nil, "a field is longer than the message"
    end
  end
  if at == total then
    return text
  end
  return nil, "it has more than " .. MOST_FIELDS .. " fields"
end

local function check_model(handle, field, models)
  local model, problem = text_of(handle:body(true), field)
  if not model then
    return handle:respond({ [":status"] = "400", ["grpc-status"] = "3" },
      "this message cannot be read: " .. problem)
  end
  for _, name in ipairs(models) do
    if name == model then
      local metadata = handle:streamInfo():dynamicMetadata()
      metadata:set(SPACE, "model", model)
      if handle:headers():get(":path"):find("/Repository", 1, true) then
        handle:headers():add(GRPC_CONTROL, CONTROL_KEY)
      end
      metadata:set(SPACE, "passed", "yes")
      handle:clearRouteCache()
      return
    end
  end
  local whose = #models > 0 and "models " or "no model"
  return handle:respond({ [":status"] = "403" },
    "this key is for " .. whose .. table.concat(models, ", "))
end

local function check_stream(handle)
  local wanted, header = 0, "" -- bytes left of the current message; bytes read of the next header
  local refused = false
  for chunk in handle:bodyChunks() do
    local at, total = 0, chunk:length()
    while at < total and not refused do
      if wanted > 0 then
        local step = math.min(wanted, total - at)
        at, wanted = at + step, wanted - step
      else
        local step = math.min(5 - #header, total - at)
        header = header .. chunk:getBytes(at, step)
        at = at + step
        if #header == 5 then
          local flag, a, b, c, d = header:byte(1, 5)
          wanted = ((a * 256 + b) * 256 + c) * 256 + d
          refused = flag ~= 0 or wanted > MAX_BYTES
          header = ""
        end
      end
    end
    if refused then
      chunk:setBytes(REFUSED)
    end
  end
end

local function check_json(handle)
  local name, body = "inference-header-content-length", handle:body(true)
  local headers, total = handle:headers(), body:length() -- earlier header handles are no longer valid
  headers:replace("content-length", tostring(total)) -- one body, even if empty
  local length, given = total, headers:get(name)
  if given then
    if headers:getNumValues(name) > 1 or not given:find("^%d%d?%d?%d?%d?%d?%d?%d?%d?$") then
      return handle:respond({ [":status"] = "400" }, name .. " must be a number of bytes")
    end
    length = math.min(tonumber(given), total) -- 0: the body is one tensor, not JSON
  end
  if length > MAX_JSON then
    return handle:respond({ [":status"] = "400" },
      "the JSON of a request is at most " .. MAX_JSON .. " bytes: send tensors as binary data")
  end
  local problem = length > 0 and problem_of_json(body:getBytes(0, length), total)
  if problem then
    return handle:respond({ [":status"] = "400" }, "the JSON was refused: " .. problem)
  end
end

local function inspect(handle)
  local path = handle:headers():get(":path")
  if path:sub(1, 3) == "/v2" then
    if handle:headers():get(":method") ~= "GET" then
      check_json(handle)
    end
    return
  end
  local space = handle:streamInfo():dynamicMetadata():get(SPACE)
  if space and space.models and space.passed ~= "yes" then
    return check_model(handle, space.field, space.models)
  elseif path:find(STREAM, 1, true) == 1 then
    return check_stream(handle)
  end
end

function envoy_on_request(handle)
  local ok, problem = pcall(inspect, handle)
  if not ok then
    handle:logErr("inspect.lua: " .. tostring(problem))
    handle:respond({ [":status"] = "500", ["grpc-status"] = "13" }, "internal error in the gate")
  end
end
