-- Bounds the streams that one peer has open at once, over all its connections to this thread. One stream too many is
-- answered at once with RESOURCE_EXHAUSTED.
--
-- Envoy tells Lua nothing of a stream that is reset. But it keeps a stream's handle for as long as the stream. So the
-- handles are kept as weak values, and those that the garbage collector leaves are the open streams.
local COLLECT_MS = 20     -- a collection takes about a millisecond: a flood cannot keep the thread busy with them
local MANY_PEERS = 1000   -- after so many new ones, those without streams are forgotten

local streams_of = {}     -- by peer, its handles by number
local number = 0          -- of the newest stream
local collected_ms = 0
local new_peers = 0       -- since peers without streams were last forgotten

-- An IPv4 address as it is, an IPv6 address by its /64 network, as the server and the rate limit count.
local function peer_of(address)
  local front, back = address, nil
  local gap = address:find("::", 1, true)
  if gap then front, back = address:sub(1, gap - 1), address:sub(gap + 2) end
  if not address:find(":", 1, true) then return address end
  local groups, last = {}, {}
  for group in front:gmatch("[^:]+") do groups[#groups + 1] = group end
  for group in (back or ""):gmatch("[^:]+") do last[#last + 1] = group end
  while #groups + #last < 8 do groups[#groups + 1] = "0" end
  for _, group in ipairs(last) do groups[#groups + 1] = group end
  return table.concat(groups, ":", 1, 4)
end

local function count(streams)
  local open = 0
  for _ in pairs(streams) do open = open + 1 end
  return open
end

local function forget_peers_without_streams()
  for peer, streams in pairs(streams_of) do
    if next(streams) == nil then streams_of[peer] = nil end
  end
  new_peers = 0
end

function envoy_on_request(handle)
  local peer = peer_of(handle:headers():get("x-parley-peer") or "")
  local streams = streams_of[peer]
  if streams == nil then
    if new_peers >= MANY_PEERS then forget_peers_without_streams() end
    new_peers = new_peers + 1
    streams = setmetatable({}, {__mode = "v"})
    streams_of[peer] = streams
  end
  if count(streams) >= MAX_STREAMS_OF_A_PEER then
    local now_ms = handle:timestamp()
    if now_ms - collected_ms >= COLLECT_MS or now_ms < collected_ms then
      collectgarbage()
      collected_ms = now_ms
    end
    if count(streams) >= MAX_STREAMS_OF_A_PEER then
      handle:respond({[":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = "8",
                      ["grpc-message"] = "this address has as many streams as it may"}, "")
      return
    end
  end
  number = number + 1
  streams[number] = handle
end
