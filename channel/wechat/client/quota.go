package client

import "context"

const (
	pathQuota      = "/cgi-bin/openapi/quota/get"
	pathClearQuota = "/cgi-bin/clear_quota"
)

// Quota is what an account may call one interface, and has.
type Quota struct {
	Daily, Used, Remain int64 // calls today
	PerPeriod           int64 // calls in a period, 0 where there is no such limit
	PeriodSeconds       int64
}

// Quota asks for the quota of the interface at path, such as /cgi-bin/message/custom/send
// (page "Query API call quota").
func (c *Client) Quota(ctx context.Context, path string) (Quota, error) {
	var got struct {
		Quota *struct {
			Daily  int64 `json:"daily_limit"`
			Used   int64 `json:"used"`
			Remain int64 `json:"remain"`
		} `json:"quota"`
		Rate struct {
			Calls   int64 `json:"call_count"`
			Seconds int64 `json:"refresh_second"`
		} `json:"rate_limit"`
	}
	err := c.post(ctx, pathQuota, struct {
		Path string `json:"cgi_path"`
	}{path}, &got, true)
	if err != nil {
		return Quota{}, err
	}
	if got.Quota == nil {
		return Quota{}, malformed(pathQuota)
	}
	return Quota{
		Daily: got.Quota.Daily, Used: got.Quota.Used, Remain: got.Quota.Remain,
		PerPeriod: got.Rate.Calls, PeriodSeconds: got.Rate.Seconds,
	}, nil
}

// ClearQuota begins every daily quota of the account anew (page "Reset API call quota"): ten
// times a month, then CodeNoMoreClearing. It is never repeated.
func (c *Client) ClearQuota(ctx context.Context) error {
	return c.post(ctx, pathClearQuota, struct {
		AppID string `json:"appid"`
	}{c.appID}, nil, false)
}
