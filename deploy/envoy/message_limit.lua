-- Keeps a message that is longer than the server takes from it. gRPC 1.51 looks at the limit only when it has the whole
-- message, and lets the client send it all: 2 GiB of memory for each stream. Here the length is seen in the first five
-- bytes (gRPC over HTTP/2: a flag, a big-endian length). Such a message is replaced by a notice of 16 bytes that is no
-- ClientMessage, and nothing after it is passed on; the server ends the stream with RESOURCE_EXHAUSTED
-- (server/client_message.h has the notice, too). Anybody may send the notice: it ends the call of who does.
function envoy_on_request(handle)
  local function four_bytes(value)
    return string.char(math.floor(value / 16777216) % 256, math.floor(value / 65536) % 256,
                       math.floor(value / 256) % 256, value % 256)
  end
  local left = 0     -- of the message under way
  local held = ""    -- the beginning of the next one's header: the server gets a header whole or not at all
  local over = false
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if over then
      if size > 0 then chunk:setBytes("") end
    elseif size > 0 then
      if #held > 0 then
        chunk:setBytes(held .. chunk:getBytes(0, size))
        size = size + #held
        held = ""
      end
      local at = 0
      while at < size do
        if left > 0 then
          local passed = math.min(left, size - at)
          left = left - passed
          at = at + passed
        elseif size - at < 5 then
          held = chunk:getBytes(at, size - at)
          chunk:setBytes(at > 0 and chunk:getBytes(0, at) or "")
          at = size
        else
          local a, b, c, d = chunk:getBytes(at, 5):byte(2, 5)
          left = ((a * 256 + b) * 256 + c) * 256 + d
          if left > MAX_MESSAGE_BYTES then
            over = true
            local notice = "\255TOOLONG" .. four_bytes(left) .. four_bytes(MAX_MESSAGE_BYTES)
            chunk:setBytes((at > 0 and chunk:getBytes(0, at) or "") .. "\0\0\0\0\16" .. notice)
            at = size
          else
            at = at + 5
          end
        end
      end
    end
  end
end
