package wechat

import "time"

// SetLease has messages be kept for another time without a word of whoever sends them.
func (c *Channels) SetLease(lease time.Duration) { c.lease = lease }
