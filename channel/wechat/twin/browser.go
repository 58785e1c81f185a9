package twin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

const (
	maxPage      = 4 << 20
	maxHops      = 10
	browserAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.60(0x18003c2f) NetType/WIFI Language/zh_CN"
	openHost     = "open.weixin.qq.com"
)

// Page is what a fan's browser shows after all redirects.
type Page struct {
	URL         string   `json:"url"`
	Status      int      `json:"status"`
	ContentType string   `json:"content_type"`
	Body        []byte   `json:"-"`
	Hops        []string `json:"hops"` // the addresses on the way, the asked one first
}

// Open opens an address in the fan's in-app browser, which keeps its cookies and signs the fan in where a page asks for it.
func (f *Fan) Open(ctx context.Context, address string) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Page{}, fmt.Errorf("twin: %w", err)
	}
	var hops []string
	client := *f.Browser()
	limit := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		hops = append(hops, r.URL.String())
		return limit(r, via)
	}
	answer, err := client.Do(request)
	if err != nil {
		return Page{}, fmt.Errorf("twin: the browser: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return Page{}, fmt.Errorf("twin: the browser: %w", err)
	}
	return Page{
		URL: answer.Request.URL.String(), Status: answer.StatusCode, ContentType: answer.Header.Get("Content-Type"),
		Body: body, Hops: append([]string{address}, hops...),
	}, nil
}

// Browser is the fan's in-app browser as a client: with their cookies, known to the twin's sign-in page as them.
func (f *Fan) Browser() *http.Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.browser == nil {
		// New fails for no options that are given here.
		jar, _ := cookiejar.New(nil)
		f.browser = &http.Client{
			Jar: jar, Transport: &inApp{f},
			CheckRedirect: func(_ *http.Request, via []*http.Request) error {
				if len(via) >= maxHops {
					return fmt.Errorf("more than %d redirects", maxHops)
				}
				return nil
			},
		}
	}
	return f.browser
}

// inApp tells the twin, and nobody else, whose browser asks.
type inApp struct{ f *Fan }

func (b *inApp) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	if sent.Header.Get("User-Agent") == "" {
		sent.Header.Set("User-Agent", browserAgent)
	}
	base, err := url.Parse(b.f.t.BaseURL())
	if err == nil && base.Host != "" && (sent.URL.Host == openHost || sent.URL.Host == base.Host) {
		// The sign-in page's own script refuses an address without its fragment.
		if strings.HasSuffix(sent.URL.Path, "/connect/oauth2/authorize") && r.URL.Fragment != "wechat_redirect" {
			return nil, fmt.Errorf("the sign-in address does not end in #wechat_redirect: %s", r.URL)
		}
		sent.URL.Scheme, sent.URL.Host, sent.Host = base.Scheme, base.Host, base.Host
		sent.Header.Set(fanHeader, b.f.OpenID)
	}
	return b.f.t.outgoing.Transport.RoundTrip(sent)
}
