-- Checks the JSON of a request without building it: its nesting, and the sizes of its shapes.
--
-- Triton 2.51 recurses into nested JSON, and allocates what a "shape" says before it reads "data":
-- 100 MB of brackets, or one shape in 200 bytes, crash it. Here every element of a tensor needs at
-- least one byte of the request, as in all forms of the protocol.

local MOST_DEPTH = 64
local MOST_TOKENS = 2000000

-- Returns the number of elements of the shape whose "[" is at `at`, and where it ends; or nil.
local function elements_of(text, at)
  local _, stop, dims = text:find("^%[([%d%s,]*)%]", at)
  if not stop then
    return nil
  end
  local count = 1
  for dim in dims:gmatch("[^,]+") do
    local digits = dim:match("^%s*(%d+)%s*$")
    if not digits or #digits > 18 then
      return nil
    end
    count = count * tonumber(digits)
  end
  return count, stop + 1
end

-- Returns what is wrong with `text`, part of a request of `bytes` bytes, or nil.
local function problem_of_json(text, bytes)
  local at, depth, tokens = 1, 0, 0
  while true do
    at = text:find("[^%s%d,.+eE-]", at) -- numbers and separators
    if not at then
      return nil
    end
    tokens = tokens + 1
    if tokens > MOST_TOKENS then
      return "it has more than " .. MOST_TOKENS .. " strings and brackets: send tensors as binary data"
    end
    local char = text:byte(at)
    if char == 34 then -- "
      local start, escaped = at + 1, false
      at = start
      while true do
        at = text:find('["\\]', at)
        if not at then
          return "a string does not end"
        elseif text:byte(at) == 34 then
          break
        end
        at, escaped = at + 2, true
      end
      local stop = at - 1
      local _, colon = text:find("^%s*:", at + 1)
      if colon and escaped then
        return "a name contains escapes"
      elseif colon and stop - start == 4 and text:sub(start, stop) == "shape" then
        local count, after = elements_of(text, text:find("%S", colon + 1) or colon)
        if not count then
          return "a shape must be an array of whole numbers"
        elseif count > bytes then
          return "a shape has more elements than the request has bytes"
        end
        at = after
      else
        at = (colon or at) + 1
      end
    elseif char == 91 or char == 123 then -- [ {
      depth = depth + 1
      if depth > MOST_DEPTH then
        return "it nests deeper than " .. MOST_DEPTH
      end
      at = at + 1
    elseif char == 93 or char == 125 then -- ] }
      depth = depth - 1
      at = at + 1
    else
      local _, stop = text:find("^%a+", at) -- true, false, null, NaN
      if not stop then
        return "it has an invalid character at byte " .. at
      end
      at = stop + 1
    end
  end
end
