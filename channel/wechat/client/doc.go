// Package client calls the platform's interfaces for one Official Account: tokens, codes,
// media, messages, menus, sign-in, people. It is thin: one method for each interface used,
// named after what it does, with the page of the official documentation
// (developers.weixin.qq.com/doc/service) beside it.
//
// What it looks after for every call: the access token and its one renewal, typed errors,
// limits on sizes and times, and that neither token nor secret shows in an error or a log.
// When to call, how often, and what to do when it cannot be now is decided elsewhere.
package client
