-- SPDX-License-Identifier: MIT
-- Copyright (c) the Weft authors
-- For wrk: sixteen requests in one write. wrk counts what they ask for and expects as many replies.
local batch

function init()
    local one = wrk.format()
    batch = one:rep(16)
end

function request()
    return batch
end
