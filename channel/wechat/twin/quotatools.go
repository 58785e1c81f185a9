package twin

import (
	"slices"
	"sync"
	"time"
)

// The tools around quotas: https://developers.weixin.qq.com/doc/oplatform/openApi/openapi/api_clearquota.md.
const (
	clearsPerMonth = 10
	maxRequests    = 1000
)

// clears counts how often quotas were cleared in a month of China's calendar.
type clears struct {
	mu    sync.Mutex
	month int
	used  int
}

func (c *clears) take(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := now.In(china)
	if month := at.Year()*12 + int(at.Month()); month != c.month {
		c.month, c.used = month, 0
	}
	if c.used >= clearsPerMonth {
		return refuse(48006)
	}
	c.used++
	return nil
}

var china = time.FixedZone("China", 8*3600)

// requests remembers the last refused calls by their ids.
type requests struct {
	mu    sync.Mutex
	by    map[string]refused
	order []string
}

type refused struct {
	InvokeTime int64  `json:"invoke_time"`
	CostMS     int64  `json:"cost_in_ms"`
	URL        string `json:"request_url"`
	Request    string `json:"request_body"`
	Response   string `json:"response_body"`
	ClientIP   string `json:"client_ip"`
}

func (r *requests) keep(rid string, one refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]refused{}
	}
	r.by[rid] = one
	if r.order = append(r.order, rid); len(r.order) > maxRequests {
		delete(r.by, r.order[0])
		r.order = r.order[1:]
	}
}

func (c *call) getQuota() (any, error) {
	a, err := c.named()
	if err != nil {
		return nil, err
	}
	limit, used, inMinute := a.quota.state(c.now)
	return map[string]any{
		"errcode": 0, "errmsg": "ok",
		"quota":      map[string]int64{"daily_limit": limit, "used": used, "remain": max(limit-used, 0)},
		"rate_limit": map[string]int64{"call_count": inMinute, "refresh_second": 60},
	}, nil
}

// named finds the API that a tool is about.
func (c *call) named() (*api, error) {
	var asked struct {
		Path string `json:"cgi_path"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	a := c.apis[asked.Path]
	if a == nil {
		return nil, refuse(76021)
	}
	return a, nil
}

func (c *call) clearOne() (any, error) {
	a, err := c.named()
	if err != nil {
		return nil, err
	}
	if err := c.clears.take(c.now); err != nil {
		return nil, err
	}
	a.quota.clear()
	return fine, nil
}

func (c *call) clearAll() (any, error) {
	var asked struct {
		AppID string `json:"appid"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	if asked.AppID != c.cfg.AppID {
		return nil, refuse(40013)
	}
	return fine, c.clearQuotas()
}

// clearBySecret clears without a token, so that it works when even those are used up.
func (c *call) clearBySecret() (any, error) {
	var asked struct {
		AppID  string `json:"appid"`
		Secret string `json:"appsecret"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	if err := c.owner(asked.AppID, asked.Secret); err != nil {
		return nil, err
	}
	return fine, c.clearQuotas()
}

func (c *call) clearQuotas() error {
	if err := c.clears.take(c.now); err != nil {
		return err
	}
	for _, a := range c.apis {
		a.quota.clear()
	}
	return nil
}

func (c *call) lookUp() (any, error) {
	var asked struct {
		RID string `json:"rid"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	c.requests.mu.Lock()
	defer c.requests.mu.Unlock()
	found, known := c.requests.by[asked.RID]
	if !known {
		return nil, refusef(76001, "rid not found")
	}
	return map[string]any{"errcode": 0, "errmsg": "ok", "request": found}, nil
}

func (c *call) addresses() (any, error) {
	return map[string][]string{"ip_list": {"127.0.0.1", "::1"}}, nil
}

// SetQuota gives an API another number of calls per day; 0 takes the limit away. It reports whether the twin serves the path.
func (t *Twin) SetQuota(path string, daily int64) bool {
	a := t.apis[path]
	if a != nil {
		a.quota.limit(daily)
	}
	return a != nil
}

// Paths lists the calls that the twin serves.
func (t *Twin) Paths() []string {
	paths := make([]string, 0, len(t.apis))
	for path := range t.apis {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
