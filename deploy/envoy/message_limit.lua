-- Keeps a message that is longer than the server takes from it. gRPC 1.51 looks at the limit only when it has the whole
-- message, and lets the client send it all: 2 GiB of memory for each stream. Here the length is seen in the first five
-- bytes (gRPC over HTTP/2: a flag, a big-endian length). Such a message is replaced by one of a byte that is no
-- ClientMessage, which the server refuses and ends the stream; nothing after it is passed on.
function envoy_on_request(handle)
  local refused = "\0\0\0\0\1\255"
  local left = 0      -- of the message under way
  local header = ""   -- of the next one, as far as it has come
  local over = false
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    local at = 0
    while at < size and not over do
      if left > 0 then
        local passed = math.min(left, size - at)
        left = left - passed
        at = at + passed
      else
        local start = at
        local more = chunk:getBytes(at, math.min(5 - #header, size - at))
        local begun_before = #header > 0
        header = header .. more
        at = at + #more
        if #header == 5 then
          local a, b, c, d = header:byte(2, 5)
          left = ((a * 256 + b) * 256 + c) * 256 + d
          header = ""
          if left > MAX_MESSAGE_BYTES then
            over = true
            local before = start > 0 and chunk:getBytes(0, start) or ""
            -- Part of the header may be gone already; then the server waits for the rest, within its own limits.
            chunk:setBytes(begun_before and before or before .. refused)
            size = 0
          end
        end
      end
    end
    if over and size > 0 then chunk:setBytes("") end
  end
end
