// Package twin is a faithful local stand-in for the WeChat platform, so that a whole campaign runs and is tested with no
// network: it serves the platform's paths (api, mp, open and mch) under one address, pushes what fans do to the account's
// callback, and keeps every fan's chat as that fan would see it.
//
// It shares nothing with the channel that talks to it: its signatures, its cipher and its XML are written apart, so that
// one side checks the other. It knows no campaign, no engine and no database; all it keeps is in memory and bounded.
//
// The rules are those of the platform's public pages, named beside the code that follows them. Where those pages leave a
// question open (how often a push is repeated, whether allowances add up) the answer is a switch in Config.
//
// The platform's decisions (expiry, windows, quotas, days) follow the twin's Clock; what the network does (a time-out, a
// slow answer, the gap between two deliveries) takes real time. With the same seed and the same clock, openids, tickets,
// media ids and message ids come out the same, in whatever order the calls arrive.
//
// The control routes under /_twin/ ask for no key: the twin is for one's own machine.
package twin
