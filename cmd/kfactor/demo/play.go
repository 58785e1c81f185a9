package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"kfactor/cmd/kfactor/remote"
	"kfactor/engine"
)

// The sample campaign and the file it names.
var (
	//go:embed campaign.yaml
	campaignFile []byte
	//go:embed autumn.jpg
	background []byte
)

// CampaignID is the sample campaign's.
const CampaignID = "autumn-share"

const (
	campaignPath   = "/v1/campaigns/" + CampaignID
	backgroundName = "autumn.jpg"
	phone          = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36 MicroMessenger/8.0.60"
	callTime       = 30 * time.Second
	mostPicture    = 10 << 20 // bytes
)

// Play is a story on its way against a server.
type Play struct {
	story  Story
	team   *remote.Server // with a key that may do all
	shop   *remote.Server // with a key that may only bring people and events
	phones http.RoundTripper

	joined []engine.ParticipantView // by fan; each fan writes its own place, others read it in later generations
	jars   []http.CookieJar         // by fan
	first  atomic.Pointer[engine.ParticipantView]

	Done     atomic.Int64 // fans who have done what they came for
	Pictures atomic.Int64 // posters that were fetched and read
	Events   atomic.Int64 // events that were sent, repetitions not counted
}

// New is a play of the story on the server at the address. The owner's key may do all, the ingest key only bring
// people and events.
func New(s Story, address, ownerKey, ingestKey string) (*Play, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}
	client := &http.Client{Transport: transport, Timeout: callTime}
	team, err := remote.New(address, ownerKey, client)
	if err != nil {
		return nil, err
	}
	shop, err := remote.New(address, ingestKey, client)
	if err != nil {
		return nil, err
	}
	p := &Play{
		story: s, team: team, shop: shop, phones: transport,
		joined: make([]engine.ParticipantView, len(s.fans)), jars: make([]http.CookieJar, len(s.fans)),
	}
	for i := range p.jars {
		if p.jars[i], err = cookiejar.New(nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Open puts the sample campaign on the server and launches it.
func (p *Play) Open(ctx context.Context) error {
	if _, err := p.team.CreateCampaign(ctx, campaignFile, "campaign.yaml", ""); err != nil {
		return fmt.Errorf("create the campaign: %w", err)
	}
	if _, err := p.team.PutAsset(ctx, CampaignID, backgroundName, background); err != nil {
		return fmt.Errorf("upload the background: %w", err)
	}
	var coupons strings.Builder
	for i := range couponStock {
		fmt.Fprintf(&coupons, "AUTUMN-%04d\n", i+1)
	}
	path := campaignPath + "/rewards/coupon/codes"
	if err := p.team.Do(ctx, http.MethodPost, path, "text/csv", []byte(coupons.String()), nil); err != nil {
		return fmt.Errorf("import coupon codes: %w", err)
	}
	if _, err := p.team.Turn(ctx, CampaignID, "launch", ""); err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	return nil
}

// Run lets the fans come, generation after generation. Within one they come as quickly as the server takes them, in
// any order; between what must be first and what comes after it everybody waits, so that the end is always the same.
func (p *Play) Run(ctx context.Context) error {
	for _, fans := range p.story.generations() {
		for _, act := range []func(context.Context, fan) error{p.arrive, p.shopAround, p.leave, p.comeBack} {
			if err := each(ctx, fans, act); err != nil {
				return err
			}
		}
	}
	return each(ctx, p.story.fans, p.refund)
}

// First is somebody who has joined, nil before anybody has.
func (p *Play) First() *engine.ParticipantView { return p.first.Load() }

// each lets all fans act, some at the same time.
func each(ctx context.Context, fans []fan, act func(context.Context, fan) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, f := range fans {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := act(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", f.user(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// arrive is a fan's first visit: they scan a friend's poster, open what it links to, follow, join, and get a poster
// of their own.
func (p *Play) arrive(ctx context.Context, f fan) error {
	defer p.Done.Add(1)
	if f.known {
		if err := p.tell(ctx, f, "subscribe", "before", "", nil); err != nil {
			return err
		}
	}
	code := ""
	if f.inviter != nobody {
		var err error
		if code, err = p.scan(ctx, f, p.joined[f.inviter]); err != nil {
			return err
		}
	}
	if f.looks {
		return nil
	}
	if err := p.tell(ctx, f, "subscribe", "first", code, nil); err != nil {
		return err
	}
	if err := p.join(ctx, f, code); err != nil {
		return err
	}
	if f.second != nobody {
		code, err := p.scan(ctx, f, p.joined[f.second])
		if err != nil {
			return err
		}
		if err := p.tell(ctx, f, "subscribe", "second", code, nil); err != nil {
			return err
		}
	}
	if f.ownCode {
		return p.tell(ctx, f, "subscribe", "own", p.joined[f.number].Code, nil)
	}
	return nil
}

func (p *Play) join(ctx context.Context, f fan, code string) error {
	want := engine.Joining{User: f.user(), Nickname: f.nickname, InvitedBy: code}
	var got engine.ParticipantView
	if err := p.shop.Post(ctx, campaignPath+"/participants", want, &got); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	p.joined[f.number] = got
	p.first.CompareAndSwap(nil, &got)
	if !f.stutter {
		return nil
	}
	var again engine.ParticipantView
	if err := p.shop.Post(ctx, campaignPath+"/participants", want, &again); err != nil {
		return fmt.Errorf("join again: %w", err)
	}
	if again.Code != got.Code {
		return fmt.Errorf("joined twice and has two codes, %s and %s", got.Code, again.Code)
	}
	return nil
}

// shopAround is what a fan does once they follow.
func (p *Play) shopAround(ctx context.Context, f fan) error {
	if f.binds {
		if err := p.tell(ctx, f, "bind", "", "", nil); err != nil {
			return err
		}
	}
	if f.order > 0 {
		return p.tell(ctx, f, "purchase", "", "", f.payment())
	}
	return nil
}

func (p *Play) leave(ctx context.Context, f fan) error {
	if !f.leaves {
		return nil
	}
	return p.tell(ctx, f, "unsubscribe", "", "", nil)
}

func (p *Play) comeBack(ctx context.Context, f fan) error {
	if !f.returns {
		return nil
	}
	return p.tell(ctx, f, "subscribe", "again", "", nil)
}

func (p *Play) refund(ctx context.Context, f fan) error {
	if !f.refunds {
		return nil
	}
	return p.tell(ctx, f, "refund", "", "", f.payment())
}

func (f fan) payment() any {
	return map[string]any{"amount": f.order, "currency": "CNY", "order": fmt.Sprintf("order-%04d", f.number)}
}

// scan is what a phone does with a friend's poster: it fetches the picture, reads the code in it and opens the link.
// It gives the code that the link holds.
func (p *Play) scan(ctx context.Context, f fan, friend engine.ParticipantView) (string, error) {
	client := &http.Client{Transport: p.phones, Jar: p.jars[f.number], Timeout: callTime}
	picture, err := fetch(ctx, client, friend.PosterURL)
	if err != nil {
		return "", fmt.Errorf("the poster of %s: %w", friend.Code, err)
	}
	link, err := readQR(picture)
	if err != nil {
		return "", fmt.Errorf("the poster of %s: %w", friend.Code, err)
	}
	p.Pictures.Add(1)
	if link != friend.InviteURL {
		return "", fmt.Errorf("the poster of %s holds %q instead of %q", friend.Code, link, friend.InviteURL)
	}
	if _, err := fetch(ctx, client, link); err != nil {
		return "", fmt.Errorf("the page behind the poster of %s: %w", friend.Code, err)
	}
	return link[strings.LastIndexByte(link, '/')+1:], nil
}

// fetch reads what is at a URL, asking again while the server is too busy.
func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", phone)
		answer, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, mostPicture))
		answer.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case answer.StatusCode == http.StatusOK:
			return body, nil
		case answer.StatusCode != http.StatusServiceUnavailable || try == 5:
			return nil, fmt.Errorf("%s answers %s", url, answer.Status)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// tell sends an event about a fan. Where everything is delivered twice, the second time must change nothing.
func (p *Play) tell(ctx context.Context, f fan, kind, which, code string, data any) error {
	ev := engine.Incoming{ID: strings.TrimSuffix(f.user()+"-"+kind+"-"+which, "-"), Campaign: CampaignID, Type: kind, User: f.user(), Code: code}
	if data != nil {
		var err error
		if ev.Data, err = json.Marshal(data); err != nil {
			return err
		}
	}
	var first, second engine.Receipt
	if err := p.shop.Post(ctx, "/v1/events", ev, &first); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if first.Accepted != 1 {
		return fmt.Errorf("%s was not accepted: %+v", kind, first)
	}
	p.Events.Add(1)
	if !f.stutter {
		return nil
	}
	if err := p.shop.Post(ctx, "/v1/events", ev, &second); err != nil {
		return fmt.Errorf("%s again: %w", kind, err)
	}
	if second.Accepted != 0 || second.Duplicates != 1 {
		return fmt.Errorf("%s was delivered twice and not noticed: %+v", kind, second)
	}
	return nil
}
