-- Decodes base64 (RFC 4648), for the credentials of HTTP Basic.

local BASE64 = {}
do
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  for i = 1, #alphabet do
    BASE64[alphabet:byte(i)] = i - 1
  end
end

-- Returns the bytes, or nil if the text is not base64.
local function base64_decoded(text)
  local body, padding = text:match("^([%w+/]*)(=?=?)$")
  if not body or #text % 4 ~= 0 then
    return nil
  end
  local bytes, value, bits = {}, 0, 0
  for i = 1, #body do
    value, bits = value * 64 + BASE64[body:byte(i)], bits + 6
    if bits >= 8 then
      bits = bits - 8
      bytes[#bytes + 1] = string.char(math.floor(value / 2 ^ bits))
      value = value % 2 ^ bits
    end
  end
  return table.concat(bytes)
end
